#!/usr/bin/env python3
"""Trains an induction head in two layers, finds it by its score, and silences heads to see which one it is.

    tools/induction.py target/release/glass DIR        # three minutes on two cores

DIR gets the data, the run and `growth.svg`. A text consists of repeated random tokens: the next token can only be
predicted by finding the token's previous occurrence and reading on (Olsson et al. 2022). Needs nothing but Python.
"""

import argparse
import array
import json
import math
import random
import subprocess
import sys
from pathlib import Path

VOCABULARY, CONTEXT, TEXTS, ASKED = 64, 64, 250_000, 60
RUN = (
    f"--recipe gpt2 --bin u16 --vocab {VOCABULARY} --layers 2 --heads 4 --width 128 --context {CONTEXT} --batch 64 --lr 1e-3 "
    "--weight-decay 0.01 --order sequential --precision mixed --checkpoint-every 25 --eval-every 1000 --eval-samples 40 --look"
)


def texts(file):
    """Texts of `CONTEXT` tokens, each repeating 6 to 32 random ones; read in order, every window is one of them."""
    draw, ids = random.Random(5), array.array("H")
    for _ in range(TEXTS):
        once = draw.choices(range(VOCABULARY), k=draw.randint(6, 32))
        ids.extend((once * (CONTEXT // len(once) + 1))[:CONTEXT])
    if sys.byteorder == "big":
        ids.byteswap()
    file.write_bytes(ids.tobytes())


def glass(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


def loss(program, model, *edits):
    """Mean nats of the next token in the repetition of 20 random ones."""
    draw, sum = random.Random(9), 0.0
    for _ in range(ASKED):
        once = draw.sample(range(VOCABULARY), 20)
        known = draw.randint(2, 18)
        ids = ",".join(map(str, once + once[:known]))
        said = json.loads(glass(program, "look", "-m", model, "--ids", ids, "--top", VOCABULARY, "--json", *edits))
        sum -= next(entry["logprob"] for entry in said["next"] if entry["id"] == once[known])
    return sum / ASKED


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glass")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    data, model = args.dir / "texts.bin", args.dir / "run"
    if not (model / "config.json").exists():
        texts(data)
        subprocess.run([args.glass, "train", "--data", data, "--out", model, "--steps", str(args.steps), *RUN.split()], check=True)
    grown = glass(args.glass, "look", "--train", model, "--json", "--svg", args.dir / "growth.svg")
    last = json.loads(grown.splitlines()[-1])
    scores = {f"{layer}.{head}": found for layer, heads in enumerate(last["heads"]) for head, found in enumerate(heads)}
    print(f"nothing silenced: {loss(args.glass, model):.3f} nats, by chance {math.log(VOCABULARY):.3f}")
    print("head  induction  previous   without it   and those above")
    silent = []
    for name, found in sorted(scores.items(), key=lambda item: -item[1]["induction"]):
        silence = ["--ablate", "block.{}.attention.head.{}".format(*name.split("."))]
        silent += silence
        without, all_so_far = loss(args.glass, model, *silence), loss(args.glass, model, *silent)
        print(f"{name:5} {found['induction']:9.1%} {found['previous']:9.1%} {without:12.3f} {all_so_far:16.3f}")


if __name__ == "__main__":
    main()
