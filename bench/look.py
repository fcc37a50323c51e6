"""Looking inside GPT-2 124M: a pass with everything recorded, and every head patched; Glass and TransformerLens in turns.

    .venv/bin/python bench/look.py [--rounds 5] [--tokens 64] [--threads 2]

Random weights, the same on both sides, in f32. Recorded is every site that both have (not what each head contributes, which
TransformerLens leaves out too), the logits of all positions among them; once in memory that is all new (first), once into a new record of the inspector, which has
the memory of the one before that was dropped (record), and once into the same record (again). TransformerLens makes a new cache each
time, in the memory that its process has. A sweep patches the mixed values of each of the 144
heads from another text and reads two logits after the last position: there one run for each, with the logits of all positions, as it offers it; here all heads of a block together
and only the blocks from it on. Every side is a process of its own; memory is the most that it held.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import ROOT, Side, interleave, machine, ours, record
from run import Work

# What is done, as a line of a turn.
WORK = ["plain", "first", "record", "again", "heads"]


def prepare(folder):
    """GPT-2 124M with random weights, with a tokenizer, which TransformerLens requires."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    if not (folder / "config.json").exists():
        torch.manual_seed(1)
        GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
        AutoTokenizer.from_pretrained(ROOT / "models").save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=WORK, nargs="+", default=WORK, help="what is measured; all of it")
    parser.add_argument("--keep", type=Path, help="a folder for the model, half a gigabyte, used again by the next run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        prepare(folder)
        results = {}
        for what in asked.only:
            # A process for every work, so that its peak of memory is that work's.
            sides = {
                "glass": ours("look", folder, asked.threads),
                "TransformerLens": Side([sys.executable, ROOT / "bench" / "lens_turns.py", folder, asked.threads]),
            }
            turns = {name: Work(side, f"{what} {asked.tokens}") for name, side in sides.items()}
            seconds, idle = interleave(turns, asked.rounds)
            rates = {}
            for name, side in sides.items():
                taken = seconds[name]
                rates[name] = {"seconds": median(taken), "least": min(taken), "most": max(taken)}
                rates[name] = {key: round(value, 4) for key, value in rates[name].items()} | {"GB": side.peak()}
                side.close()
            rates["ratio"] = round(rates["TransformerLens"]["seconds"] / rates["glass"]["seconds"], 2)
            results[what] = rates | {"idle cores": idle}
            print(f"{what:8} {json.dumps(results[what])}")
    about = machine(["transformer-lens", "transformers", "torch"]) | {
        "threads": asked.threads, "rounds": asked.rounds, "tokens": asked.tokens,
        "what": "GPT-2 124M in f32: a plain pass, one with everything recorded, a sweep over all heads; seconds",
    }
    record(f"look-{asked.threads}", about, results)


if __name__ == "__main__":
    main()
