"""nanoGPT's recipe in PyTorch, for `sooner.py`: its model, initialisation, optimiser, schedule and batches, from its `model.py`,
`train.py` and `config/train_shakespeare_char.py`.

    nanogpt.py FOLDER --shape LAYERS,HEADS,WIDTH,VOCABULARY,CONTEXT --batch N --steps N [--every N] [--kept FILE]

FOLDER holds train.bin and val.bin, token ids of two bytes. Prints a line of JSON for every step: its number, the seconds that
training took so far without evaluations, and after every EVERY steps the loss over the validation text. A run with --kept
saves itself to that file and goes on from there. With --turns it instead takes as many steps as each line on standard input
says, and answers with the seconds they took.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

RATE, LEAST_RATE, WARM_UP, BETAS, DECAY, CLIP = 1e-3, 1e-4, 100, (0.9, 0.99), 0.1, 1.0


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.query_key_value, self.value_up = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        samples, rows, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).split(width, -1)
        query, key, value = (part.view(samples, rows, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.value_up(mixed.transpose(1, 2).reshape(samples, rows, width))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


class NanoGpt(nn.Module):
    """Tied, without biases, without dropout."""

    def __init__(self, layers, heads, width, vocabulary, context):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                ends_branch = name.endswith(("value_up.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if ends_branch else 0.02)

    def forward(self, inputs, targets):
        x = self.token(inputs) + self.position.weight[: inputs.shape[1]]
        logits = F.linear(self.norm(self.blocks(x)), self.token.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rate(step, steps):
    """Of step `step`, from 0."""
    if step < WARM_UP:
        return RATE * (step + 1) / (WARM_UP + 1)
    share = (step - WARM_UP) / max(steps - WARM_UP, 1)
    return LEAST_RATE + (RATE - LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2


class Training:
    def __init__(self, asked):
        torch.manual_seed(asked.seed)
        *sizes, self.context = map(int, asked.shape.split(","))
        self.gpt = NanoGpt(*sizes, self.context)
        matrices = [p for p in self.gpt.parameters() if p.dim() == 2]
        vectors = [p for p in self.gpt.parameters() if p.dim() != 2]
        groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
        self.precision, self.batch, self.steps = asked.precision, asked.batch, asked.steps
        self.taken, self.seconds = 0, 0.0
        self.train, self.validation = (
            torch.from_numpy(np.fromfile(asked.folder / name, dtype=np.uint16).astype(np.int64))
            for name in ("train.bin", "val.bin")
        )
        if asked.kept and asked.kept.exists():
            kept = torch.load(asked.kept)
            self.gpt.load_state_dict(kept["gpt"])
            self.optimiser.load_state_dict(kept["optimiser"])
            torch.set_rng_state(kept["random"])
            self.taken, self.seconds = kept["taken"], kept["seconds"]
        if asked.compiled:
            self.gpt.compile()
        self.warm_up()

    def keep(self, path):
        kept = {
            "gpt": self.gpt.state_dict(), "optimiser": self.optimiser.state_dict(), "random": torch.get_rng_state(),
            "taken": self.taken, "seconds": self.seconds,
        }
        new = path.with_suffix(".new")
        torch.save(kept, new)
        new.replace(path)

    def loss(self, inputs, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            return self.gpt(inputs, targets)

    def warm_up(self):
        """A pass that changes nothing, so that the time to compile is not counted."""
        zeros = torch.zeros(self.batch, self.context, dtype=torch.int64)
        self.loss(zeros, zeros).backward()
        self.optimiser.zero_grad(set_to_none=True)

    def step(self):
        start = time.perf_counter()
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.taken, self.steps)
        starts = torch.randint(len(self.train) - self.context, (self.batch,))
        inputs, targets = (
            torch.stack([self.train[start + ahead : start + ahead + self.context] for start in starts]) for ahead in (0, 1)
        )
        self.loss(inputs, targets).backward()
        nn.utils.clip_grad_norm_(self.gpt.parameters(), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.taken += 1
        self.seconds += time.perf_counter() - start

    @torch.no_grad()
    def evaluate(self):
        """Mean nats over the validation text in windows, every token once."""
        nats, counted = 0.0, 0
        windows = (len(self.validation) - 1) // self.context
        rows = windows * self.context
        inputs, targets = (self.validation[ahead : rows + ahead].view(windows, self.context) for ahead in (0, 1))
        for first in range(0, windows, self.batch):
            part = slice(first, first + self.batch)
            rows = len(inputs[part])
            nats += rows * self.loss(inputs[part], targets[part]).item()
            counted += rows
        return nats / counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--turns", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    training = Training(asked)
    if asked.turns:
        for line in sys.stdin:
            before = training.seconds
            for _ in range(int(line)):
                training.step()
            print(training.seconds - before, flush=True)
        return
    while training.taken < asked.steps:
        training.step()
        is_due = training.taken % asked.every == 0 or training.taken == asked.steps
        line = {"step": training.taken, "seconds": training.seconds, "val_loss": training.evaluate() if is_due else None}
        print(json.dumps(line), flush=True)
        if asked.kept and (is_due or training.taken % 20 == 0):
            training.keep(asked.kept)


if __name__ == "__main__":
    main()
