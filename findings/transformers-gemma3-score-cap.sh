#!/usr/bin/env bash
# transformers 5.24.0: Gemma3TextConfig has attn_logit_softcapping ("Scaling factor when applying tanh softcapping on the attention
# scores"), and Gemma3Attention keeps it, but never applies it: the logits do not depend on it. In Gemma 2 the same field caps the scores.
# There is no warning. (Google's Gemma 3 files hold null; a model made or converted with a cap is computed without it.)
#
# Seen: with scores of several units and a cap of 0.01, Gemma 2's logits change by more than 1, Gemma 3's not by a bit.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet transformers==5.24.0 torch==2.15.0 numpy==2.4.6

cat >"$dir/run.py" <<'PY'
import sys

import torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "head_dim": 8, "query_pre_attn_scalar": 1, "initializer_range": 1.0, "pad_token_id": None}


def model(kind, cap):
    config = AutoConfig.for_model(kind, **SHAPE, attn_logit_softcapping=cap)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
changes = {}
for kind in ["gemma2", "gemma3_text"]:
    torch.manual_seed(0)
    free, capped = model(kind, None), model(kind, 0.01)
    capped.load_state_dict(free.state_dict())
    assert capped.config.attn_logit_softcapping == 0.01
    with torch.no_grad():
        one, other = (each(torch.arange(12)[None]).logits for each in (free, capped))
    changes[kind] = (one - other).abs().max().item()
    print(f"{kind}: a cap of 0.01 on the scores changes the logits by {changes[kind]:.2g}")
sys.exit(not (changes["gemma2"] > 1 and changes["gemma3_text"] == 0))
PY
"$dir/venv/bin/python" "$dir/run.py" || { echo "the behaviour has changed"; exit 1; }
