"""Writes crates/glass/tests/golden/next_token.json: the probabilities after transformers' logits processors.

Needs `torch` and `transformers`; downloads nothing. Run from anywhere: python tools/next_token_goldens.py
"""

import json
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

FILE = Path(__file__).resolve().parent.parent / "crates/glass/tests/golden/next_token.json"
VOCABULARY = 24
PROMPT = [3, 3, 17, 5]

OPTIONS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.9},
    {"top_k": 5},
    {"top_p": 0.6},
    {"top_p": 0.95, "temperature": 1.5},
    {"min_p": 0.1},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.5, "top_k": 3},
    {"repetition_penalty": 1.2, "temperature": 0.8, "top_k": 9, "top_p": 0.9, "min_p": 0.05},
]


def processors(options):
    """In Glass's order, which is also that of transformers."""
    kinds = {
        "repetition_penalty": RepetitionPenaltyLogitsProcessor,
        "temperature": TemperatureLogitsWarper,
        "top_k": TopKLogitsWarper,
        "top_p": TopPLogitsWarper,
        "min_p": MinPLogitsWarper,
    }
    return LogitsProcessorList([kind(options[name]) for name, kind in kinds.items() if name in options])


def main():
    torch.manual_seed(1)
    cases = []
    for options in OPTIONS:
        logits = torch.round(torch.randn(1, VOCABULARY) * 3, decimals=3)
        left = processors(options)(torch.tensor([PROMPT]), logits.double())
        probabilities = left.softmax(-1)[0].tolist()
        kept = {id: round(p, 9) for id, p in enumerate(probabilities) if p > 0}
        logits = [round(logit, 3) for logit in logits[0].tolist()]
        cases.append({"options": options, "logits": logits, "probabilities": kept})
    lines = ",\n".join(json.dumps(case) for case in cases)
    FILE.write_text(f'{{"prompt": {PROMPT}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
