#!/usr/bin/env python3
"""Compares files that Glass writes, family by family, with transformers and llama.cpp: the columns "weights" and "GGUF" of docs/families.md.

    python -m venv .venv && .venv/bin/pip install torch transformers==5.24.0 safetensors numpy llama-cpp-python==0.3.36
    PYTHONPATH=tools .venv/bin/python -P tools/family_files.py GLASS [FAMILY…]

GLASS is the program. A tiny model of tools/family_goldens.py is converted with `glass convert`

    to a folder    which transformers opens, without a missing or unknown tensor
    to GGUF        which llama.cpp opens; where it cannot express the choices of the golden model, with those of OTHERS below

and the logits of two texts are compared with those that transformers computes in float64 from the first folder: the largest difference,
relative to the largest logit. A refusal is printed as it is. llama.cpp looks GELU up in a table of 16-bit numbers; where a family has
it, the difference from transformers with that table is printed too.
"""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers import logging as their_logging

from family_goldens import FAMILIES, TWO_ROPES, VOCABULARY, apart, logits_of, new_model, rope

warnings.filterwarnings("ignore")
their_logging.set_verbosity_error()
their_logging.disable_progress_bar()

# What llama.cpp's architectures fix, where the golden models have another value.
YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
LOCAL = {"rope_type": "default", "rope_theta": 10000.0}
OTHERS = {
    "llama_yarn": rope(50.0, "yarn", **YARN),
    "mistral": {"sliding_window": None},
    # llama.cpp leaves the window out, with a warning.
    "phi3_window": {"sliding_window": None},
    "gemma2": {"query_pre_attn_scalar": 6},
    "gemma3": {"num_hidden_layers": 7, "query_pre_attn_scalar": 8, "layer_types": ..., "rope_parameters": TWO_ROPES | {"sliding_attention": LOCAL}},
    "gemma3_linear": {
        "num_hidden_layers": 7, "layer_types": ...,
        "rope_parameters": {"sliding_attention": LOCAL, "full_attention": {"rope_type": "linear", "rope_theta": 500.0, "factor": 8.0}},
    },
}


def converted(glass, folder, to):
    """None, or the sentence with which it is refused."""
    done = subprocess.run([glass, "convert", folder, to], capture_output=True, text=True, check=False)
    return done.stderr.strip().removeprefix("glass: ") if done.returncode else None


def save(model, folder):
    saved = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager", dtype=torch.float32).eval()
    saved.load_state_dict({name: values.float() for name, values in model.state_dict().items()})
    saved.save_pretrained(folder)


def in_transformers(folder, ids):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    assert not any(loading.values()), loading
    with torch.no_grad():
        return model.eval()(input_ids=ids, use_cache=False).logits


def in_llama_cpp(path, ids):
    from llama_cpp import Llama

    # Keys and values in f32.
    llama = Llama(str(path), n_ctx=64, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0, flash_attn=False)
    rows = []
    for text in ids.tolist():
        llama.reset()
        llama.eval(text)
        rows.append(np.array(llama.scores[: len(text)]))
    return torch.from_numpy(np.stack(rows))


class Rounded(torch.nn.Module):
    """GELU by tanh of a 16-bit number, rounded to 16 bits, also where the family's is exact."""

    def forward(self, x):
        y = torch.nn.functional.gelu(x.half().double(), approximate="tanh").half().double()
        return torch.where(x.abs() < 10, y, x.clamp_min(0)).to(x.dtype)


def with_rounded_gelu(model):
    """Whether the model has one."""
    name = getattr(model.config, "hidden_activation", None) or model.config.hidden_act
    for block in model.base_model.layers if "gelu" in name else []:
        setattr(block.mlp, "act_fn" if hasattr(block.mlp, "act_fn") else "act", Rounded())
    return "gelu" in name


def made(family, settings, scratch, seed):
    """A model, saved, two texts and their logits."""
    model_type, rows, *_ = FAMILIES[family]
    model = new_model(model_type, settings, seed)
    ids = torch.randint(VOCABULARY, (2, rows), generator=torch.Generator().manual_seed(1000 + seed))
    save(model, scratch)
    return model, ids, logits_of(model, ids).detach()


def compare(glass, family, seed, scratch):
    settings = FAMILIES[family][2]
    model, ids, logits = made(family, settings, scratch / "one", seed)
    refused = converted(glass, scratch / "one", scratch / "again")
    weights = refused or f"{apart(in_transformers(scratch / 'again', ids), logits):.1e}"
    others = OTHERS.get(family)
    if others:
        model, ids, logits = made(family, settings | others, scratch / "other", seed)
    gguf = converted(glass, scratch / ("other" if others else "one"), scratch / "model.gguf")
    if not gguf:
        theirs = in_llama_cpp(scratch / "model.gguf", ids)
        gguf = f"{apart(theirs, logits):.1e}"
        if with_rounded_gelu(model):
            gguf += f" ({apart(theirs, logits_of(model, ids).detach()):.1e} with that table)"
    print(f"{family:<20} weights {weights}, GGUF {gguf}", flush=True)


def main(glass, *only):
    for seed, family in enumerate(FAMILIES):
        if not only or family in only:
            with tempfile.TemporaryDirectory() as scratch:
                compare(glass, family, seed, Path(scratch))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(*sys.argv[1:])
