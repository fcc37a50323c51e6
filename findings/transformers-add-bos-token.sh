#!/usr/bin/env bash
# transformers 5.24.0: add_bos_token in the tokenizer_config.json of a GPT-2 is obeyed beside vocab.json and merges.txt, and
# ignored beside a tokenizer.json of the same vocabulary. A folder that is saved again, which adds tokenizer.json, no longer
# begins texts with the start token.
#
# Seen: "a" gives the start token and the letter with the first pair of files, the letter alone with the second.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet tokenizers==0.23.3 transformers==5.24.0

cat >"$dir/run.py" <<'PY'
import json, sys
from pathlib import Path

import tokenizers, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {letter: number for number, letter in enumerate(alphabet)}
START = vocabulary["<|endoftext|>"] = len(vocabulary)
config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
          "unk_token": "<|endoftext|>", "add_bos_token": True}

found = {}
for name in ["vocab.json and merges.txt", "tokenizer.json"]:
    folder = Path(sys.argv[1]) / name.split()[0]
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if name == "tokenizer.json":
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens(["<|endoftext|>"])
        tokenizer.save(str(folder / name))
    else:
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    found[name] = transformers.AutoTokenizer.from_pretrained(folder)("a").input_ids

print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}")
print(found)
letter = vocabulary["a"]
sys.exit(found != {"vocab.json and merges.txt": [START, letter], "tokenizer.json": [letter]})
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir" || { echo "the behaviour has changed"; exit 1; }
