"""Scores the same tasks with `glass score --tasks` and EleutherAI's lm-evaluation-harness, and compares them.

    .venv/bin/python bench/tasks.py FILE.jsonl… [--model models] [--items 200] [--glass PROGRAM]

MODEL is a folder that both can open; the first items of each file are used. The harness runs its Hugging Face back end
in float32 on tasks made from the same lines, without a network. The comparison covers the totals, and item by item what
was right and the log-probability of every choice. Status 1 if they differ by more than rounding. (For perplexity, the
harness estimates the standard error by random bootstrapping; Glass computes it.)
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, machine, record

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

# Sums of a hundred and more log-probabilities in float32.
CLOSE = 1e-3


def harness_task(name, items):
    """A task of the harness from these items."""
    config = {
        "task": name, "dataset_path": name, "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(items)},
        "test_split": "test",
    }
    if "choices" in items[0]:
        config |= {
            "output_type": "multiple_choice", "doc_to_text": lambda item: item["query"],
            "doc_to_choice": lambda item: item["choices"],
            "doc_to_target": lambda item: item["gold"], "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
    elif "context_options" in items[0]:
        # If the text is a number, the harness takes the choices for contexts.
        config |= {
            "output_type": "multiple_choice", "doc_to_text": lambda item: item["gold"],
            "doc_to_choice": lambda item: item["context_options"],
            "doc_to_target": lambda item: item["continuation"], "metric_list": [{"metric": "acc"}],
        }
    else:
        config |= {
            "output_type": "loglikelihood", "doc_to_text": lambda item: item["context"],
            "doc_to_target": lambda item: " " + item["continuation"],
            "metric_list": [{"metric": "acc"}, {"metric": "perplexity"}],
        }
    return ConfigurableTask(config=config)


def harness(model, name, items):
    """Totals, and for every item its log-probabilities and what was right."""
    found = lm_eval.simple_evaluate(model, tasks=[harness_task(name, items)], bootstrap_iters=1000)
    totals = {key.partition(",")[0]: value for key, value in found["results"][name].items() if ",none" in key}
    each = []
    for sample in sorted(found["samples"][name], key=lambda sample: sample["doc_id"]):
        logprobs = [logprob for logprob, _greedy in sample["filtered_resps"]]
        each.append((logprobs, bool(sample["acc"]), bool(sample["acc_norm"]) if "acc_norm" in sample else None))
    return totals, each


def glass(program, model, path):
    """The same of `glass score`."""
    command = [program, "score", "--model", model, "--tasks", path, "--each", "--json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    *items, totals = map(json.loads, lines)
    totals = next(kind for kind in (totals["choice"], totals["context"], totals["last_word"]) if kind)
    each = [(item.get("logprobs") or [item["logprob"]], item["right"], item.get("right_by_length")) for item in items]
    return totals, each


def compare(ours, theirs):
    """The largest difference between log-probabilities, and how many items differ in what was right."""
    pairs = list(zip(ours, theirs, strict=True))
    apart = max(abs(a - b) for our, their in pairs for a, b in zip(our[0], their[0], strict=True))
    return {"logprobs apart": apart, "items that differ": sum(our[1:] != their[1:] for our, their in pairs)}


def show(name, ours, theirs, difference):
    apart, differ, seconds = difference.values()
    print(f"{name} ({ours['items']} items): log-probabilities at most {apart:.1e} apart, {differ} items differ; "
          f"{seconds['glass']} s and {seconds['lm-eval']} s")
    for key in ("acc", "acc_norm", "perplexity"):
        if key in ours:
            sides = [f"{side[key]:.4f} ± {side[key + '_stderr']:.4f}" for side in (ours, theirs)]
            print(f"  {key:10}  glass {sides[0]:20}  lm-eval {sides[1]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", help="default: the built-in model, as floats")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--glass", help="the program; by default it is built")
    asked = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    program = asked.glass
    if not program:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "glass-app"], cwd=ROOT, check=True)
        program = ROOT / "target" / "release" / "glass"
    name = os.path.relpath(asked.model, ROOT) if asked.model else "models"
    with tempfile.TemporaryDirectory() as temporary:
        if not asked.model:
            # Only Glass can open the packed model.
            asked.model = str(Path(temporary) / "dense")
            subprocess.run([program, "convert", ROOT / "models", asked.model], check=True, stdout=subprocess.DEVNULL)
        sys.exit(0 if scored(asked, program, name) else 1)


def scored(asked, program, name):
    """Every file with both; whether everything is the same."""
    model = HFLM(pretrained=asked.model, device="cpu", dtype="float32", batch_size=8)
    about = machine(["lm_eval", "transformers", "torch"]) | {"model": name}
    results, same = {}, True
    for file in asked.files:
        lines = [line for line in file.read_text().splitlines() if line.strip()][: asked.items]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as part:
            part.write("\n".join(lines) + "\n")
            part.flush()
            start = time.perf_counter()
            our_totals, our_items = glass(program, asked.model, part.name)
        between = time.perf_counter()
        their_totals, their_items = harness(model, file.stem, [json.loads(line) for line in lines])
        end = time.perf_counter()
        difference = compare(our_items, their_items) | {
            "seconds": {"glass": round(between - start, 1), "lm-eval": round(end - between, 1)}
        }
        show(file.stem, our_totals, their_totals, difference)
        results[file.stem] = {"glass": our_totals, "lm-eval": their_totals} | difference
        same &= difference["logprobs apart"] < CLOSE and difference["items that differ"] == 0
    record("tasks", about | {"what": "tasks scored by both", "items of each, at most": asked.items}, results)
    return same


if __name__ == "__main__":
    main()
