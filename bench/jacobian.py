"""Fitting the Jacobian lens: Glass and TransformerLens in turns, on the same texts.

    .venv/bin/python bench/jacobian.py [--rounds 3] [--texts 1] [--tokens 64] [--threads 2] [--only built-in gpt2]

Two models in f32: the built-in one (its weights as floats, by `glass convert`) and GPT-2 124M's shape with random weights. A turn is
`--texts` texts of `--tokens` tokens without the first 16 positions; the cost is linear in texts, so few are measured. TransformerLens
runs with malloc tuned to keep memory, and with the DIM_BATCH that was fastest in a short trial before. The matrices of all texts
read by both sides are compared; an error is the largest difference, divided by the largest number of the matrix.

FLOP are those of the products of a backward pass by the book, twice the weights for each block but the first, position and number of a vector, of all
tokens for TransformerLens, and of the positions that count for Glass; Glass does fewer, since it multiplies matrices first. Peak is multiply-adds in registers, in turns with the others.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import ROOT, Side, interleave, machine, ours, record
from look import prepare
from run import Work
from train import MALLOCS

SKIPPED = 16
PEAK_GFLOP = 60
# Values of DIM_BATCH that are tried, each with a few backward passes.
BATCHES = {"built-in": [4, 8, 16, 32], "gpt2": [2, 4, 8, 16]}
TRIAL = 4


def dense(folder):
    """The built-in model as floats, which TransformerLens can read."""
    subprocess.run(["cargo", "run", "-q", "--release", "-p", "glass-app", "--", "convert", ROOT / "models", folder], check=True)


def texts(file, shape, tokens):
    """Texts of ids: stories for the built-in model, any ids for random weights."""
    import numpy
    from transformers import AutoTokenizer

    sample = (ROOT / "crates/glass/src/built_in/sample.txt").read_text()
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models")
    stories = [tokenizer.encode(story.strip())[:tokens] for story in sample.split("<|endoftext|>")]
    stories = [story for story in stories if len(story) == tokens]
    numpy.array(stories, dtype=numpy.uint32).tofile(file)
    return len(stories)


def theirs(folder, threads, ids, tokens, batch, *most):
    command = [sys.executable, ROOT / "bench" / "jacobian_turns.py", folder, threads, ids, tokens, SKIPPED, batch, *most]
    return Side(command, **MALLOCS["tuned"])


def best_batch(folder, asked, ids, batches):
    """The fastest DIM_BATCH, and the seconds of a text with each; the better of two trials, after one that is not counted."""
    seconds = {}
    for batch in batches:
        side = theirs(folder, asked.threads, ids, asked.tokens, batch, TRIAL)
        seconds[batch] = round(min([side.turn() for _ in range(3)][1:]), 2)
        side.close()
    return min(seconds, key=seconds.get), seconds


def worst(ours, others):
    """The largest error of all matrices."""
    from safetensors.torch import load_file

    ours, others = load_file(ours), load_file(others)
    assert ours.keys() == others.keys()
    return max(((ours[name] - other).abs().max() / other.abs().max()).item() for name, other in others.items())


def flop(config):
    """By the book, for one position."""
    if config["model_type"] == "gpt2":
        return 24 * config["n_embd"] ** 3 * (config["n_layer"] - 1)
    width = config["hidden_size"]
    heads = config["num_attention_heads"] + config["num_key_value_heads"]
    weights = 2 * width * heads * config["head_dim"] + 3 * width * config["intermediate_size"]
    return 2 * weights * width * (config["num_hidden_layers"] - 1)


def measure(model, folder, asked, temporary):
    ids = temporary / f"{model}.ids"
    texts(ids, model, asked.tokens)
    config = json.loads((folder / "config.json").read_text())
    batch, trials = best_batch(folder, asked, ids, BATCHES[model])
    mine = ours("jacobian", folder, asked.threads, ids, asked.tokens, SKIPPED)
    other = theirs(folder, asked.threads, ids, asked.tokens, batch)
    peak = ours("peak", PEAK_GFLOP, asked.threads)
    sides = {"glass": Work(mine, asked.texts), "TransformerLens": Work(other, asked.texts), "peak": Work(peak, 1)}
    seconds, idle = interleave(sides, asked.rounds)
    files = [temporary / f"{model}.{name}.safetensors" for name in ("glass", "theirs")]
    for side, file in zip((mine, other), files):
        side.turn(f"save {file}")
    top = PEAK_GFLOP / median(seconds["peak"])
    unit = flop(config)
    found = {"dim_batch": batch, "trials": trials, "peak GFLOP/s": round(top)}
    for name, positions in (("glass", asked.tokens - 1 - SKIPPED), ("TransformerLens", asked.tokens)):
        each = sorted(taken / asked.texts for taken in seconds[name])
        rate = unit * positions / 1e9 / median(each)
        found[name] = {
            "seconds a text": round(median(each), 3), "least": round(each[0], 3), "most": round(each[-1], 3),
            "GFLOP/s by the book": round(rate), "of the peak": round(rate / top, 2), "GB": (mine if name == "glass" else other).peak(),
        }
    pairs = sorted(b / a for a, b in zip(seconds["glass"], seconds["TransformerLens"]))
    found["ratio"] = {"median": round(median(pairs), 2), "least": round(pairs[0], 2), "most": round(pairs[-1], 2)}
    found["error"] = float(f"{worst(*files):.1e}")
    for side in (mine, other, peak):
        side.close()
    return found | {"idle cores": idle}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(BATCHES), nargs="+", default=list(BATCHES))
    asked = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        for model in asked.only:
            folder = temporary / model
            folder.mkdir()
            prepare(folder) if model == "gpt2" else dense(folder)
            results[model] = measure(model, folder, asked, temporary)
            print(f"{model:9} {json.dumps(results[model])}")
    about = machine(["transformer-lens", "transformers", "torch"]) | {
        "threads": asked.threads, "rounds": asked.rounds, "texts": asked.texts, "tokens": asked.tokens, "skipped": SKIPPED,
        "what": "fitting the Jacobian lens in f32; seconds of a text, and TransformerLens's seconds divided by Glass's, turn by turn",
    }
    record(f"jacobian-{asked.threads}", about, results)


if __name__ == "__main__":
    main()
