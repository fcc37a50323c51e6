#!/usr/bin/env bash
# transformers 5.24.0: the rope_theta of an OLMo 3 folder that transformers 4 wrote is taken for the layers that see everything, and not
# for those with a window, three of four, which silently get the class's default of 500,000. In transformers 4 it was one number for all
# layers. (The class takes the field out of the file's fields for the first kind of layers, so that it is gone for the second.) Folders
# with the default, as the published ones, show nothing.
#
# Seen: 4.57.6 writes rope_theta 10000; 5.24.0 reads it as 10000 for full_attention and 500000 for sliding_attention, and saves that. Of
# Gemma 3, whose file has a field for each kind, both arrive.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for version in 4.57.6 5.24.0; do
    python3 -m venv "$dir/$version"
    "$dir/$version/bin/pip" install --quiet "transformers==$version"
done

cat >"$dir/write.py" <<'PY'
import sys

import transformers
from transformers import Gemma3TextConfig, Olmo3Config

Olmo3Config(rope_theta=10000.0).save_pretrained(sys.argv[1] + "/olmo3")
Gemma3TextConfig(rope_theta=20000.0, rope_local_base_freq=30000.0).save_pretrained(sys.argv[1] + "/gemma3")
print(f"transformers {transformers.__version__} writes rope_theta 10000")
PY
cat >"$dir/read.py" <<'PY'
import sys

import transformers
from transformers import AutoConfig

found = {name: {kind: rope["rope_theta"] for kind, rope in AutoConfig.from_pretrained(f"{sys.argv[1]}/{name}").rope_parameters.items()}
         for name in ["olmo3", "gemma3"]}
print(f"transformers {transformers.__version__} reads", found)
sys.exit(found != {
    "olmo3": {"full_attention": 10000.0, "sliding_attention": 500000.0},
    "gemma3": {"full_attention": 20000.0, "sliding_attention": 30000.0},
})
PY
"$dir/4.57.6/bin/python" "$dir/write.py" "$dir" 2>/dev/null
"$dir/5.24.0/bin/python" "$dir/read.py" "$dir" 2>/dev/null || { echo "the behaviour has changed"; exit 1; }
