"""Trains Glass and PyTorch from the same weights on the same batches, and draws both loss curves and their difference.

    .venv/bin/python bench/curves.py TEXT [--steps 300] [--layers 4] [--width 128] [--glass PROGRAM]

writes `docs/pytorch.svg` and a record.
The text's bytes are the tokens, read one batch after another. The weights are initialised by PyTorch and saved as a model
folder that Glass starts from; the model is the one of `train.py`. No dropout; warm-up, then half a cosine, as logged by
Glass. Status 1 if the curves are more than a hundredth of a nat apart.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

import torch
from safetensors.torch import save_file

from common import ROOT, machine, record
from gpt import Gpt, adamw, step
from picture import Plot, picture

VOCABULARY, CONTEXT, SAMPLES, RATE, WARM_UP = 256, 64, 12, 1e-3, 30
CLOSE = 0.01
GLASS, PYTORCH = "#b5482f", "#9fb4c7"


def save(gpt, heads, folder):
    """A model folder in the Hugging Face layout, with the matrices of blocks transposed."""
    tensors = {"wte.weight": gpt.token.weight, "wpe.weight": gpt.position.weight}
    names = {"weight": gpt.norm.weight, "bias": gpt.norm.bias}
    tensors |= {f"ln_f.{name}": value for name, value in names.items()}
    for number, block in enumerate(gpt.blocks):
        parts = {
            "ln_1": block.attention_norm, "attn.c_attn": block.query_key_value, "attn.c_proj": block.value_up,
            "ln_2": block.mlp_norm, "mlp.c_fc": block.up, "mlp.c_proj": block.down,
        }
        for part, module in parts.items():
            weight = module.weight.t() if module.weight.dim() == 2 else module.weight
            tensors |= {f"h.{number}.{part}.weight": weight, f"h.{number}.{part}.bias": module.bias}
    tensors = {f"transformer.{name}": value.detach().contiguous() for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "gpt2", "n_layer": len(gpt.blocks), "n_head": heads, "n_embd": gpt.norm.weight.numel(),
        "vocab_size": VOCABULARY, "n_positions": CONTEXT, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))


def glass(program, folder, ids, steps, threads):
    """The log of a run from the weights in `folder`, one line per step."""
    shard, out = folder / "ids.bin", folder / "run"
    ids.to(torch.uint16).numpy().tofile(shard)
    subprocess.run(
        [program, "train", "--data", shard, "--bin", "u16", "--val-fraction", "0", "--from", folder, "--out", out,
         "--order", "sequential", "--steps", str(steps), "--batch", str(SAMPLES), "--lr", str(RATE),
         "--warmup", str(WARM_UP), "--threads", str(threads)],
        check=True, stdout=subprocess.DEVNULL,
    )
    return [json.loads(line) for line in (out / "train" / "log.jsonl").read_text().splitlines()]


def pytorch(gpt, ids, rates):
    """Losses at these learning rates, on consecutive windows; the last target of one is the first input of the next."""
    optimiser, tokens, losses = adamw(gpt, RATE), SAMPLES * CONTEXT, []
    for number, rate in enumerate(rates):
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = ids[number * tokens : (number + 1) * tokens + 1]
        inputs, targets = (part.view(SAMPLES, CONTEXT) for part in (batch[:-1], batch[1:]))
        losses.append(step(gpt, optimiser, inputs, targets).item())
    return losses


def draw(path, ours, theirs, title):
    """Both curves at the top, their difference (Glass minus PyTorch) below."""
    apart = [our - their for our, their in zip(ours, theirs)]
    power = 10 ** math.ceil(math.log10(max(map(abs, apart)) or 1e-9))
    both = [("PyTorch", PYTORCH, 5, theirs), ("Glass", GLASS, 1.2, ours)]
    curves = Plot("loss, nats per token", 0, math.ceil(max(ours)), both)
    below = Plot("Glass minus PyTorch", -power, power, [("", GLASS, 1.2, apart)])
    path.write_text(picture(title, "step", [(curves, 260), (below, 130)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--glass", help="the program; by default it is built")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pytorch.svg")
    asked = parser.parse_args()
    ids = torch.tensor(list(asked.text.read_bytes()))
    needed = asked.steps * SAMPLES * CONTEXT + 1
    if len(ids) < needed:
        parser.error(f"{asked.text} has {len(ids)} bytes, but {asked.steps} steps take {needed}")
    program = asked.glass
    if not program:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "glass-app"], cwd=ROOT, check=True)
        program = ROOT / "target" / "release" / "glass"
    torch.set_num_threads(asked.threads)
    torch.manual_seed(1)
    heads = asked.width // 32
    gpt = Gpt(asked.layers, heads, asked.width, VOCABULARY, CONTEXT)
    with tempfile.TemporaryDirectory() as folder:
        save(gpt, heads, Path(folder))
        log = glass(program, Path(folder), ids, asked.steps, asked.threads)
    ours = [line["loss"] for line in log]
    theirs = pytorch(gpt, ids, [line["lr"] for line in log])
    apart = [abs(our - their) for our, their in zip(ours, theirs, strict=True)]
    found = {
        "steps": asked.steps, "layers": asked.layers, "width": asked.width, "first": [ours[0], theirs[0]],
        "last": [ours[-1], theirs[-1]], "apart at most": max(apart), "apart on average": mean(apart),
        "glass": [round(loss, 7) for loss in ours], "pytorch": [round(loss, 7) for loss in theirs],
    }
    print(f"step 1: glass {ours[0]:.6f}, PyTorch {theirs[0]:.6f}; step {asked.steps}: {ours[-1]:.6f}, {theirs[-1]:.6f}")
    print(f"over {asked.steps} steps: at most {max(apart):.1e} nats apart, {mean(apart):.1e} on average")
    title = f"The same weights, the same batches: at most {max(apart):.1e} nats apart, {mean(apart):.1e} on average"
    draw(asked.out, ours, theirs, title)
    record("curves", machine(["torch"]) | {"what": "losses of both, nats per token"}, found)
    sys.exit(0 if max(apart) < CLOSE else 1)


if __name__ == "__main__":
    main()
