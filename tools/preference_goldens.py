"""Makes the golden file of losses of preferences: what trl computes for a batch of pairs, and every gradient.

    python -m venv .venv && .venv/bin/pip install torch transformers==5.24.0 trl==1.16.0 safetensors
    .venv/bin/python -P tools/preference_goldens.py crates/glass/tests/golden/families/llama crates/glass/tests/golden/preferences.safetensors

The losses are `DPOTrainer._compute_loss` itself, and for SimPO `CPOTrainer.cpo_loss` and `get_batch_logps`, called without a trainer
around them: a namespace holds what they read of it. The batch comes from trl's own collator. The model is the tiny random Llama of the
first argument in float64, the reference is the same with every number moved a little.
"""

import contextlib
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

# Of each pair: the tokens of the prompt, of the chosen and of the rejected answer.
LENGTHS = [(3, 5, 9), (1, 4, 4), (6, 7, 2)]
# Of each loss: its name in Glass and in trl, beta, gamma, label smoothing.
LOSSES = [
    ("dpo", "sigmoid", 0.1, 0.0, 0.0), ("dpo-norm", "sigmoid_norm", 5.0, 0.0, 0.0), ("robust", "robust", 0.3, 0.0, 0.2),
    ("ipo", "ipo", 0.1, 0.0, 0.0), ("simpo", "simpo", 2.0, 0.5, 0.1),
]


class Told:
    """A model as trl patches it: called with labels, it gives the log-probabilities of the next tokens, 0 where they are not counted."""

    def __init__(self, model):
        self.model, self.training = model, True

    def __call__(self, input_ids, attention_mask, labels, use_cache, fused_lm_head):
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache).logits[:, :-1]
        shifted = labels[:, 1:]
        counted, all_of = shifted != -100, F.log_softmax(logits, -1)
        own = all_of.gather(-1, shifted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return SimpleNamespace(
            log_probs=own * counted, entropy=-(all_of.exp() * all_of).sum(-1), mean_logits=logits.mean(-1),
            is_top1=logits.argmax(-1) == shifted,
        )


def accelerator():
    same = lambda values: values
    return SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same, autocast=contextlib.nullcontext)


def dpo(model, batch, loss, beta, smoothing):
    """The loss, and what is logged of it."""
    metrics = {"train": defaultdict(list)}
    trainer = SimpleNamespace(
        model=model, accelerator=accelerator(), aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=True, beta=beta,
        loss_types=[loss], loss_weights=[1.0], label_smoothing=smoothing, f_divergence_type="reverse_kl", use_weighting=False,
        _metrics=metrics, _total_train_tokens=0, _tp_size=1,
    )
    loss = DPOTrainer._compute_loss(trainer, model, batch, False)
    return loss, *(metrics["train"][f"rewards/{name}"][-1] for name in ("accuracies", "margins"))


def simpo(model, batch, beta, gamma, smoothing):
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    logits = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    chosen, rejected = CPOTrainer.get_batch_logps(logits, labels, average_log_prob=True).chunk(2)
    trainer = SimpleNamespace(
        alpha=0.0, loss_type="simpo", simpo_gamma=gamma, beta=beta, label_smoothing=smoothing, accelerator=accelerator()
    )
    losses, better, worse = CPOTrainer.cpo_loss(trainer, chosen, rejected)
    return losses.mean(), (better > worse).float().mean().item(), (better - worse).mean().item()


def references(folder, batch):
    """How probable the reference finds the answers."""
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        trainer = SimpleNamespace(
            ref_model=reference, model=None, accelerator=accelerator(), ld_alpha=None,
            args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        )
        return DPOTrainer.compute_ref_log_probs(trainer, Told(reference), batch)


def main(folder, into):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    generator = torch.Generator().manual_seed(1)
    draw = lambda count: torch.randint(model.config.vocab_size, (count,), generator=generator).tolist()
    pairs = [dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), map(draw, lengths))) for lengths in LENGTHS]
    batch = DataCollatorForPreference(pad_token_id=0)(pairs)
    # compute_ref_log_probs turns off what a model that is trained may do; a plain function has nothing of it.
    import trl.trainer.dpo_trainer as module
    module.disable_gradient_checkpointing = lambda *_: contextlib.nullcontext()
    chosen, rejected = references(folder, batch)
    batch |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    tensors = {
        "lengths": torch.tensor(LENGTHS).int(), "reference": torch.stack([chosen, rejected], 1).float(),
        "ids": torch.tensor([id for pair in pairs for side in ("chosen_ids", "rejected_ids") for id in pair["prompt_ids"] + pair[side]]).int(),
    }
    for name, theirs, beta, gamma, smoothing in LOSSES:
        model.zero_grad()
        told = Told(model)
        found = simpo(told, batch, beta, gamma, smoothing) if theirs == "simpo" else dpo(told, batch, theirs, beta, smoothing)
        loss, accuracy, margin = found
        loss.backward()
        print(f"{name}: loss {loss.item():.6f}, accuracy {accuracy:.3f}, margin {margin:.6f}")
        tensors[f"{name}.constants"] = torch.tensor([beta, gamma, smoothing])
        tensors[f"{name}.told"] = torch.tensor([loss.item(), accuracy, margin])
        for parameter, values in model.named_parameters():
            tensors[f"{name}.grad.{parameter}"] = values.grad.float().contiguous()
    save_file(tensors, into, {"trl": "1.16.0", "transformers": "5.24.0"})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2])
