#!/usr/bin/env python3
"""Compares the results of `glass look` with TransformerLens: every cache entry, the lens, the attribution, patched heads.

    target/release/glass train --recipe gpt2 --data sample --minutes 2 --out small
    .venv/bin/python tools/check_transformer_lens.py target/release/glass small [MODEL…]

Each MODEL is a folder in the Hugging Face layout, of GPT-2's architecture, with dense weights; a model with random weights is
added. No weights are processed on either side.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

warnings.filterwarnings("ignore")

# Glass's name: theirs, inside block N.
INSIDE = {
    "residual": "hook_resid_pre", "attention.norm": "ln1.hook_out", "attention.query": "attn.hook_q",
    "attention.key": "attn.hook_k", "attention.value": "attn.hook_v", "attention.masked": "attn.hook_attn_scores",
    "attention.pattern": "attn.hook_pattern", "attention.z": "attn.hook_z", "attention.contribution": "attn.hook_result",
    "attention.out": "hook_attn_out", "residual_middle": "hook_resid_mid", "mlp.norm": "ln2.hook_out",
    "mlp.hidden": "mlp.hook_pre", "mlp.active": "mlp.hook_post", "mlp.out": "hook_mlp_out",
}
AROUND = {
    "embedding.token": "hook_embed", "embedding.position": "hook_pos_embed", "residual": "blocks.LAST.hook_resid_post",
    "norm": "ln_final.hook_out", "logits": "unembed.hook_out",
}


def glass(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.stdout


def random_model(folder, like):
    """A model with random weights, larger than a fresh one's so that attention has something to choose between."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(like)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=96, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def worst(ours, theirs):
    """The greatest difference, relative to the size of the compared values."""
    ours, theirs = ours.double(), theirs.double()
    same = torch.isinf(ours) & torch.isinf(theirs) | (ours <= -1e30) & (theirs <= -1e30)
    difference = torch.where(same, torch.zeros_like(ours), ours - theirs).abs().max().item()
    return difference / max(1.0, theirs[theirs.abs() < 1e30].abs().max().item())


def compare(program, folder):
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder), dtype=torch.float32)
    bridge.set_use_attn_result(True)
    layers, heads = bridge.cfg.n_layers, bridge.cfg.n_heads
    torch.manual_seed(2)
    clean, ids = (torch.randint(0, 2000, (1, 24)) for _ in range(2))
    listed = ",".join(map(str, ids[0].tolist()))
    found = {}
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(ids)
        _, clean_cache = bridge.run_with_cache(clean)
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "all.safetensors"
            glass(program, "look", "-m", folder, "--ids", listed, "--record", "*", "--out", file)
            record = load_file(file)
        names = {name: theirs.replace("LAST", str(layers - 1)) for name, theirs in AROUND.items()}
        names |= {
            f"block.{layer}.{part}": f"blocks.{layer}.{theirs}" for layer in range(layers) for part, theirs in INSIDE.items()
        }
        for name, theirs in names.items():
            ours, theirs = record[name], cache[theirs][0]
            site = name.split(".", 2)[-1] if name.startswith("block") else name
            found[site] = max(found.get(site, 0), worst(ours.reshape(theirs.shape), theirs))
        said = json.loads(glass(program, "look", "-m", folder, "--ids", listed, "--json", "--top", 5))

        # The lens: the output of every layer through the last norm and the unembedding.
        streams = [cache[f"blocks.{layer}.hook_resid_pre"] for layer in range(layers)]
        streams.append(cache[f"blocks.{layers - 1}.hook_resid_post"])
        for stream, reading in zip(streams, said["lens"]):
            theirs = torch.log_softmax(bridge.unembed(bridge.ln_final(stream))[0, -1].double(), -1)
            top = torch.tensor([entry["logprob"] for entry in reading])
            found["lens"] = max(found.get("lens", 0), worst(top, theirs[[entry["id"] for entry in reading]]))

        # Attribution: their decomposition, through the same norm.
        token = said["traced"]["id"]
        stack, labels = cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True, pos_slice=-1)
        stack = stack.reshape(len(labels), -1)
        scale = cache["ln_final.hook_scale"][0, -1]
        direction = bridge.W_U[:, token] if bridge.W_U.shape[0] == bridge.cfg.d_model else bridge.W_U[token]
        gain = bridge.original_model.transformer.ln_f.weight
        theirs = (((stack - stack.mean(-1, keepdim=True)) / scale) * gain) @ direction
        ours = {part["name"]: part["value"] for part in said["traced"]["parts"]}
        for label, value in zip(labels, theirs.tolist()):
            name = {"embed": "embedding.token", "pos_embed": "embedding.position"}.get(label)
            if label[0] == "L":
                layer, head = label[1:].split("H")
                name = f"block.{layer}.attention.head.{head}"
            elif label.endswith("mlp_out"):
                name = f"block.{label.split('_')[0]}.mlp"
            if name:
                found["attribution"] = max(found.get("attribution", 0), worst(torch.tensor(ours[name]), torch.tensor(value)))
        found["attribution, its sum"] = abs(sum(ours.values()) - logits[0, -1, token].item())

        # Heads patched one by one.
        best = bridge(clean)[0, -1].argmax().item()
        swept = json.loads(glass(
            program, "look", "-m", folder, "--ids", listed, "--from", ",".join(map(str, clean[0].tolist())),
            "--sweep", "heads", "--json",
        ))
        for layer in range(layers):
            for head in range(heads):
                def patch(z, hook, layer=layer, head=head):
                    z[:, :, head] = clean_cache[f"blocks.{layer}.attn.hook_z"][:, :, head]
                    return z
                patched = bridge.run_with_hooks(ids, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", patch)])
                theirs = torch.log_softmax(patched[0, -1].double(), -1)[best].item()
                found["patched heads"] = max(found.get("patched heads", 0), abs(swept["after"][layer][head] - theirs))
    print(f"{folder}: {layers} layers of {heads} heads, {len(record)} sites; greatest differences")
    for name, difference in found.items():
        print(f"  {name:28} {difference:.1e}")
    return max(found.values())


def main():
    program, *folders = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        random_model(temporary, folders[0])
        differences = [compare(program, folder) for folder in [temporary, *folders]]
    if max(differences) > 1e-3:
        sys.exit(f"something differs by {max(differences):.1e}")


if __name__ == "__main__":
    main()
