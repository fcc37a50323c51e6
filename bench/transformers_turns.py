"""Reads prompts with GPT-2 in `transformers`, for every line `prefill N` on standard input; answers with the seconds it took.

    python bench/transformers_turns.py FOLDER THREADS float32|bfloat16
"""

import sys
import time

import torch
from transformers import GPT2LMHeadModel


def main():
    folder, threads, dtype = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    for line in sys.stdin:
        ids = torch.tensor([[place * 7919 % 50257 for place in range(int(line.split()[1]))]])
        start = time.perf_counter()
        with torch.inference_mode():
            model(ids, use_cache=True, logits_to_keep=1)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
