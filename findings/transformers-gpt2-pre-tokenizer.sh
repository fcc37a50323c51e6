#!/usr/bin/env bash
# transformers 5.24.0: where tokenizer_config.json names GPT2Tokenizer (as that of every GPT-2 does), AutoTokenizer takes the
# vocabulary and the merges from tokenizer.json, but builds normaliser and pre-tokenizer anew. What the file asks for, digits one
# by one or NFC, is gone without a word, and the ids are others than tokenizers gives for the same file.
#
# Seen: with Digits(individual_digits) before ByteLevel in tokenizer.json, "12" is two tokens in tokenizers 0.23.3 and with
# PreTrainedTokenizerFast, and one token with GPT2Tokenizer; with NFC as the normaliser, "e" and a combining accent are the
# tokens of the composed letter with the first two, of the two characters with the last.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet tokenizers==0.23.3 transformers==5.24.0

cat >"$dir/run.py" <<'PY'
import json, sys
from pathlib import Path

import tokenizers, transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {letter: number for number, letter in enumerate(alphabet)}
vocabulary["12"] = len(vocabulary)
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("1", "2")]))
tokenizer.normalizer = normalizers.NFC()
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])

folder = Path(sys.argv[1]) / "model"
folder.mkdir()
tokenizer.save(str(folder / "tokenizer.json"))
DECOMPOSED = "e\u0301"


def counts(encode):
    return [len(encode("12")), len(encode(DECOMPOSED))]


found = {"tokenizers": counts(lambda text: Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids)}
for name in ["PreTrainedTokenizerFast", "GPT2Tokenizer"]:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    opened = transformers.AutoTokenizer.from_pretrained(folder)
    found[name] = counts(lambda text: opened(text, add_special_tokens=False).input_ids)

print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}")
print("tokens of the number, of the letter and its accent:", found)
sys.exit(found != {"tokenizers": [2, 2], "PreTrainedTokenizerFast": [2, 2], "GPT2Tokenizer": [1, 3]})
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir" || { echo "the behaviour has changed"; exit 1; }
