"""What the comparisons share: our program as a process that takes turns, medians, records."""

import datetime
import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent


class Ours:
    """`crates/glass/benches/turns.rs`, one turn per line."""

    def __init__(self, kind, layers, heads, width, vocabulary, context, count, threads):
        built = subprocess.run(
            ["cargo", "bench", "-q", "-p", "glass", "--bench", "turns", "--no-run", "--message-format", "json"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        program = re.findall(r'"executable":"([^"]*turns-[^"]*)"', built)[-1]
        sizes = [layers, heads, width, vocabulary, context, count, threads]
        self.process = subprocess.Popen(
            [program, kind, *map(str, sizes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def turn(self):
        """Seconds of one turn."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleave(sides, rounds, tokens):
    """Seconds of every side's turns, taken in turns after one that is not counted, as tokens per second."""
    seconds = {name: [] for name in sides}
    for turn in sides.values():
        turn()
    for _ in range(rounds):
        for name, turn in sides.items():
            seconds[name].append(turn())
    return {name: figures(tokens, taken) for name, taken in seconds.items()}


def figures(tokens, seconds):
    rates = sorted(tokens / taken for taken in seconds)
    return {"median": round(median(rates), 2), "least": round(rates[0], 2), "most": round(rates[-1], 2)}


def ratio(sides, ours, theirs):
    if ours in sides and theirs in sides:
        return round(sides[ours]["median"] / sides[theirs]["median"], 3)
    return None


def show(what, sides):
    for name, rate in sides.items():
        range_ = f"{rate['least']:.1f} to {rate['most']:.1f}"
        print(f"{what:20} {name:10} {rate['median']:9.1f} tokens/s ({range_})", flush=True)


def machine(packages):
    """What the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
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
    path.write_text(json.dumps(about | {"results": results}, indent=2) + "\n")
    print(f"written: {path.relative_to(ROOT)}")
