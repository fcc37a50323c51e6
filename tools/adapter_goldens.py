"""Makes the golden files of adapters: files that peft wrote, and the logits that it computes with them.

    python -m venv .venv && .venv/bin/pip install torch transformers==5.24.0 peft==0.21.2 safetensors
    .venv/bin/python -P tools/adapter_goldens.py crates/glass/tests/golden

(`-P` keeps a file in this folder from being imported in place of the package of its name.)

The models are tiny ones that are in that folder already. FOLDER/adapters/NAME gets adapter_config.json and adapter_model.safetensors
as `save_pretrained` writes them, with random numbers in both factors, and golden.safetensors: ids, and the logits after each of
them, computed in float64 and stored as float32.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

# The model, the modules that are changed, and what else is special: matrices that are turned (GPT-2) or joined (GPT-NeoX, Phi-3), scales
# by the root of the rank, ranks of their own.
ADAPTERS = {
    "gpt2": ("files/f32", "all-linear", {}),
    "gpt_neox": ("families/gpt_neox", ["query_key_value", "dense_h_to_4h"], {}),
    "llama": ("families/llama", "all-linear", {"use_rslora": True}),
    "phi3": ("families/phi3", "all-linear", {}),
    "qwen3": ("families/qwen3", ["q_proj", "v_proj", "down_proj"], {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 5}}),
}

def make(folder, name):
    base, modules, more = ADAPTERS[name]
    torch.manual_seed(len(name))
    gpt = AutoModelForCausalLM.from_pretrained(folder / base, dtype=torch.float32, attn_implementation="eager")
    made = get_peft_model(gpt, LoraConfig(r=3, lora_alpha=6, target_modules=modules, task_type="CAUSAL_LM", **more)).eval()
    for parameter_name, parameter in made.named_parameters():
        if "lora_" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.3)
    to = folder / "adapters" / name
    made.save_pretrained(to)
    (to / "README.md").unlink(missing_ok=True)
    # Where the model was is of no interest.
    config = json.loads((to / "adapter_config.json").read_text()) | {"base_model_name_or_path": "base"}
    (to / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    # The whole context: what a shorter text is scaled by (Phi-3) is another matter.
    ids = torch.tensor([place * 7 % gpt.config.vocab_size for place in range(gpt.config.max_position_embeddings)])
    with torch.no_grad():
        logits = made.double()(ids[None]).logits[0]
    save_file({"ids": ids.int(), "logits": logits.float().contiguous()}, to / "golden.safetensors")
    print(f"{name}: {sum(p.numel() for n, p in made.named_parameters() if 'lora_' in n)} numbers in its adapter")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for name in ADAPTERS:
        make(Path(sys.argv[1]), name)
