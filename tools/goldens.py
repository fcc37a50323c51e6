"""Makes the golden files for the tests of parity with PyTorch: logits, loss, every gradient, ten AdamW steps.

    python -m venv .venv && .venv/bin/pip install torch transformers safetensors numpy
    .venv/bin/python -P tools/goldens.py crates/glass/tests/golden/pytorch

(`-P` keeps a file in this folder from being imported in place of the package of its name.)

Four tiny GPTs (tied or untied unembedding, with or without biases) are written as a plain torch module in float64, with
the names and shapes of this repository. Each is also run through transformers' GPT2LMHeadModel (where an absent bias is
a zero that is not trained), and the script stops if the two differ. A float32 run of the same ten steps shows how far
apart two correct results may be.
"""

import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS, HIDDEN = 61, 16, 24, 3, 2, 96
SAMPLES, ROWS, STEPS = 3, 13, 10
IGNORE = -1
EPSILON = 1e-5
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8}
DECAY, CLIP = 0.1, 1.0


def shapes(tied, bias):
    """Every parameter's name and shape, in the order of the plan."""
    def linear(name, outputs, inputs):
        yield f"{name}.weight", (outputs, inputs)
        if bias:
            yield f"{name}.bias", (outputs,)

    def norm(name):
        yield f"{name}.weight", (WIDTH,)
        if bias:
            yield f"{name}.bias", (WIDTH,)

    yield "embedding.token.weight", (VOCABULARY, WIDTH)
    yield "embedding.position.weight", (CONTEXT, WIDTH)
    for layer in range(LAYERS):
        yield from norm(f"block.{layer}.attention.norm")
        for matrix in ("query", "key", "value_down", "value_up"):
            yield from linear(f"block.{layer}.attention.{matrix}", WIDTH, WIDTH)
        yield from norm(f"block.{layer}.mlp.norm")
        yield from linear(f"block.{layer}.mlp.up", HIDDEN, WIDTH)
        yield from linear(f"block.{layer}.mlp.down", WIDTH, HIDDEN)
    yield from norm("norm")
    if not tied:
        yield "unembedding.weight", (VOCABULARY, WIDTH)


def start(tied, bias, seed):
    """Much larger numbers than a fresh GPT's, rounded to float32 so that both sides start from the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for name, shape in shapes(tied, bias):
        values = torch.randn(shape, generator=generator) * (0.3 if len(shape) == 2 else 0.2)
        gain = name.endswith("norm.weight")
        parameters[name] = (values + 1.0 if gain else values).double()
    return parameters


def forward(p, inputs):
    """Ids `[samples, rows]` to logits `[samples, rows, vocabulary]`."""
    def linear(name, x):
        return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def norm(name, x):
        return F.layer_norm(x, (WIDTH,), p[f"{name}.weight"], p.get(f"{name}.bias"), EPSILON)

    samples, rows = inputs.shape
    hidden_from_past = torch.ones(rows, rows, dtype=torch.bool).triu(1)
    residual = F.embedding(inputs, p["embedding.token.weight"]) + p["embedding.position.weight"][:rows]
    for layer in range(LAYERS):
        part = f"block.{layer}.attention"
        x = norm(f"{part}.norm", residual)
        query, key, value = (
            linear(f"{part}.{name}", x).view(samples, rows, HEADS, -1).transpose(1, 2)
            for name in ("query", "key", "value_down")
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        pattern = scores.masked_fill(hidden_from_past, -math.inf).softmax(-1)
        mixed = (pattern @ value).transpose(1, 2).reshape(samples, rows, WIDTH)
        residual = residual + linear(f"{part}.value_up", mixed)
        part = f"block.{layer}.mlp"
        hidden = F.gelu(linear(f"{part}.up", norm(f"{part}.norm", residual)), approximate="tanh")
        residual = residual + linear(f"{part}.down", hidden)
    return F.linear(norm("norm", residual), p.get("unembedding.weight", p["embedding.token.weight"]))


def cross_entropy(logits, targets):
    """Mean nats over the counted targets."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


def batch(seed):
    """Ids and targets `[samples, rows]`; the first two targets of sample 1 and the last of sample 2 are not counted."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (SAMPLES, ROWS + 1), generator=generator)
    targets = tokens[:, 1:].clone()
    targets[1, :2] = IGNORE
    targets[2, -1] = IGNORE
    return tokens[:, :-1].contiguous(), targets


def ten_steps(parameters, run, batches):
    """AdamW on `parameters`, decay on those of two dimensions: losses and norms before clipping, step by step."""
    groups = [
        {"params": [p for p in parameters if p.dim() == 2], "weight_decay": DECAY},
        {"params": [p for p in parameters if p.dim() != 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, **ADAMW)
    losses, norms = [], []
    for step in range(STEPS):
        inputs, targets = batches[step % len(batches)]
        optimiser.zero_grad()
        loss = cross_entropy(run(inputs), targets)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, CLIP).item())
        losses.append(loss.item())
        optimiser.step()
    return losses, norms


def plain(parameters, batches, dtype):
    """The results of the plain module, by name."""
    p = {name: values.to(dtype, copy=True).requires_grad_() for name, values in parameters.items()}
    inputs, targets = batches[0]
    logits = forward(p, inputs)
    loss = cross_entropy(logits, targets)
    loss.backward()
    found = {"logits": logits.detach(), "loss": loss.detach().view(1)}
    found |= {f"grad.{name}": value.grad.clone() for name, value in p.items()}
    losses, norms = ten_steps(list(p.values()), lambda x: forward(p, x), batches)
    found |= {f"after.{name}": value.detach() for name, value in p.items()}
    return found | {"losses": torch.tensor(losses, dtype=dtype), "norms": torch.tensor(norms, dtype=dtype)}


def theirs(ours):
    """Parameters under GPT2LMHeadModel's names: matrices transposed, query, key and value joined."""
    out = {"transformer.wte.weight": ours["embedding.token.weight"]}
    out["transformer.wpe.weight"] = ours["embedding.position.weight"]
    for kind in ("weight", "bias"):
        out[f"transformer.ln_f.{kind}"] = ours.get(f"norm.{kind}")
        for layer in range(LAYERS):
            def get(name):
                values = ours.get(f"block.{layer}.{name}.{kind}")
                return values.t() if values is not None and values.dim() == 2 else values

            block = f"transformer.h.{layer}"
            joined = [get(f"attention.{name}") for name in ("query", "key", "value_down")]
            out[f"{block}.attn.c_attn.{kind}"] = None if joined[0] is None else torch.cat(joined, -1)
            out[f"{block}.attn.c_proj.{kind}"] = get("attention.value_up")
            out[f"{block}.mlp.c_fc.{kind}"] = get("mlp.up")
            out[f"{block}.mlp.c_proj.{kind}"] = get("mlp.down")
            out[f"{block}.ln_1.{kind}"] = get("attention.norm")
            out[f"{block}.ln_2.{kind}"] = get("mlp.norm")
    if "unembedding.weight" in ours:
        out["lm_head.weight"] = ours["unembedding.weight"]
    return {name: values for name, values in out.items() if values is not None}


def check_transformers(parameters, found, tied, batches):
    """Largest difference between `found` and the results of GPT2LMHeadModel with the same parameters."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=HIDDEN,
        activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        layer_norm_epsilon=EPSILON, bos_token_id=None, eos_token_id=None, tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    model = GPT2LMHeadModel(config).double().train()
    known = theirs(parameters)
    learned = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in learned.items():
            values.copy_(known[name] if name in known else torch.zeros_like(values))
            values.requires_grad_(name in known)
    assert set(known) <= set(learned), set(known) - set(learned)

    def difference(prefix):
        expected = theirs({name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)})
        kind = (lambda p: p.grad) if prefix == "grad." else (lambda p: p)
        return max((kind(learned[name]) - values).abs().max().item() for name, values in expected.items())

    inputs, targets = batches[0]
    logits = model(inputs).logits
    cross_entropy(logits, targets).backward()
    worst = [(logits - found["logits"]).abs().max().item(), difference("grad.")]
    run = [p for p in learned.values() if p.requires_grad]
    losses, _ = ten_steps(run, lambda x: model(x).logits, batches)
    worst.append((torch.tensor(losses, dtype=torch.float64) - found["losses"]).abs().max().item())
    return max(worst + [difference("after.")])


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    batches = [batch(1), batch(2)]
    for seed, (tied, bias) in enumerate([(True, True), (True, False), (False, True), (False, False)]):
        name = f"{'tied' if tied else 'untied'}_{'bias' if bias else 'nobias'}"
        parameters = start(tied, bias, seed)
        found = plain(parameters, batches, torch.float64)
        apart = check_transformers(parameters, found, tied, batches)
        assert apart < 1e-9, f"{name}: transformers differs by {apart}"
        rough = plain(parameters, batches, torch.float32)
        tensors = {n: v.float().contiguous() for n, v in (parameters | found).items()}
        for prefix, (inputs, targets) in zip(("", "second."), batches):
            tensors |= {f"{prefix}inputs": inputs.int(), f"{prefix}targets": targets.int()}
        metadata = {"heads": str(HEADS), "context": str(CONTEXT), "ignored_target": str(IGNORE), "seed": str(seed)}
        save_file(tensors, folder / f"{name}.safetensors", metadata)
        report(name, apart, found, rough)


def report(name, apart, found, rough):
    """How far float32 is from float64: relative to the tensor's largest number, in the worst tensor of each kind."""
    print(f"{name}: losses {found['losses'][0]:.4f} to {found['losses'][-1]:.4f}, transformers within {apart:.1e}")
    kinds = {}
    for key, value in found.items():
        error = ((rough[key].double() - value).abs().max() / value.abs().max()).item()
        kind = "key biases, " + key.split(".")[0] if key.endswith("key.bias") else key.split(".")[0]
        kinds[kind] = max(kinds.get(kind, (0.0, "")), (error, key))
    for kind, (error, key) in kinds.items():
        print(f"  {kind}: float32 within {error:.1e} ({key})")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
