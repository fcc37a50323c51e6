"""PyTorch's process for `train.py` and `families.py`, the counterpart of `crates/glass/benches/turns.rs`.

    torch_turns.py eager|compiled f32|bf16 LAYERS HEADS WIDTH VOCABULARY CONTEXT SAMPLES THREADS     a GPT-2
    torch_turns.py eager|compiled f32|bf16 smollm2-135m CONTEXT SAMPLES THREADS

Runs a number of steps for every line on standard input, and answers with the seconds they took.
"""

import sys
import time

import torch

from gpt import Gpt, Llama, adamw, step


def main():
    how, precision, *shape = sys.argv[1:]
    *shape, context, samples, threads = shape
    context, samples, threads = int(context), int(samples), int(threads)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    if shape == ["smollm2-135m"]:
        vocabulary = 49152
        gpt = Llama(layers=30, heads=9, key_heads=3, width=576, hidden=1536, vocabulary=vocabulary, context=context)
    else:
        layers, heads, width, vocabulary = map(int, shape)
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
