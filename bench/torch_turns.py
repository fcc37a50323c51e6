"""PyTorch's process for `train.py`, the counterpart of `crates/glass/benches/turns.rs`.

    torch_turns.py eager|compiled f32|bf16 LAYERS HEADS WIDTH VOCABULARY CONTEXT SAMPLES THREADS

Runs a number of steps for every line on standard input, and answers with the seconds they took.
"""

import sys
import time

import torch

from gpt import Gpt, adamw, step


def main():
    how, precision, *sizes = sys.argv[1:]
    layers, heads, width, vocabulary, context, samples, threads = map(int, sizes)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    gpt = Gpt(layers, heads, width, vocabulary, context)
    optimiser = adamw(gpt, 3e-4)
    if how == "compiled":
        gpt.compile()
    ids = torch.arange(samples * context + 1) * 7919 % vocabulary
    inputs, targets = ids[:-1].view(samples, context), ids[1:].view(samples, context)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step(gpt, optimiser, inputs, targets, precision)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
