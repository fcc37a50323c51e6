"""Time to a loss: how long `glass train --recipe fast` takes to the loss at which nanoGPT's recipe ends on PyTorch.

    .venv/bin/python bench/sooner.py shakespeare TEXT [--seeds 3]
    .venv/bin/python bench/sooner.py stories TEXT… --validation TEXT [--seeds 3] [--kept FOLDER]
    .venv/bin/python bench/sooner.py shakespeare TEXT --ablate [--seeds 3]

Both sides learn the same token ids, with as many weights, on the same threads, and are judged on the same held-out text; seconds
are those of training, without evaluations. Which of PyTorch's variants is fastest is measured first (eager or compiled; float32
or bfloat16; malloc tuned), in turns with Glass in both precisions, and the fastest of each run. Then both train with every seed, one after
the other. `shakespeare`: 4 layers × 128, context 64, characters, 2,000 steps of 12 samples. `stories`: 6 × 384, context 256, 4,096 tokens
learned from the texts, as many steps of 12 samples as PyTorch takes in an hour; with --kept, what was chosen is kept, and PyTorch's
side goes on where an earlier call was stopped. The loss to reach is that at PyTorch's end; if it was lower before, that one is said too.

With --ablate, only Glass runs: the recipe with one choice changed at a time, for as many steps.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from common import ROOT, Side, has_bf16, interleave, machine, ours, record
from curves import GLASS, PYTORCH
from picture import Line, lines

TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "268435456"}
VARIANTS = {
    "eager f32": [], "compiled f32": ["--compiled"], "eager bf16": ["--precision", "bf16"],
    "compiled bf16": ["--compiled", "--precision", "bf16"],
}
PRECISIONS = ["f32", "mixed"] if has_bf16() else ["f32"]
END_OF_TEXT = "<|endoftext|>"


@dataclass
class Task:
    """Sizes, nanoGPT's batch and steps (or the seconds they may take), Glass's batch, steps and other options, and how many steps a turn
    takes."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int
    steps: int | None
    hour: float | None
    our_batch: int
    our_steps: int
    turn: int
    ours: tuple = ()

    def shape(self, vocabulary):
        return [self.layers, self.heads, self.width, vocabulary, self.context]

    def weights(self, vocabulary):
        """Of nanoGPT's model: tied, without biases."""
        return (vocabulary + self.context + self.width * 12 * self.layers + 2 * self.layers + 1) * self.width


TASKS = {
    # So few steps of so small a model are better with all blocks.
    "shakespeare": Task(4, 4, 128, 64, 12, 2000, None, 8, 320, 8, ("--early-steps", "0")),
    # A narrower gate pays for an unembedding of its own.
    "stories": Task(
        6, 6, 384, 256, 12, None, 3600.0, 4, 1700, 1, ("--mlp-width", "768", "--early-blocks", "2", "--early-steps", "1450"),
    ),
}

# The recipe with one choice changed.
ABLATIONS = {
    "the recipe": [],
    "AdamW for all, a rate of 0.002": ["--optimiser", "adamw", "--lr", "0.002"],
    "AdamW for all, a rate of 0.005": ["--optimiser", "adamw", "--lr", "0.005"],
    "every matrix in every step, at half the rate": ["--muon-every", "1", "--matrix-lr", "0.00375"],
    "no norm of queries and keys": ["--family", "llama"],
    "learned positions, LayerNorm, GELU (GPT-2)": ["--family", "gpt2"],
    "squared ReLU without a gate": ["--activation", "squared-relu", "--gated", "false"],
    "GELU without a gate": ["--activation", "gelu", "--gated", "false"],
    "tied": ["--tied", "true"],
    "momentum 0.95": ["--momentum", "0.95"],
    "half the rates": ["--lr", "0.0075", "--matrix-lr", "0.00375"],
    "twice the rates": ["--lr", "0.03", "--matrix-lr", "0.015"],
    "cosine": ["--schedule", "cosine"],
    "warm-up, stable, decay": ["--schedule", "wsd"],
    "to a tenth of the rate": ["--min-lr", "0.0015"],
    "no weight decay": ["--weight-decay", "0"],
    "no clipping": ["--clip", "0"],
    "two blocks in the first half": ["--early-blocks", "2", "--early-steps", "half"],
    "one block in the first half": ["--early-blocks", "1", "--early-steps", "half"],
    "capped logits": ["--logit-cap", "15"],
    "batch × 2, half the steps": ["--batch", "16"],
    "batch / 2, twice the steps": ["--batch", "4"],
}


def characters(text):
    """nanoGPT's: every character is a token, the last tenth is for validation."""
    known = {character: id for id, character in enumerate(sorted(set(text)))}
    ids = np.array([known[character] for character in text], dtype=np.uint16)
    cut = int(0.9 * len(ids))
    return ids[:cut], ids[cut:], len(known)


def merged(program, texts, validation, folder, most):
    """A vocabulary of 4,096 that is learned from the texts; an end-of-text token before every document."""
    from tokenizers import Tokenizer

    subprocess.run([program, "tokenizer", "learn", "--vocab", "4096", "--out", folder, *texts], check=True, stdout=sys.stderr)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END_OF_TEXT)

    def encode(paths):
        documents = (document.strip() for path in paths for document in path.read_text().split(END_OF_TEXT))
        ids = [[end, *tokenizer.encode(document).ids] for document in documents if document]
        return np.concatenate(ids).astype(np.uint16)

    return encode(texts), encode([validation])[:most], tokenizer.get_vocab_size()


def nanogpt(folder, shape, task, steps, *more):
    sizes = ",".join(map(str, shape))
    return [
        sys.executable, ROOT / "bench" / "nanogpt.py", folder, "--shape", sizes, "--batch", task.batch, "--steps", steps, *more,
    ]


def fastest(folder, shape, task, threads):
    """The variant of PyTorch and the precision of Glass that take a step soonest, both with AdamW, and the seconds of a step of each."""
    sides = {
        name: Side(nanogpt(folder, shape, task, 1000, "--threads", threads, "--turns", *more), **TUNED)
        for name, more in VARIANTS.items()
    }
    for precision in PRECISIONS:
        sides[f"glass {precision}"] = ours("train", *shape, task.batch, threads, precision)
    first, _ = interleave(sides, 1, task.turn)
    # What takes three times as long as the best is measured once; on a processor without its instructions a step of bfloat16 takes
    # half a minute.
    best = min(taken for taken, in first.values())
    slow = {name: sides.pop(name) for name, (taken,) in first.items() if taken > 3 * best}
    seconds, _ = interleave(sides, 3, task.turn, max(task.turn // 4, 1))
    for side in (sides | slow).values():
        side.close()
    taken = {name: first[name] for name in slow} | seconds
    step = {name: median(taken) / task.turn for name, taken in taken.items()}
    return min(VARIANTS, key=step.get), min(PRECISIONS, key=lambda precision: step[f"glass {precision}"]), step


def their_run(folder, shape, task, steps, threads, seed, variant, kept):
    """(seconds, validation loss) of nanoGPT's recipe."""
    more = ["--seed", seed, "--threads", threads, "--every", max(steps // 20, 1), *VARIANTS[variant]]
    if kept:
        more += ["--kept", kept / f"nanogpt-{seed}.pt"]
    command = [str(part) for part in nanogpt(folder, shape, task, steps, *more)]
    log = (kept / f"nanogpt-{seed}.jsonl").open("a+") if kept else tempfile.TemporaryFile("w+")
    with log:
        subprocess.run(command, check=True, stdout=log, env=os.environ | TUNED)
        log.seek(0)
        found = [json.loads(line) for line in log]
    return [(line["seconds"], line["val_loss"]) for line in found if line["val_loss"]]


def ours_on(program, folder, shape):
    layers, heads, width, vocabulary, context = map(str, shape)
    return [
        program, "train", "--data", folder / "train.bin", "--bin", "u16", "--val", folder / "val.bin", "--layers", layers,
        "--heads", heads, "--width", width, "--vocab", vocabulary, "--context", context, "--recipe", "fast",
    ]


def together(*options):
    """Names and values, of which later ones replace earlier ones."""
    chosen = {}
    for some in options:
        chosen |= dict(zip(some[::2], some[1::2]))
    return [part for pair in chosen.items() for part in pair]


def planned(program, folder, shape, task):
    """The number of weights."""
    plan = [*ours_on(program, folder, shape), "--steps", str(task.our_steps), *task.ours, "--plan", "--json"]
    return json.loads(subprocess.run(plan, check=True, stdout=subprocess.PIPE, text=True).stdout)["weights"]


def our_run(program, folder, shape, task, threads, seed, every, *more):
    """(seconds, validation loss) of the recipe, and the number of weights. The seconds are sums of what steps took."""
    with tempfile.TemporaryDirectory() as out:
        said = subprocess.run(
            [*ours_on(program, folder, shape), "--eval-every", str(every), "--checkpoint-every", "0", "--threads", str(threads),
             "--seed", str(seed), "--out", f"{out}/run", *map(str, more)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ).stderr
        log = [json.loads(line) for line in Path(out, "run/train/log.jsonl").read_text().splitlines()]
    seconds, seen, found = 0.0, 0, []
    for line in log:
        seconds += (line["tokens"] - seen) / line["tokens_per_second"]
        seen = line["tokens"]
        if line["val_loss"]:
            found.append((seconds, line["val_loss"]))
    weights = int(re.search(r"([\d,]+) weights", said)[1].replace(",", ""))
    return found, weights


def until(curve, loss):
    """The seconds after which a curve is first at this loss, or None."""
    return next((seconds for seconds, found in curve if found <= loss), None)


def compare(program, name, folder, vocabulary, asked):
    task = TASKS[name]
    shape = task.shape(vocabulary)
    kept = asked.kept and asked.kept / "choice.json"
    if kept and kept.exists():
        variant, precision, step = json.loads(kept.read_text())
    else:
        variant, precision, step = fastest(folder, shape, task, asked.threads)
        if kept:
            kept.write_text(json.dumps([variant, precision, step]))
    for side, seconds in step.items():
        print(f"{side:14} {task.batch * task.context / seconds:9,.0f} tokens/s")
    steps = asked.their_steps or task.steps or round(task.hour / step[variant])
    print(f"nanoGPT's recipe: {variant}, {steps:,} steps; Glass: {precision}", flush=True)
    weights = planned(program, folder, shape, task)
    apart = weights / task.weights(vocabulary) - 1
    print(f"{task.weights(vocabulary):,} and {weights:,} weights ({apart:+.1%})")
    if abs(apart) > 0.05:
        sys.exit("at most 5 % apart is comparable")
    here = {key: machine([])[key] for key in ("cpu", "load", "commit")}
    where = here | {"variant": variant, "precision": precision, "seconds of a step": step, "steps": steps}
    runs = json.loads(asked.before.read_text())["results"]["runs"] if asked.before else []
    for seed in range(len(runs) + 1, len(runs) + asked.seeds + 1):
        theirs = their_run(folder, shape, task, steps, asked.threads, seed, variant, asked.kept)
        our_steps = asked.steps or task.our_steps
        every = max(our_steps // 14, 1)
        curve, _ = our_run(
            program, folder, shape, task, asked.threads, seed, every, "--steps", our_steps, "--batch", task.our_batch,
            "--precision", precision, *task.ours,
        )
        loss = theirs[-1][1]
        took = until(curve, loss)
        runs.append({"seed": seed, "nanogpt": theirs, "glass": curve, "weights": weights, "loss": loss, "seconds": took} | where)
        sooner = f"{theirs[-1][0] / took:.1f} × sooner" if took else "not reached"
        print(f"seed {seed}: {loss:.4f} after {theirs[-1][0]:.0f} s, Glass after {took or curve[-1][0]:.1f} s "
              f"(ends at {curve[-1][1]:.4f}): {sooner}", flush=True)
        at, lowest = min(theirs, key=lambda point: point[1])
        if lowest < loss:
            below = until(curve, lowest)
            print(f"        its lowest, {lowest:.4f} after {at:.0f} s, " + (f"Glass after {below:.1f} s" if below else "Glass not"))
    found = [run["nanogpt"][-1][0] / run["seconds"] for run in runs if run["seconds"]]
    if found:
        print(f"{median(found):.1f} × sooner, {min(found):.1f} to {max(found):.1f}; {runs[0]['weights']:,} weights")
    about = machine(["torch"]) | {"threads": asked.threads, "what": "seconds of training and validation loss"}
    path = record(f"sooner-{name}", about, {"task": name, "runs": runs})
    both = [
        Line(who if run["seed"] == 1 else "", colour, run[key])
        for run in runs for who, colour, key in [("nanoGPT", PYTORCH, "nanogpt"), ("Glass", GLASS, "glass")]
    ]
    title = f"{name}: {median(found):.1f} × sooner at the same loss" if found else f"{name}: the loss was not reached"
    path.with_suffix(".svg").write_text(lines(title, "seconds of training", "validation loss, nats per token", both))


def ablate(program, name, folder, vocabulary, asked):
    task = TASKS[name]
    shape, rows = task.shape(vocabulary), {}
    for what, more in ABLATIONS.items():
        if asked.only and asked.only not in what:
            continue
        batch = int(more[1]) if more[:1] == ["--batch"] else task.our_batch
        steps = (asked.steps or task.our_steps) * task.our_batch // batch
        size = [] if more[:1] == ["--batch"] else ["--batch", batch]
        more = [steps // 2 if each == "half" else each for each in more]
        runs = [
            our_run(program, folder, shape, task, asked.threads, seed, steps, "--steps", steps, *together(size, task.ours, more))
            for seed in range(1, asked.seeds + 1)
        ]
        losses, seconds = [curve[-1][1] for curve, _ in runs], [curve[-1][0] for curve, _ in runs]
        rows[what] = {"losses": losses, "seconds": seconds, "weights": runs[0][1]}
        print(f"{what:44} {median(losses):.4f} ({min(losses):.4f} to {max(losses):.4f})  {median(seconds):6.1f} s", flush=True)
    record(f"ablations-{name}", machine([]) | {"threads": asked.threads, "what": "loss at the end, by seed"}, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="Glass's steps")
    parser.add_argument("--their-steps", type=int, help="nanoGPT's, for instance those that an hour took on another processor")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--only", help="of the ablations, those whose name contains this")
    parser.add_argument("--glass", help="the program; by default it is built")
    parser.add_argument("--kept", type=Path, help="a folder for what PyTorch's runs have reached")
    parser.add_argument("--before", type=Path, help="a record of this task: its runs stay, and --seeds others are added")
    asked = parser.parse_args()
    program = asked.glass
    if not program:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "glass-app"], cwd=ROOT, check=True)
        program = ROOT / "target" / "release" / "glass"
    if asked.kept:
        asked.kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if asked.task == "shakespeare":
            train, validation, vocabulary = characters(asked.texts[0].read_text())
        else:
            if not asked.validation:
                parser.error("stories takes --validation TEXT")
            # As many windows as both sides are judged on.
            train, validation, vocabulary = merged(program, asked.texts, asked.validation, folder, 200 * 256 + 1)
        train.tofile(folder / "train.bin")
        validation.tofile(folder / "val.bin")
        (ablate if asked.ablate else compare)(program, asked.task, folder, vocabulary, asked)


if __name__ == "__main__":
    main()
