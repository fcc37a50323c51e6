"""Makes the golden file for the tests of `inspect`: TransformerLens's results for a tiny GPT.

    PYTHONPATH=tools .venv/bin/python -P tools/lens_goldens.py crates/glass/tests/golden

The weights are those of pytorch/tied_bias.safetensors in that folder. The file holds, under this repository's names, every
cache entry, the prediction of each layer's lens after every position, the attribution of one logit, and the same token's
log-probability with each head patched from another text, and the Jacobian lens fitted on both texts without their first
three positions. No weights are processed. `tools/check_transformer_lens.py`
compares larger models.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from check_transformer_lens import AROUND, INSIDE
from goldens import CONTEXT, EPSILON, HEADS, HIDDEN, LAYERS, VOCABULARY, WIDTH, theirs

warnings.filterwarnings("ignore")

JACOBIAN_SKIPPED = 3


def bridge_of(parameters):
    """The model in TransformerLens, which opens it from a folder."""
    from transformer_lens.model_bridge import TransformerBridge

    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=HIDDEN,
        activation_function="gelu_new", layer_norm_epsilon=EPSILON, bos_token_id=0, eos_token_id=0,
        attn_implementation="eager",
    )
    model = GPT2LMHeadModel(config)
    model.load_state_dict(theirs(parameters), strict=False)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        words(folder)
        bridge = TransformerBridge.boot_transformers(folder, dtype=torch.float32)
    bridge.set_use_attn_result(True)
    return bridge


def words(folder):
    """A tokenizer, which the folder must have, although only ids are used."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"t{id}": id for id in range(VOCABULARY)}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="t0", eos_token="t0", bos_token="t0", pad_token="t0").save_pretrained(folder)


def jacobian(bridge, texts):
    """The lens's matrices, `[layers - 1, width, width]`, in steps of their published estimator, which takes texts and not ids."""
    from transformer_lens.tools.analysis import jacobian_lens as theirs

    layers = list(range(LAYERS - 1))
    with theirs._frozen_parameters(bridge):
        fitted = [
            theirs._jacobian_for_prompt(
                bridge, text[None], source_layers=layers, dim_batch=5, skip_first_positions=JACOBIAN_SKIPPED,
                backward_provider=theirs._ordinary_vjp,
            )
            for text in texts
        ]
    return torch.stack([torch.stack([text[layer] for text in fitted]).mean(0) for layer in layers])


def main(folder):
    parameters = load_file(folder / "pytorch" / "tied_bias.safetensors")
    ids, clean = parameters["inputs"][0].long(), parameters["inputs"][1].long()
    token, found = int(clean[3]), {}
    with torch.no_grad():
        bridge = bridge_of(parameters)
        _, cache = bridge.run_with_cache(ids[None])
        _, clean_cache = bridge.run_with_cache(clean[None])
        names = {name: entry.replace("LAST", str(LAYERS - 1)) for name, entry in AROUND.items()}
        names |= {f"block.{layer}.{part}": f"blocks.{layer}.{entry}" for layer in range(LAYERS) for part, entry in INSIDE.items()}
        found |= {name: cache[entry][0] for name, entry in names.items() if entry in cache}
        streams = [cache[f"blocks.{layer}.hook_resid_pre"] for layer in range(LAYERS)]
        streams.append(cache[f"blocks.{LAYERS - 1}.hook_resid_post"])
        found["lens"] = torch.stack([torch.log_softmax(bridge.unembed(bridge.ln_final(stream))[0].double(), -1) for stream in streams])

        # The logit's parts, in the order of their decomposition: head by head and MLP of every block, embeddings last.
        stack, labels = cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True, pos_slice=-1)
        stack = stack.reshape(len(labels), -1)
        unembedding = parameters["embedding.token.weight"][token]
        scaled = (stack - stack.mean(-1, keepdim=True)) / cache["ln_final.hook_scale"][0, -1] * parameters["norm.weight"]
        parts = dict(zip(labels, (scaled @ unembedding).tolist()))
        order = [label for layer in range(LAYERS) for label in [f"L{layer}H{head}" for head in range(HEADS)] + [f"{layer}_mlp_out"]]
        found["attribution"] = torch.tensor([parts[label] for label in ["embed", "pos_embed", *order]])

        patched = torch.zeros(LAYERS, HEADS)
        for layer in range(LAYERS):
            for head in range(HEADS):
                def patch(z, hook, layer=layer, head=head):
                    z[:, :, head] = clean_cache[f"blocks.{layer}.attn.hook_z"][:, :, head]
                    return z
                logits = bridge.run_with_hooks(ids[None], fwd_hooks=[(f"blocks.{layer}.attn.hook_z", patch)])
                patched[layer, head] = torch.log_softmax(logits[0, -1].double(), -1)[token]
        found["patched"] = patched
    found["jacobian"] = jacobian(bridge, [ids, clean])
    # Masked entries are their lowest number; no test needs its value.
    tensors = {name: values.float().masked_fill(values < -1e30, 0).contiguous() for name, values in found.items()}
    tensors |= {"ids": ids.int(), "clean": clean.int(), "token": torch.tensor([token]).int()}
    save_file(tensors, folder / "transformer_lens.safetensors")
    print(f"{len(tensors)} tensors, {len(names)} cache entries")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
