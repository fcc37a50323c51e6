#!/usr/bin/env bash
# tokenizers 0.23.3 and transformers 5.24.0: a tokenizer.json states the id of every added token. If the id does not follow
# the model's vocabulary without a gap, tokenizers silently ignores it: the token gets the next free id, and the file
# written back has that id. A model whose embedding has rows up to the stated id is then fed another row.
#
# Observed: the added token "<x>" with "id": 10 after a vocabulary of 3 tokens is encoded as 3; written back as 3; transformers, with
# the same id in added_tokens_decoder of tokenizer_config.json, gives 3 too.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet tokenizers==0.23.3 transformers==5.24.0

cat >"$dir/run.py" <<'PY'
import json, sys, tempfile
from pathlib import Path

import tokenizers, transformers

STATED = 10
file = {
    "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None,
    "post_processor": None, "decoder": None,
    "added_tokens": [{"id": STATED, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True}],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"},
}
tokenizer = tokenizers.Tokenizer.from_str(json.dumps(file))
encoded = tokenizer.encode("<x>").ids
written = json.loads(tokenizer.to_str())["added_tokens"][0]["id"]

folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
(folder / "tokenizer.json").write_text(json.dumps(file))
(folder / "tokenizer_config.json").write_text(json.dumps(
    {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {str(STATED): {"content": "<x>", "special": True}}}))
opened = transformers.PreTrainedTokenizerFast.from_pretrained(folder)("<x>").input_ids

print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}")
print(f"stated {STATED}; encoded {encoded}; written back {written}; transformers {opened}")
sys.exit((encoded, written, opened) != ([3], 3, [3]))
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir" || { echo "the behaviour has changed"; exit 1; }
