"""Writes the small checkpoints of llm.c and nanoGPT that the tests read: the weights of `tools/model_files.py`, in the
formats of those programs, in crates/glass/tests/golden/checkpoints.

    python tools/checkpoint_files.py

Needs the same packages as tools/model_files.py. The layouts are those of llm.c's `train_gpt2.py` (`write_model`) and of nanoGPT's
`train.py`.
"""

import json
import os
import shutil
import struct

from model_files import model

import torch

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "crates", "glass", "tests", "golden", "checkpoints")
IDS = [3, 1, 4, 1, 5, 9]
MATRICES = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
IN_BLOCK = [f"{layer}.{leaf}" for layer in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
            for leaf in ("weight", "bias")]


def linear(gpt):
    """The state with its matrices as torch.nn.Linear stores them, [outputs, inputs]."""
    return {name: t.T.contiguous() if name.endswith(MATRICES) else t for name, t in gpt.state_dict().items()}


def llm_c(name, gpt, dtype, padded=16):
    state, config = linear(gpt), gpt.config
    sizes = (config.n_positions, config.vocab_size, config.n_layer, config.n_head, config.n_embd, padded)
    header = struct.pack("<256i", 20240326, {torch.float32: 3, torch.bfloat16: 5}[dtype], *sizes, *[0] * 248)
    rows = torch.zeros(padded, config.n_embd)
    rows[: config.vocab_size] = state["transformer.wte.weight"]
    tensors = [rows, state["transformer.wpe.weight"]]
    tensors += [state[f"transformer.h.{i}.{part}"] for part in IN_BLOCK for i in range(config.n_layer)]
    tensors += [state["transformer.ln_f.weight"], state["transformer.ln_f.bias"]]
    with open(os.path.join(GOLDEN, name), "wb") as file:
        file.write(header)
        for tensor in tensors:
            file.write(tensor.to(dtype).contiguous().view(torch.uint8).numpy().tobytes())


def nanogpt(name, gpt, prefix="", tied=True, bias=True, dtype=torch.float32, more={}, keep=lambda t: t, **save):
    config = gpt.config
    state = torch.nn.Module().state_dict()  # An OrderedDict with metadata, like a model's.
    for key, tensor in linear(gpt).items():
        if bias or not key.endswith(".bias"):
            state[prefix + key] = keep(tensor.to(dtype))
    if tied:
        state[prefix + "lm_head.weight"] = state[prefix + "transformer.wte.weight"]
    arguments = dict(n_layer=config.n_layer, n_head=config.n_head, n_embd=config.n_embd,
                     block_size=config.n_positions, bias=bias, vocab_size=config.vocab_size, dropout=0.0)
    checkpoint = {"model": state, "model_args": arguments, "iter_num": 2000, "best_val_loss": torch.tensor(1.5),
                  "config": {"out_dir": "out", "learning_rate": 6e-4, "compile": True, "large": 2**40}, **more}
    torch.save(checkpoint, os.path.join(GOLDEN, name), **save)


def optimiser(gpt):
    adamw = torch.optim.AdamW(gpt.parameters())
    gpt(torch.tensor([IDS]), labels=torch.tensor([IDS])).loss.backward()
    adamw.step()
    return {"optimizer": adamw.state_dict()}


class Runs:
    """Code that no reader of a checkpoint may run."""

    def __reduce__(self):
        return os.system, ("echo caught > caught",)


def unbiased():
    gpt = model(activation_function="gelu")
    with torch.no_grad():
        for name, parameter in gpt.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
    return gpt


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    os.makedirs(GOLDEN)
    llm_c("f32.bin", model(), torch.float32)
    llm_c("bf16.bin", model(), torch.bfloat16)
    nanogpt("trained.pt", model(), prefix="_orig_mod.", more=optimiser(model()))
    nanogpt("f16.pt", model(), dtype=torch.float16)
    nanogpt("bf16.pt", model(), dtype=torch.bfloat16)
    nanogpt("f64.pt", model(), dtype=torch.float64)
    torch.save(model().state_dict(), os.path.join(GOLDEN, "pytorch_model.bin"))
    nanogpt("untied.pt", model(tie_word_embeddings=False), tied=False)
    nanogpt("unbiased.pt", unbiased(), bias=False)
    nanogpt("turned.pt", model(), keep=lambda t: t.T.contiguous().T if t.dim() == 2 else t)
    nanogpt("old.pt", model(), _use_new_zipfile_serialization=False)
    torch.save({"model": Runs()}, os.path.join(GOLDEN, "runs.pt"))
    with torch.no_grad(), open(os.path.join(GOLDEN, "logits.json"), "w") as file:
        last = unbiased()(torch.tensor([IDS])).logits[0, -1].tolist()
        json.dump({"ids": IDS, "unbiased.pt": last}, file)


if __name__ == "__main__":
    main()
