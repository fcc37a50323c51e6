"""Makes the golden folder of choices that no family of `family_goldens.py` has: layers that read the keys and values of the
layer before, and attention sinks.

    python -m venv .venv && .venv/bin/pip install torch transformers==5.24.0 safetensors numpy
    PYTHONPATH=tools .venv/bin/python -P tools/own_goldens.py crates/glass/tests/golden/own

A Llama of transformers whose every second layer has no key and value matrices, but takes what those of the layer before gave, and
whose attention is that of transformers' gpt-oss, with a sink for every head. The folder holds config.json and model.safetensors in
Glass's own form, and golden.safetensors with what `family_goldens.py` computes, by the parameters' names.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.llama import modeling_llama

from family_goldens import FOUR, STEADY, VOCABULARY, apart, empty, logits_of, report, results, rope, without

ROWS = 20
SETTINGS = without(FOUR) | {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True} | rope(100.0)
NAMES = {
    "model.embed_tokens": "embedding.token", "model.layers.": "block.", "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key", "self_attn.v_proj": "attention.value_down", "self_attn.o_proj": "attention.value_up",
    "self_attn.sinks": "attention.sinks", "input_layernorm": "attention.norm", "post_attention_layernorm": "mlp.norm",
    "gate_proj": "gate", "up_proj": "up", "down_proj": "down", "model.norm": "norm",
}


class Earlier(nn.Module):
    """Gives what another module gave last."""

    def __init__(self, other):
        super().__init__()
        other.register_forward_hook(lambda _module, _inputs, output: setattr(self, "output", output))

    def forward(self, _inputs):
        return self.output


def glass_name(name):
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def new_model(dtype, seed):
    config = AutoConfig.for_model("llama", **json.loads(json.dumps(SETTINGS)))
    model = empty(config)
    layers = [layer.self_attn for layer in model.model.layers]
    for before, layer in zip(layers[::2], layers[1::2]):
        layer.k_proj, layer.v_proj = Earlier(before.k_proj), Earlier(before.v_proj)
    for layer in layers:
        layer.sinks = nn.Parameter(torch.empty(config.num_attention_heads, dtype=torch.float64))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.copy_((values + 1.0 if parameter.dim() == 1 and "norm" in name else values).float())
    return model.to(dtype)


def config_json():
    """The same model in Glass's own form."""
    layer = {"window": None, "rotary": SETTINGS["rope_parameters"]}
    own = {
        "activation": "silu", "attention": [layer, layer | {"keys_from": 1}], "context": SETTINGS["max_position_embeddings"], "gated": True,
        "head_size": SETTINGS["head_dim"], "heads": SETTINGS["num_attention_heads"], "key_heads": SETTINGS["num_key_value_heads"],
        "layers": SETTINGS["num_hidden_layers"], "mlp_width": SETTINGS["intermediate_size"],
        "norm": {"kind": "rms", "epsilon": SETTINGS["rms_norm_eps"], "gain": "weight"}, "sinks": True, "tied": True,
        "vocabulary": VOCABULARY, "width": SETTINGS["hidden_size"],
    }
    return {"architectures": ["GlassLMHeadModel"], "model_type": "glass", "dtype": "float32", "glass": own}


def make(folder, seed):
    """Writes the folder; false if float32 is far away, as in `family_goldens.py`."""
    modeling_llama.eager_attention_forward = modeling_gpt_oss.eager_attention_forward
    ids = torch.randint(VOCABULARY, (2, ROWS), generator=torch.Generator().manual_seed(1000 + seed))
    model, rough = new_model(torch.float64, seed), new_model(torch.float32, seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_json(), indent=2) + "\n")
    weights = {glass_name(name): values.detach().float().contiguous() for name, values in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    found = results(model, logits_of, ids)
    rough = results(rough, lambda model, ids: model(input_ids=ids, use_cache=False).logits, ids)
    if any(apart(rough[name], values) > STEADY for name, values in found.items() if values.abs().max() > 1e-9):
        return False
    tensors = {glass_name(name): values.float().contiguous() for name, values in found.items()}
    save_file(tensors | {"ids": ids.int()}, folder / "golden.safetensors", {"transformers": "5.24.0"})
    report(folder, "own", found, rough, 0.0)
    return True


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    assert any(make(Path(sys.argv[1]), seed) for seed in range(20))
