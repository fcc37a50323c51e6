#!/usr/bin/env python3
"""Compares plans with measurements: the memory and time in `glass train --plan`, and those of a run of a few steps.

    cargo build --release -p glass-app
    python3 tools/plan.py [--glass target/release/glass] [--steps 4] [--only NAME…] [--json FILE]

Every model is trained on random ids. Its memory is the maximum resident size of the process (with an evaluation and a
checkpoint, as in a real run), its time the median of the steps after the first. Linux and macOS; standard library only.
"""

import argparse
import array
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

# Name, options, vocabulary.
SMALL = ["--layers", "4", "--width", "128", "--heads", "4", "--context", "64", "--batch", "12"]
SHAPES = [
    ("4 x 128, 12 x 64", SMALL, 65),
    ("6 x 384, 12 x 256", ["--layers", "6", "--width", "384", "--heads", "6", "--context", "256", "--batch", "12"], 65),
    ("30M, 8 x 256", ["--layers", "8", "--width", "512", "--heads", "8", "--context", "256", "--batch", "8"], 8192),
    ("124M, 4 x 64", ["--preset", "gpt2", "--context", "64", "--batch", "4"], 50257),
    ("124M, 4 x 256", ["--preset", "gpt2", "--context", "256", "--batch", "4"], 50257),
    ("124M, 4 x 256, recompute", ["--preset", "gpt2", "--context", "256", "--batch", "4", "--recompute"], 50257),
]


def ids(path, vocabulary):
    draw = random.Random(1)
    with open(path, "wb") as file:
        array.array("H", [draw.randrange(vocabulary) for _ in range(40_000)]).tofile(file)


def ended(command):
    """The command's output, and its maximum resident size: of this child only, from wait4."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: ended with {status}")
    return text, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compared(glass, folder, options, vocabulary, steps):
    data = os.path.join(folder, f"{vocabulary}.bin")
    ids(data, vocabulary)
    run = [glass, "train", "--data", data, "--bin", "u16", "--vocab", str(vocabulary), "--steps", str(steps)]
    run += ["--out", os.path.join(tempfile.mkdtemp(dir=folder), "run"), "--eval-samples", "4", "--json"] + options
    if "--preset" in options:
        del run[run.index("--vocab") : run.index("--vocab") + 2]
    plan = json.loads(ended(run + ["--plan"])[0])
    text, peak = ended(run)
    lines = [json.loads(line) for line in text.splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if line.get("tokens_per_second")]
    seconds = plan["tokens_per_step"] / statistics.median(speeds[1:] or speeds)
    return {
        "weights": plan["weights"],
        "planned_bytes": plan["memory_bytes"]["total"],
        "measured_bytes": peak,
        "planned_seconds_per_step": plan["seconds_per_step"],
        "measured_seconds_per_step": seconds,
    }


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--glass", default="target/release/glass")
    asked.add_argument("--steps", type=int, default=4)
    asked.add_argument("--only", nargs="*", help="models whose names begin with this")
    asked.add_argument("--json", help="also write the results to this file")
    asked = asked.parse_args()
    shapes = [shape for shape in SHAPES if not asked.only or shape[0].startswith(tuple(asked.only))]
    record = {}
    print("| shape | weights | memory planned | measured | planned / measured | a step planned | measured | planned / measured |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, options, vocabulary in shapes:
            # Steps of a small model are short: more are taken for the median.
            steps = asked.steps * (25 if vocabulary == 65 and options is SMALL else 1)
            one = record[name] = compared(asked.glass, folder, options, vocabulary, steps)
            memory = one["planned_bytes"] / one["measured_bytes"]
            time = one["planned_seconds_per_step"] / one["measured_seconds_per_step"]
            print(
                f"| {name} | {one['weights']:,} | {one['planned_bytes'] / 1e6:,.1f} MB | {one['measured_bytes'] / 1e6:,.1f} MB "
                f"| {memory:.2f} | {one['planned_seconds_per_step']:.3f} s | {one['measured_seconds_per_step']:.3f} s | {time:.2f} |",
                flush=True,
            )
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
