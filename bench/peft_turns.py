"""peft's process for `tuning.py`, the counterpart of `crates/glass/benches/turns.rs`, `tune`.

    peft_turns.py eager|compiled f32|bf16 CONTEXT SAMPLES RANK THREADS

A Llama of SmolLM2-135M's shape with random weights, and an adapter of that rank on all matrices of its blocks. With bf16 the weights
are stored in bfloat16, as peft loads them where memory counts. Runs a number of steps for every line on standard input, and
answers with the seconds they took.
"""

import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def main():
    how, precision, context, samples, rank, threads = sys.argv[1:]
    context, samples, rank = int(context), int(samples), int(rank)
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=context, tie_word_embeddings=True, use_cache=False,
    )
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    gpt = LlamaForCausalLM(config).to(dtype)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    gpt = get_peft_model(gpt, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules, task_type="CAUSAL_LM"))
    gpt.train()
    learned = [parameter for parameter in gpt.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    if how == "compiled":
        gpt.compile()
    ids = torch.arange(samples * context + 1) * 7919 % config.vocab_size
    inputs, targets = ids[:-1].view(samples, context), ids[1:].view(samples, context)

    def step():
        # Targets are shifted already, so the loss is taken here.
        logits = gpt(input_ids=inputs).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
