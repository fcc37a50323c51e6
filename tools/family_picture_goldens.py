"""Makes the golden folders of models for texts and pictures, of which Glass reads the part for texts.

    python -m venv .venv && .venv/bin/pip install torch torchvision transformers==5.24.0 safetensors numpy
    PYTHONPATH=tools .venv/bin/python -P tools/family_picture_goldens.py crates/glass/tests/golden/pictures

Each folder holds a tiny model with random weights: config.json and model.safetensors as `save_pretrained` writes them, and
golden.safetensors: `ids`, two texts, and their `logits`, computed in float64.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from family_goldens import FAMILIES, VOCABULARY, InDouble, apart, logits_of, without

SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 4}
PICTURES = {"gemma3": SMALL | {"model_type": "siglip_vision_model"}, "mistral3": SMALL | {"model_type": "pixtral", "head_dim": 4}}
# The whole model's type, and the family whose text part it has.
MODELS = {
    "gemma3": ("gemma3", {"mm_tokens_per_image": 4}),
    "mistral3": ("ministral3", {"spatial_merge_size": 2, "tie_word_embeddings": False}),
}


def make(folder, name, seed):
    family, more = MODELS[name]
    model_type, rows, settings, _ = FAMILIES[family]
    text = without(settings) | {"model_type": model_type}
    config = AutoConfig.for_model(name, text_config=text, vision_config=PICTURES[name], image_token_index=VOCABULARY - 1, **more)
    with InDouble():
        model = AutoModelForImageTextToText.from_config(config, attn_implementation="eager", dtype=torch.float64).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((torch.randn(parameter.shape, generator=generator) * 0.3).float())
    ids = torch.randint(VOCABULARY - 1, (2, rows), generator=generator)
    logits = logits_of(model, ids).detach()

    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    saved = AutoModelForImageTextToText.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    saved.load_state_dict({name: values.float() for name, values in model.state_dict().items()})
    saved.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    again = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    found = apart(again(input_ids=ids, use_cache=False).logits.detach(), logits)
    assert found < 1e-5, found
    save_file({"ids": ids.int(), "logits": logits.float().contiguous()}, folder / "golden.safetensors", {"transformers": "5.24.0"})
    print(f"{name}: float32 within {found:.0e}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for seed, name in enumerate(MODELS):
        make(Path(sys.argv[1]), name, seed)
