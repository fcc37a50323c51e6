"""Everything that needs `transformers`: writes the small model files for the tests, and checks that Glass's models open there.

    python tools/model_files.py fixtures        writes crates/glass/tests/golden/files
    python tools/model_files.py variants        only variants.json
    python tools/model_files.py open DIR        opens a saved model unchanged: sizes, logits, tokenizer, chat template
    python tools/model_files.py same DIR DIR    the logits of two directories agree to 1e-4

Needs torch, transformers, tokenizers and safetensors. The tests need none of them: its output is committed.
"""

import json
import os
import shutil
import sys

# This file's folder would hide a package of the same name.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPT2Model

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "crates", "glass", "tests", "golden", "files")


def model(**changes):
    sizes = dict(vocab_size=11, n_positions=6, n_embd=8, n_layer=2, n_head=2, bos_token_id=10, eos_token_id=10)
    torch.manual_seed(1)
    made = GPT2LMHeadModel(GPT2Config(**{**sizes, **changes})).eval()
    # Random weights everywhere: fresh biases are zero, so a wrong order would not show.
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made


def fixtures():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    at = lambda name: os.path.join(GOLDEN, name)
    model().save_pretrained(at("f32"))
    model().to(torch.bfloat16).save_pretrained(at("bf16"))
    model().to(torch.float16).save_pretrained(at("f16"))
    model(tie_word_embeddings=False).save_pretrained(at("untied"))
    model(n_inner=12).save_pretrained(at("inner"))
    model().save_pretrained(at("sharded"), max_shard_size="2KB")
    # As in the first checkpoints: no prefix, and the masks among the tensors.
    bare = model()
    tensors = {name.removeprefix("transformer."): t for name, t in bare.state_dict().items() if name != "lm_head.weight"}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(1, 1, 6, 6, dtype=torch.uint8))
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    os.makedirs(at("bare"))
    save_file(tensors, os.path.join(at("bare"), "model.safetensors"))
    bare.transformer.config.save_pretrained(at("bare"))
    # A copy of the tied unembedding.
    os.makedirs(at("redundant"))
    tensors = {**load_file(os.path.join(at("f32"), "model.safetensors"))}
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    save_file(tensors, os.path.join(at("redundant"), "model.safetensors"), metadata={"format": "pt"})
    shutil.copy(os.path.join(at("f32"), "config.json"), at("redundant"))
    # One tensor joined and transposed, number by number, so that reading is not only compared with writing.
    state = model().state_dict()
    joined = state["transformer.h.1.attn.c_attn.weight"]
    query, key, value = (part.T.contiguous().flatten().tolist() for part in joined.split(8, dim=1))
    up = state["transformer.h.1.mlp.c_fc.weight"].T.contiguous().flatten().tolist()
    with open(at("parts.json"), "w") as f:
        json.dump({"block.1.attention.query.weight": query, "block.1.attention.key.weight": key,
                   "block.1.attention.value_down.weight": value, "block.1.mlp.up.weight": up,
                   "block.1.attention.key.bias": state["transformer.h.1.attn.c_attn.bias"][8:16].tolist()}, f)
    ids = [3, 1, 4, 1, 5, 9]
    with torch.no_grad():
        last = {name: logits(at(name))[1](torch.tensor([ids])).logits[0, -1].tolist() for name in ("f32", "untied", "inner")}
    with open(at("logits.json"), "w") as f:
        json.dump({"ids": ids, **last}, f)
    variants()


# Other settings in config.json, with the same weights, that are still a GPT-2.
VARIANTS = [
    *({"activation_function": name} for name in (
        "gelu", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "relu2")),
    {"scale_attn_by_inverse_layer_idx": True},
    {"scale_attn_weights": False},
    {"reorder_and_upcast_attn": True},
]


def variants():
    """The logits of the f32 model's weights under every variant of its config.json, by transformers."""
    ids, state, found = [3, 1, 4, 1, 5, 9], load_file(os.path.join(GOLDEN, "f32", "model.safetensors")), []
    for change in VARIANTS:
        gpt = model(**change)
        assert not gpt.load_state_dict(state, strict=False).unexpected_keys
        gpt.tie_weights()
        with torch.no_grad():
            found.append({"change": change, "logits": gpt(torch.tensor([ids])).logits[0, -1].tolist()})
    with open(os.path.join(GOLDEN, "variants.json"), "w") as f:
        json.dump({"ids": ids, "variants": found}, f)


def logits(directory):
    gpt, report = GPT2LMHeadModel.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    wrong = {k: v for k, v in report.items() if v}
    assert not wrong, f"{directory}: not opened as it is: {wrong}"
    config = gpt.config
    ids = torch.arange(min(config.n_positions, 64))[None] * 7919 % config.vocab_size
    with torch.no_grad():
        return gpt.eval()(ids).logits[0], gpt


def open_(directory):
    out, gpt = logits(directory)
    print(f"{directory}: {sum(p.numel() for p in gpt.parameters())} weights, logits {tuple(out.shape)}")
    print("the last row's first logits:", out[-1, :4].tolist())
    if os.path.exists(os.path.join(directory, "tokenizer.json")):
        tokenizer = AutoTokenizer.from_pretrained(directory)
        text = "Hello, you two! naïve 日本\n"
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text, tokenizer.decode(ids)
        print("tokenizer:", type(tokenizer).__name__, ids, "end of text:", tokenizer.eos_token, tokenizer.eos_token_id)
        if tokenizer.chat_template:
            said = [{"role": "user", "content": "Hello"}]
            print("chat:", repr(tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)))


def same(one, other):
    a, b = logits(one)[0], logits(other)[0]
    worst = (a - b).abs().max().item()
    assert worst <= 1e-4, f"{one} and {other} differ by {worst}"
    print(f"{one} and {other}: logits agree to {worst}")


if __name__ == "__main__":
    commands = {"fixtures": fixtures, "variants": variants, "open": open_, "same": same}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
