"""Makes crates/glass-app/tests/golden/tasks: a small random model, tasks, and their results in EleutherAI's
lm-evaluation-harness.

    python tools/tasks_goldens.py        # pip install lm-eval torch transformers tokenizers

The model's tokens are single bytes, `<|endoftext|>`, and a few merges across a space, so that the placement of spaces
in a context and a continuation matters.
"""

import json
import logging
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "crates/glass-app/tests/golden/tasks"

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(ROOT / "bench"))

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from tasks import harness
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import GPT2Config, GPT2LMHeadModel

CONTEXT = 48
END = "<|endoftext|>"
WORDS = ["Ġt", "Ġth", "he", "Ġthe", "ĠĠ", "Ġa", "ba", "ll", "ball", "Ġball"]
MERGES = ["Ġ t", "Ġt h", "h e", "Ġth e", "Ġ Ġ", "Ġ a", "b a", "l l", "ba ll", "Ġ ball"]

LONG = "the ball, the ball and " * 8
TASKS = {
    "choices": [
        {"query": "He has the", "choices": ["ball", " ball", "  ball"], "gold": 1},
        {"query": "He has ", "choices": [" the ball", "a ball"], "gold": 0},
        {"query": f"A ball.{END}The", "choices": [f"ball{END}", f"{END}", "ball"], "gold": 0},
        {"query": f"{END}The", "choices": ["ball", f" {END} ball"], "gold": 1},
        {"query": LONG, "choices": ["is here.", " is a ball that is here and there"], "gold": 1},
        {"query": "x", "choices": ["y" * (CONTEXT - 1), "ball"], "gold": 0},
        {"query": "é\u00a0", "choices": ["日本 ", "\tball\n"], "gold": 0},
        {"query": "", "choices": ["ball", " ball"], "gold": 0},
    ],
    "contexts": [
        {"context_options": ["the ball", f"{END}a", LONG], "continuation": " is red", "gold": 0},
        {"context_options": ["the ball ", "a"], "continuation": f"is{END}", "gold": 1},
    ],
    "words": [
        {"context": "It is the", "continuation": "ball"},
        {"context": "It is the", "continuation": " ball"},
        {"context": f"It is{END}", "continuation": "the"},
        {"context": LONG, "continuation": "ball"},
    ],
}


def tokenizer(starts):
    """Single bytes and some merges; with a start token if requested."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate(alphabet + WORDS)}
    merges = [tuple(merge.split(" ")) for merge in MERGES]
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END])
    if starts:
        end = made.token_to_id(END)
        made.post_processor = TemplateProcessing(single=f"{END} $A", pair=f"{END} $A $B:1", special_tokens=[(END, end)])
    return made


def write_model(folder, starts):
    folder.mkdir(parents=True)
    made = tokenizer(starts)
    size, end = made.get_vocab_size(), made.token_to_id(END)
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=size, n_positions=CONTEXT, n_embd=8, n_layer=1, n_head=2, bos_token_id=end, eos_token_id=end,
        initializer_range=0.4,
    )
    GPT2LMHeadModel(config).to(torch.bfloat16).save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(about) + "\n")


def main():
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    shutil.rmtree(OUT, ignore_errors=True)
    expected = {}
    for folder, starts in [("plain", False), ("start", True)]:
        write_model(OUT / folder, starts)
        model = HFLM(pretrained=str(OUT / folder), device="cpu", dtype="float32", batch_size=4)
        expected[folder] = {}
        for name, items in TASKS.items():
            _, each = harness(model, name, items)
            expected[folder][name] = [
                {"logprobs": logprobs, "right": right, "right_by_length": by_length} for logprobs, right, by_length in each
            ]
    # One model; its tokenizers differ in the start token.
    shutil.move(OUT / "start/tokenizer.json", OUT / "plain/tokenizer_start.json")
    shutil.rmtree(OUT / "start")
    (OUT / "plain").rename(OUT / "model")
    for name, items in TASKS.items():
        (OUT / f"{name}.jsonl").write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    (OUT / "expected.json").write_text(json.dumps({"lm_eval": lm_eval.__version__} | expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
