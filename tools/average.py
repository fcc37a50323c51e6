#!/usr/bin/env python3
"""Averages the weights of models that were fine-tuned from each other (Wortsman et al. 2022): often better than any of them.

    .venv/bin/python tools/average.py OUT MODEL MODEL…

Folders of one shape in the Hugging Face layout; everything except the weights is copied from the first one.
"""

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FILE = "model.safetensors"


def main():
    out, *models = map(Path, sys.argv[1:])
    out.mkdir()
    for file in models[0].iterdir():
        if file.is_file() and file.name != FILE:
            shutil.copy(file, out)
    loaded = [load_file(model / FILE) for model in models]
    mean = {name: torch.stack([weights[name].double() for weights in loaded]).mean(0) for name in loaded[0]}
    mean = {name: values.to(loaded[0][name].dtype).contiguous() for name, values in mean.items()}
    save_file(mean, out / FILE, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
