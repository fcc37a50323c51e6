#!/usr/bin/env bash
# transformers 5.24.0: a folder whose config.json has a quantization_config with a quant_method that transformers does not know
# is opened anyway. The quantisation is skipped with a warning, tensors under other names or types count as missing, and
# the model that is returned has random weights. Without quant_method in it, the same folder is refused with a ValueError.
#
# Observed: with "quant_method": "unknown-method" from_pretrained returns a model, twice with different weights; without the field it
# raises ValueError, "has no `quant_method` attribute".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet transformers==5.24.0 torch==2.15.0 safetensors==0.8.0 numpy==2.4.6

cat >"$dir/run.py" <<'PY'
import json, sys
from pathlib import Path

import torch, transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1]) / "model"
folder.mkdir()
# Packed weights under other names, as in a quantised format.
save_file({"packed.0": torch.zeros(8, dtype=torch.uint8)}, folder / "model.safetensors", metadata={"format": "pt"})
config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 16, "n_positions": 8, "n_embd": 8,
          "n_layer": 1, "n_head": 2, "dtype": "float32"}


def opened(quantisation):
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantisation}))
    try:
        return AutoModelForCausalLM.from_pretrained(folder).transformer.wte.weight
    except ValueError as error:
        return f"ValueError: {error}"


transformers.logging.set_verbosity_error()
one, other = (opened({"quant_method": "unknown-method", "bits": 8}) for _ in range(2))
refused = opened({"bits": 8})
random = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and not torch.equal(one, other)
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
print("unknown method:", "opened with random weights" if random else (one, other))
print("no method:", refused)
sys.exit(not (random and isinstance(refused, str) and "no `quant_method` attribute" in refused))
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir" || { echo "the behaviour has changed"; exit 1; }
