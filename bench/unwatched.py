"""Measures the cost of the code for probes: the model without a probe, and a copy without the lines that call one, in turns.

    python3 bench/unwatched.py [--rounds 15] [--threads 2]

A copy of the repository is made, every `pass.at(…)` in the model is removed, every `pass.wants(…)` is replaced by no, and both are
built. GPT-2 124M with random weights in q8: a prompt of 128 tokens, and 64 tokens one after another.
"""

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path

from common import ROOT, figures, interleave, machine, ours, record
from run import Work

SHAPE = "12x12x768x50257x1024"
PROCESSES = 4
WORK = {"prompt": ("prefill 128", 128), "decode": ("decode 64 0", 64)}


def copy_without_probes(folder):
    """The sources in `folder`, without the lines that a probe needs; how many were removed."""
    ignored = shutil.ignore_patterns("target", ".venv", ".git", "records")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    lines = 0
    model = folder / "crates" / "glass" / "src" / "model"
    for file in [model.with_suffix(".rs"), *model.rglob("*.rs")]:
        if file.name == "pass.rs":
            continue
        text = file.read_text()
        text, shown = re.subn(r"^ *pass\.at(?:_rows)?\(.*\);\n", "", text, flags=re.M)
        text, asked = re.subn(r"pass\.wants\((?:[^()]|\([^()]*\))*\)", "crate::probe::Want::No", text)
        file.write_text(text)
        lines += shown + asked
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        lines = copy_without_probes(Path(temporary))
        # The position of its memory makes one process faster than another of the same program, so there are several
        # of each.
        sides = {}
        for number in range(PROCESSES):
            sides["with probe lines", number] = ours("run", SHAPE, asked.threads, "q8")
            sides["without", number] = ours("run", SHAPE, asked.threads, "q8", root=temporary)
        results = {"lines taken out": lines}
        for what, (line, tokens) in WORK.items():
            seconds, idle = interleave({name: Work(side, line) for name, side in sides.items()}, asked.rounds)
            pooled = {"with probe lines": [], "without": []}
            for (name, _), taken in seconds.items():
                pooled[name] += taken
            rates = {name: figures(tokens, taken) for name, taken in pooled.items()}
            rates["ratio"] = round(rates["with probe lines"]["median"] / rates["without"]["median"], 4)
            results[what] = rates | {"idle cores": idle}
            print(f"{what:8} {json.dumps(results[what])}")
        for side in sides.values():
            side.close()
    about = machine([]) | {"threads": asked.threads, "rounds": asked.rounds}
    about["what"] = "GPT-2 124M in q8 with nobody looking, tokens per second"
    record(f"unwatched-{asked.threads}", about, results)


if __name__ == "__main__":
    main()
