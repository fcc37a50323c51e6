#!/usr/bin/env python3
"""Keeps of a model's vocabulary what some texts need, so that a small model can have the same one and learn from it.

    tools/trim_vocabulary.py MODEL OUT TEXT... [--least 10] [--special TOKEN]...

MODEL is a folder with a byte-level BPE tokenizer.json and one model.safetensors with a tied embedding, as `glass convert` writes
SmolLM2. Kept are its special tokens (with --special, those named only), its bytes, the tokens that occur at least so many times in
TEXT, and those that are merged on the way to them. Bytes that MODEL has no token for are added, with the embedding of a rare byte,
so that any text can be read. Everything else of a text is then written with shorter tokens. Needs the packages tokenizers,
safetensors and torch.
"""

import argparse
import collections
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers

EMBEDDING = "model.embed_tokens.weight"


def counted(model, texts):
    """How often each token occurs in the texts."""
    tokenizer, counts = Tokenizer.from_file(str(model / "tokenizer.json")), collections.Counter()
    for path in texts:
        documents = path.read_text(encoding="utf-8").split("<|endoftext|>")
        for encoding in tokenizer.encode_batch([document.strip() for document in documents]):
            counts.update(encoding.tokens)
    return counts


def needed(tokens, merges):
    """The tokens, and those that are merged on the way to them."""
    parts, kept, rest = {"".join(merge): merge for merge in merges}, set(), list(tokens)
    while rest:
        token = rest.pop()
        if token not in kept:
            kept.add(token)
            rest += parts.get(token, [])
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--least", type=int, default=10)
    parser.add_argument("--special", action="append")
    asked = parser.parse_args()

    described = json.loads((asked.model / "tokenizer.json").read_text())
    bpe, added = described["model"], described["added_tokens"]
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in bpe["merges"]]
    counts = counted(asked.model, asked.texts)
    specials = {token["content"] for token in added if not asked.special or token["content"] in asked.special}
    often = [token for token, count in counts.items() if count >= asked.least and token not in specials]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    missing = [byte for byte in alphabet if byte not in bpe["vocab"]]
    alphabet = [byte for byte in alphabet if byte in bpe["vocab"]]
    kept = needed([*often, *alphabet], merges) | specials
    old = {**bpe["vocab"], **{token["content"]: token["id"] for token in added}}
    ids = sorted(old[token] for token in kept)
    new = {id: at for at, id in enumerate(ids)}

    bpe["vocab"] = {token: new[id] for token, id in sorted(bpe["vocab"].items(), key=lambda item: item[1]) if id in new}
    bpe["vocab"] |= {byte: len(ids) + at for at, byte in enumerate(missing)}
    bpe["merges"] = [merge for merge in merges if {*merge, "".join(merge)} <= kept]
    added[:] = [token for token in added if token["content"] in specials]
    for token in added:
        token["id"] = new[token["id"]]
    for put in (described.get("post_processor") or {}).get("special_tokens", {}).values():
        put["ids"] = [new[id] for id in put["ids"]]
    asked.out.mkdir()
    (asked.out / "tokenizer.json").write_text(json.dumps(described, ensure_ascii=False))
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        if (asked.model / name).exists():
            shutil.copy(asked.model / name, asked.out)
    for name in ("config.json", "generation_config.json"):
        if not (asked.model / name).exists():
            continue
        settings = json.loads((asked.model / name).read_text())
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            one = settings.get(key)
            if one is not None:
                settings[key] = [new[id] for id in one] if isinstance(one, list) else new[one]
        if "vocab_size" in settings:
            settings["vocab_size"] = len(bpe["vocab"])
        (asked.out / name).write_text(json.dumps(settings, indent=2))
    weights = load_file(asked.model / "model.safetensors")
    rare = old[min(alphabet, key=lambda byte: counts[byte])]
    weights[EMBEDDING] = weights[EMBEDDING][ids + [rare] * len(missing)].contiguous()
    save_file(weights, asked.out / "model.safetensors", {"format": "pt"})

    before = sum(counts.values())
    tokenizer = Tokenizer.from_file(str(asked.out / "tokenizer.json"))
    after = sum(counted(asked.out, asked.texts).values())
    print(f"{len(ids):,} of {len(old):,} tokens kept, {len(missing)} bytes added; the texts take {after:,} instead of {before:,} ({after / before - 1:+.1%})")
    sentence = "Once upon a time, there was a xylophone."
    assert tokenizer.decode(tokenizer.encode(sentence, add_special_tokens=False).ids) == sentence


if __name__ == "__main__":
    main()
