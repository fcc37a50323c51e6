"""Compares two versions of Glass in turns, on the measurements of run.py and train.py: this one, and one in another folder.

    git worktree add /tmp/before COMMIT
    python3 bench/versions.py /tmp/before [--rounds 7] [--threads 2] [--only "prompt of 512,…"] [--kinds f32,bf16,q8,q4,mixed]
        [--powers]

GPT-2 124M with random weights, made by both versions from the same seed; training as in train.py, without PyTorch. Two
processes of each version run, since the position of its memory makes one process faster than another. A ratio above 1 means that
this version is faster. With --powers, this version also runs with input scales that are powers of two.
"""

import argparse
import subprocess

import run
import train
from common import ROOT, figures, interleave, machine, ours, record

SHAPE = "12x12x768x50257x1024"
PROCESSES = 2


def compared(sides, tokens, rounds, times=1, before=0):
    """The processes of both versions in turns."""
    seconds, idle = interleave(sides, rounds, times, before)
    pooled = {}
    for (version, _), taken in seconds.items():
        pooled.setdefault(version, []).extend(taken)
    found = {version: figures(tokens, taken) for version, taken in pooled.items()}
    ratios = {f"ratio of {version}": round(found[version]["median"] / found["other"]["median"], 3)
              for version in found if version != "other"}
    return found | ratios | {"idle cores": idle}


def processes(versions):
    """Several processes of each version, from its arguments and its folder."""
    return {
        (version, number): ours(*arguments, root=root)
        for number in range(PROCESSES)
        for version, (arguments, root) in versions.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", help="the folder of another version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join([*run.WORK, *train.SHAPES]), help="the rows")
    parser.add_argument("--kinds", default="f32,bf16,q8,q4,mixed", help="packings for inference; f32 and mixed for training")
    parser.add_argument("--powers", action="store_true")
    asked = parser.parse_args()
    roots = {"this": ROOT, "other": asked.other}
    only, kinds, results = asked.only.split(","), asked.kinds.split(","), {}

    def show(name, found):
        results[name] = found
        others = [f"{found[key]['median']:10.1f} {found[f'ratio of {key}']:.3f}" for key in ("this", "powers") if key in found]
        print(f"{name:32} {found['other']['median']:10.1f} -> {' '.join(others)}", flush=True)

    for width in run.WIDTHS:
        work = {what: done for what, done in run.WORK.items() if what in only and width in kinds}
        if work:
            versions = {name: (["run", SHAPE, asked.threads, width], root) for name, root in roots.items()}
            if asked.powers and width in ("q8", "q4"):
                versions["powers"] = ([*versions["this"][0], "powers"], ROOT)
            sides = processes(versions)
            for what, (line, tokens) in work.items():
                turns = {name: run.Work(side, line) for name, side in sides.items()}
                show(f"{what}, {width}", compared(turns, tokens, asked.rounds))
            for side in sides.values():
                side.close()
    for name, (shape, steps) in train.SHAPES.items():
        for precision in ["f32", "mixed"]:
            if name in only and precision in kinds:
                arguments = ["train", *shape, asked.threads, precision]
                sides = processes({version: (arguments, root) for version, root in roots.items()})
                tokens = steps * shape[-1] * shape[-2]
                show(f"train {name}, {precision}", compared(sides, tokens, asked.rounds, steps, steps))
                for side in sides.values():
                    side.close()
    commits = {
        version: subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        for version, root in roots.items()
    }
    about = machine([]) | {"threads": asked.threads, "rounds": asked.rounds, "commits": commits}
    record(f"versions-{asked.threads}", about | {"what": "two versions of Glass, tokens per second"}, results)


if __name__ == "__main__":
    main()
