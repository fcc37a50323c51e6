"""A step of learning (forward, backward, clip, AdamW), ours and PyTorch's in turns.

    .venv/bin/python bench/train.py [--shapes 124m-4x64,…] [--rounds 7] [--threads 2] [--peers-only]

PyTorch as it is installed: eager, float32, fused AdamW, `scaled_dot_product_attention`, no dropout.
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from common import Ours, interleave, machine, ratio, record, show

# layers, heads, width, vocabulary, context, samples
SHAPES = {
    "124m-4x64": (12, 12, 768, 50257, 64, 4),
    "124m-4x256": (12, 12, 768, 50257, 256, 4),
    "6x384-12x256": (6, 6, 384, 65, 256, 12),
}


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.value_up = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, rows, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        query, key, value = (part.view(samples, rows, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.value_up(mixed.transpose(1, 2).reshape(samples, rows, width))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, width, vocabulary, context):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids):
        x = self.token(ids) + self.position.weight[: ids.shape[1]]
        return F.linear(self.norm(self.blocks(x)), self.token.weight)


def pytorch(layers, heads, width, vocabulary, context, samples):
    """A function that takes one step and says how long it took."""
    torch.manual_seed(1)
    gpt = Gpt(layers, heads, width, vocabulary, context)
    groups = [
        {"params": [p for p in gpt.parameters() if p.dim() == 2], "weight_decay": 0.1},
        {"params": [p for p in gpt.parameters() if p.dim() != 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=3e-4, betas=(0.9, 0.95), fused=True)
    ids = torch.randint(vocabulary, (samples, context + 1))

    def step():
        start = time.perf_counter()
        logits = gpt(ids[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-only", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    about, results = machine(["torch"]) | {"threads": asked.threads, "rounds": asked.rounds}, {}
    for name in asked.shapes.split(","):
        layers, heads, width, vocabulary, context, samples = SHAPES[name]
        sides, ours = {"pytorch": pytorch(*SHAPES[name])}, None
        if not asked.peers_only:
            ours = Ours("train", layers, heads, width, vocabulary, context, samples, asked.threads)
            sides["glass"] = ours.turn
        results[name] = interleave(sides, asked.rounds, samples * context)
        if ours:
            ours.close()
        show(name, results[name])
        results[name]["glass/pytorch"] = ratio(results[name], "glass", "pytorch")
    record(f"train-{asked.threads}", about | {"what": "training, tokens per second"}, results)


if __name__ == "__main__":
    main()
