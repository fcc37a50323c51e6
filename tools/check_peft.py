#!/usr/bin/env python3
"""Compares adapters with peft: Glass opens what peft writes, and peft what Glass writes; log-probabilities must agree.

    pip install torch transformers peft
    tools/check_peft.py [--glass target/release/glass] [--only FAMILY…]

Tiny random models of several families, among them those whose files join matrices (GPT-2, GPT-NeoX, Phi-3) or turn them (GPT-2). Fails
if a log-probability differs by more than 1e-5.
"""

import argparse
import array
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPTNeoXConfig, LlamaConfig, Phi3Config, Qwen3Config,
)

LIMIT = 1e-5
SIZES = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}
KEYS = {"num_key_value_heads": 2}
FAMILIES = {
    "gpt2": (GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2), "all-linear"),
    "llama": (LlamaConfig(**SIZES, **KEYS), "all-linear"),
    "qwen3": (Qwen3Config(**SIZES, **KEYS, head_dim=8), ["q_proj", "v_proj", "down_proj"]),
    "phi3": (Phi3Config(**SIZES, **KEYS), "all-linear"),
    "gpt_neox": (GPTNeoXConfig(**SIZES, rotary_pct=0.5), "all-linear"),
    "gemma3": (Gemma3TextConfig(**SIZES, **KEYS, head_dim=8, sliding_window=16), ["k_proj", "o_proj", "gate_proj", "up_proj"]),
}
IDS = [1, 5, 9, 77, 33, 47, 81, 90, 17, 60, 3, 41]


def theirs(gpt):
    """Log-probabilities of the ids after the first."""
    with torch.no_grad():
        found = torch.log_softmax(gpt(torch.tensor([IDS])).logits[0].double(), -1)
    return [found[place, token].item() for place, token in enumerate(IDS[1:])]


def ours(program, folder):
    command = [program, "score", "-m", folder, "--json", "--no-start", "--ids", ",".join(map(str, IDS))]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [token["logprob"] for token in told["tokens"][1:]]


def distance(a, b):
    return max(abs(one - other) for one, other in zip(a, b, strict=True))


def check(program, config, modules, folder):
    """The distances of an adapter of peft's, of one of Glass's, and how much each changes."""
    torch.manual_seed(1)
    base = folder / "base"
    gpt = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in gpt.parameters():
            parameter.mul_(2.0) if parameter.dim() == 2 else parameter.add_(0.1 * torch.randn_like(parameter))
    gpt.save_pretrained(base)
    plain = theirs(gpt)

    made = get_peft_model(gpt, LoraConfig(r=4, lora_alpha=10, target_modules=modules, task_type="CAUSAL_LM", use_rslora=True)).eval()
    for name, parameter in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    made.save_pretrained(folder / "peft")
    saved = json.loads((folder / "peft" / "adapter_config.json").read_text()) | {"base_model_name_or_path": str(base)}
    (folder / "peft" / "adapter_config.json").write_text(json.dumps(saved))
    expected = theirs(made)
    read = distance(expected, ours(program, folder / "peft")), distance(expected, plain)

    ids = array.array("H", [token * 7919 % 96 for token in range(4000)])
    (folder / "ids.bin").write_bytes(ids.tobytes())
    subprocess.run(
        [program, "train", "--from", base, "--lora", "3", "--data", folder / "ids.bin", "--bin", "u16", "--steps", "6", "--batch", "4",
         "--lr", "2e-2", "--val-fraction", "0", "--out", folder / "own", "--plain"],
        check=True, capture_output=True,
    )
    fresh = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    opened = PeftModel.from_pretrained(fresh, folder / "own").eval()
    found = ours(program, folder / "own")
    return read, (distance(theirs(opened), found), distance(found, plain))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glass", type=Path, default=Path("target/release/glass"))
    parser.add_argument("--only", nargs="*", choices=list(FAMILIES))
    asked = parser.parse_args()
    worst = 0.0
    print(f"{'':10} {'peft → Glass':>14} {'changed by':>11} {'Glass → peft':>14} {'changed by':>11}")
    for name in asked.only or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            read, written = check(asked.glass.resolve(), *FAMILIES[name], Path(folder))
        print(f"{name:10} {read[0]:14.1e} {read[1]:11.2f} {written[0]:14.1e} {written[1]:11.2f}", flush=True)
        worst = max(worst, read[0], written[0])
    if worst > LIMIT:
        sys.exit(f"a log-probability differs by {worst:.1e}, more than {LIMIT:.0e}")


if __name__ == "__main__":
    main()
