"""Runs trainings in turns, so that all meet the same states of a machine whose speed changes.

    python3 tools/in_turns.py TURNS STEPS [FOLDER COMMAND]…

Each command trains into its folder. All are started, and their processes are stopped but for one side at a time, which takes STEPS
steps. After a turn that is not counted, prints for each of TURNS turns the seconds of a step of every side, and at the end the median
of the first side's seconds over each other one's: their speeds in units of the first one's.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


class Side:
    def __init__(self, folder, command):
        self.log = Path(folder, "train", "log.jsonl")
        self.process = subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.signal(signal.SIGSTOP)

    def signal(self, which):
        """Sends a signal to the process and all that it started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        family = {self.process.pid}
        while more := {child for child, parent in parents.items() if parent in family} - family:
            family |= more
        for process in family:
            os.kill(process, which)

    def steps(self):
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def turn(self, steps):
        """The seconds of this many steps."""
        until = self.steps() + steps
        begin = time.monotonic()
        self.signal(signal.SIGCONT)
        while self.steps() < until:
            if self.process.poll() is not None:
                sys.exit(f"in_turns.py: a side ended too early: {self.process.stderr.read()}")
            time.sleep(0.005)
        taken = time.monotonic() - begin
        self.signal(signal.SIGSTOP)
        return taken


def main():
    turns, steps = map(int, sys.argv[1:3])
    sides = []
    try:
        for folder, command in zip(sys.argv[3::2], sys.argv[4::2]):
            sides.append(Side(folder, command))
        seconds = [[] for _ in sides]
        for turn in range(turns + 1):
            # Who comes first changes, as what runs before counts on some machines.
            for side in range(len(sides))[:: 1 if turn % 2 == 0 else -1]:
                seconds[side].append(sides[side].turn(steps) / steps)
            if turn > 0:
                print(f"turn {turn}: " + ", ".join(f"{taken[-1]:.2f}" for taken in seconds) + " s", flush=True)
        first, *others = (taken[1:] for taken in seconds)
        for number, other in enumerate(others, 2):
            ratios = [one / two for one, two in zip(first, other)]
            print(f"side {number}: median {median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f} × the first")
    finally:
        for side in sides:
            if side.process.poll() is None:
                side.signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
