"""Makes the golden files for the tests of the probes, family by family: TransformerLens's activations.

    PYTHONPATH=tools .venv/bin/python -P tools/family_lens_goldens.py crates/glass/tests/golden/families

For one of the models of tools/family_goldens.py in each family, lens.safetensors holds `ids` (the first tokens of its first
text, more than its window) and what TransformerLens's bridge saw, under its own names, without the dimension of the batch: outside
of the blocks, in the last block, and in the first where blocks differ in kind. No weights are processed. Where its scores are not
what the softmax reads, they are left out; masked scores are stored as 0.
"""

import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import logging as their_logging

warnings.filterwarnings("ignore")
their_logging.set_verbosity_error()

FAMILIES = (
    "llama", "smollm3", "mistral", "ministral3", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "granite", "olmo2", "olmo3",
    "gpt_neox", "gpt_neo", "gptj", "stablelm", "nanochat",
)
TOKENS = 9
AROUND = ("hook_embed", "hook_pos_embed", "ln_final.hook_out", "unembed.hook_out")
INSIDE = (
    "hook_resid_pre", "ln1.hook_out", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_q_normed", "attn.hook_k_normed",
    "attn.q_norm.hook_out", "attn.k_norm.hook_out", "attn.hook_rot_q", "attn.hook_rot_k", "attn.hook_attn_scores", "attn.hook_pattern",
    "attn.hook_z", "attn.hook_out", "ln1_post.hook_out", "hook_attn_out", "hook_resid_mid", "ln2.hook_out", "mlp.hook_pre",
    "mlp.hook_pre_linear", "mlp.hook_post", "mlp.hook_out", "ln2_post.hook_out", "hook_mlp_out", "hook_resid_post",
)


def words(folder, vocabulary):
    """A tokenizer, which the folder must have, although only ids are used."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({f"t{id}": id for id in range(vocabulary)}, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="t0", eos_token="t2", bos_token="t1", pad_token="t0").save_pretrained(folder)


def bridge_of(source, config):
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "model.safetensors"):
            shutil.copy(source / name, folder)
        words(folder, config["vocab_size"])
        return TransformerBridge.boot_transformers(folder, dtype=torch.float32)


def blocks_of(bridge, config):
    kinds = config.get("layer_types") or config.get("attention_layers") or config.get("no_rope_layers") or [""]
    if config.get("no_rope_layers"):
        kinds = list(zip(config["layer_types"], config["no_rope_layers"]))
    last = bridge.cfg.n_layers - 1
    return [0, last] if len(set(kinds)) > 1 else [last]


def make(folder):
    config = json.loads((folder / "config.json").read_text())
    ids = load_file(folder / "golden.safetensors")["ids"][:1, :TOKENS].long()
    with torch.no_grad():
        bridge = bridge_of(folder, config)
        _, cache = bridge.run_with_cache(ids)
    blocks = blocks_of(bridge, config)
    names = [*AROUND, *(f"blocks.{block}.{hook}" for block in blocks for hook in INSIDE)]
    found = {name: cache[name][0].float() for name in names if name in cache}
    left_out = [name for name in names if name not in cache and "ln2_post" not in name and "ln1_post" not in name]
    for block in blocks:
        scores, pattern = (f"blocks.{block}.attn.{hook}" for hook in ("hook_attn_scores", "hook_pattern"))
        if scores in found and (found[scores].softmax(-1) - found[pattern]).abs().max() > 1e-5:
            del found[scores]
            left_out.append(f"{scores} (it is not what the softmax reads)")
        elif scores in found:
            found[scores] = found[scores].masked_fill(found[scores] < -1e30, 0)
        for after, before in (("hook_attn_out", "attn.hook_out"), ("hook_mlp_out", "mlp.hook_out"), ("hook_attn_out", "ln1_post.hook_out"), ("hook_mlp_out", "ln2_post.hook_out")):
            one, other = (found.get(f"blocks.{block}.{hook}") for hook in (after, before))
            if one is not None and other is not None and torch.equal(one, other):
                del found[f"blocks.{block}.{before}"]
    tensors = {name: values.contiguous().clone() for name, values in found.items()}
    save_file(tensors | {"ids": ids[0].int()}, folder / "lens.safetensors", {"transformer_lens": "4.3.0"})
    print(f"{folder.name}: blocks {blocks}, {len(found)} sites, {(folder / 'lens.safetensors').stat().st_size / 1000:.0f} kB; without {left_out}")


def main(folder):
    for family in FAMILIES:
        make(folder / family)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
