"""Shared by the comparisons: programs as processes that take turns, medians, records."""

import datetime
import json
import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
# The pause before a turn: long enough for the threads of the previous program to stop spinning.
PAUSE = 0.05


class Side:
    """A process that does a number of units of work for each line and answers with the seconds they took."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(
            [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | environment,
        )

    def turn(self, times=1):
        """Seconds of one turn."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(self.process.args)}: it ended with status {self.process.wait()}")
        return float(answer)

    def peak(self):
        """Its peak memory so far, in GB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists():
            return round(int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) * 1024 / 1e9, 2)
        return None

    def cpu(self):
        """The CPU seconds of its threads (Linux)."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(kind, *arguments, root=ROOT):
    """`crates/glass/benches/turns.rs`, of this repository or of a copy."""
    built = subprocess.run(
        ["cargo", "bench", "-q", "-p", "glass", "--bench", "turns", "--no-run", "--message-format", "json"],
        cwd=root, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    return Side([re.findall(r'"executable":"([^"]*turns-[^"]*)"', built)[-1], kind, *arguments])


def interleave(sides, rounds, times=1, before=0):
    """Seconds of every side's turns, taken in alternation, after one turn that is not counted (memory is touched, models are
    compiled); and how many cores the waiting processes used. `before` each turn, the same work is done this many times without
    being counted: a processor that was idle can take a second to reach full speed again."""
    seconds, idle = {name: [] for name in sides}, 0.0
    for number in range(1 + rounds):
        for name, side in sides.items():
            time.sleep(PAUSE)
            others = [other for other in sides.values() if other is not side]
            if before:
                side.turn(before)
            waited = sum(other.cpu() for other in others)
            taken = side.turn(times)
            if number > 0:
                seconds[name].append(taken)
                idle += sum(other.cpu() for other in others) - waited
    return seconds, round(idle / sum(map(sum, seconds.values())), 4)


def figures(work, seconds):
    """Median and range of the rates at which `work` was done in these times."""
    rates = sorted(work / taken for taken in seconds)
    return {"median": round(median(rates), 2), "least": round(rates[0], 2), "most": round(rates[-1], 2)}


def cpuinfo():
    """What the kernel says of the processors (Linux); elsewhere nothing."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def has_bf16():
    """Whether the processor multiplies pairs of bfloat16; None where that is not known."""
    return "avx512_bf16" in cpuinfo() if cpuinfo() else None


def machine(packages):
    """The conditions of the measurement."""
    names = re.findall(r"model name\s*: (.*)", cpuinfo())
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    return {
        "cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "commit": commit.strip(), "packages": {name: version(name) for name in packages},
    }


def record(name, about, results):
    """Writes `bench/records/DATE-name.json`; a later run on the same day replaces it."""
    path = ROOT / "bench" / "records" / f"{datetime.date.today()}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(about | {"results": results}, indent=2)
    # Lists of numbers on one line.
    text = re.sub(r"\[([^][{}]*)\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    path.write_text(text + "\n")
    print(f"written: {path.relative_to(ROOT)}")
    return path
