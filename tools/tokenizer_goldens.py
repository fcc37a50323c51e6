#!/usr/bin/env python3
"""Golden files for tokenizers: small vocabularies with every family's parts, and the ids that `tokenizers` and llama.cpp give.

    tools/tokenizer_goldens.py [TEXT]        # pip install tokenizers gguf numpy llama-cpp-python

One byte-level vocabulary and one of SentencePiece's kind are learned from TEXT (default: the README); the families differ in
what stands around them. Written: `bytes.json`, `sentence.json` (the vocabularies), `cases.json` (per family its parts, and
texts with their ids and what decoding gives), `sentence*.gguf` (the second vocabulary for llama.cpp, with a tiny GPT-2).
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent.parent
GOLDEN = HERE / "crates" / "glass" / "tests" / "golden" / "tokenizers"
EXTRA = "Größe naïve café 漢字カタカナ Привет мир שלום 🦙🚀 don't WE'LL 1234567 x=(a+b)/2;\n\n\tdef f(x):\n        return x\n" * 8

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
NANOCHAT = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ENDING = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = TEKKEN.replace("]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}", f"]+{ENDING}|[^\\r\\n\\p{{L}}\\p{{N}}]?[\\p{{Lu}}").replace("*|\\p{N}|", f"*{ENDING}|\\p{{N}}{{1,3}}|")
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]


def split(*expressions, behavior="Isolated", invert=False):
    parts = [{"type": "Split", "pattern": {"Regex": one}, "behavior": behavior, "invert": invert} for one in expressions]
    return {"type": "Sequence", "pretokenizers": [*parts, level(False)]}


def level(words):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": words}


def start(token, id):
    single = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}}


def byte_families(ids):
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level(True)]}
    llama = {"type": "Sequence", "processors": [level(True), start("<|begin|>", ids["<|begin|>"])]}
    nfc = {"type": "NFC"}
    return {
        "gpt-2": {"pre_tokenizer": level(True)},
        "gpt-neox": {"pre_tokenizer": level(True), "normalizer": nfc},
        "smollm2": {"pre_tokenizer": digits},
        "llama-3": {"pre_tokenizer": split(LLAMA3), "post_processor": llama, "ignore_merges": True},
        "olmo-2": {"pre_tokenizer": split(LLAMA3, behavior="Removed", invert=True)},
        "qwen-2": {"pre_tokenizer": split(QWEN2), "normalizer": nfc},
        "nanochat": {"pre_tokenizer": split(NANOCHAT)},
        "phi-4-mini": {"pre_tokenizer": split(O200K)},
        "tekken": {"pre_tokenizer": split(TEKKEN), "ignore_merges": True},
        "deepseek-v3": {"pre_tokenizer": split(*DEEPSEEK)},
    }


def sentence_families():
    prepend = {"type": "Prepend", "prepend": "▁"}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    sequence = lambda *parts: {"type": "Sequence", "normalizers": list(parts)}
    decoder = lambda *parts: {"type": "Sequence", "decoders": [*back, *parts]}
    meta = lambda scheme, splits: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": splits}
    at_spaces = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    before = start("<s>", 1)
    return {
        "llama-2": {"normalizer": sequence(prepend, spaces), "decoder": decoder(strip), "post_processor": before},
        "gemma": {"normalizer": spaces, "pre_tokenizer": at_spaces, "decoder": decoder(), "post_processor": before},
        "llama-2 of transformers 5": {"pre_tokenizer": meta("first", False), "decoder": decoder(strip)},
        "metaspace": {"pre_tokenizer": meta("always", True), "decoder": decoder(strip)},
        "nfc": {"normalizer": sequence({"type": "NFC"}, spaces), "decoder": decoder()},
    }


def learn_bytes(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|begin|>", "<|im_start|>", "<|im_end|>"])
    return json.loads(tokenizer.to_str())


def learn_sentence(texts):
    """Tokens in the order of SentencePiece: special ones, bytes, then merged ones, then characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    words = [("▁" + text).replace(" ", "▁") for text in texts]
    pieces = [piece for word in words for piece in pre_tokenizers.Metaspace("▁", "never", True).pre_tokenize_str(word)]
    trainer = trainers.BpeTrainer(vocab_size=520, show_progress=False, limit_alphabet=110)
    tokenizer.train_from_iterator([piece for piece, _ in pieces], trainer)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merged = [text for text, _ in learned if len(text) > 1]
    merged += [run for run in ("▁▁", "▁▁▁", "▁▁▁▁", "▁" * 8) if run not in merged]
    characters = [text for text, _ in learned if len(text) == 1]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *merged, *characters]
    vocab = {text: id for id, text in enumerate(tokens)}
    # As transformers makes them of scores: every way to cut a token into two.
    ways = lambda text: [(text[:at], text[at:]) for at in range(1, len(text)) if text[:at] in vocab and text[at:] in vocab]
    merges = [way for text in merged for way in sorted(ways(text), key=lambda way: -len(way[0]))]
    special = [{"id": id, "content": tokens[id], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for id in range(3)]
    added = [{**special[0], "id": vocab["▁▁"], "content": "▁▁", "special": False}]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": merges}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special + added, "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}


def joined(base, parts):
    """A family's tokenizer.json."""
    file = json.loads(json.dumps(base))
    parts = dict(parts)
    file["model"]["ignore_merges"] = parts.pop("ignore_merges", False)
    return file | parts


def odd_texts(words, count):
    dice = random.Random(19)
    parts = ["a", "B", "ǅ", "ʰ", "漢", "カ", "・", "゠", "é", "É", "\u0301", "א", "न", "्", "1", "22", "4444", "٣", "½", " ", "  ", "    ", "\t",
             "\n", "\r\n", "\u00a0", "\u3000", "'s", "'S", "'ſ", "'ll", "'Re", "!", "//", "_", "—", "€", "🦙", "\u200d", "\u0001", "ﬁ", "ß",
             "▁", "▁▁", "<s>", "</s>", "<unk>", "<0x41>", "<|im_start|>", "<|begin|>", "İ", "A\u030a", *words]
    texts = ["", " ", "Hello world", " Hello", "<s>", "<s> x", "x<s>y", "don't WE'LL", "a" * 40, "=" * 33, " " * 21 + "x"]
    while len(texts) < count:
        texts.append("".join(dice.choice(parts) for _ in range(dice.randrange(1, 12))))
    return texts


def cases(base, families, texts):
    all = {}
    for family, parts in families.items():
        tokenizer = Tokenizer.from_str(json.dumps(joined(base, parts)))
        encoded = [(text, tokenizer.encode(text).ids) for text in texts]
        all[family] = {"parts": parts, "cases": [[text, ids, tokenizer.decode(ids, skip_special_tokens=False)] for text, ids in encoded]}
    return all


def write_gguf(path, base, space):
    """The vocabulary as llama.cpp's converter writes it, with a GPT-2 of one block and a width of 4."""
    vocab, merges = base["model"]["vocab"], base["model"]["merges"]
    tokens = sorted(vocab, key=vocab.get)
    ranks = {}
    for left, right in merges:
        ranks.setdefault(left + right, len(ranks))
    scores, kinds = [], []
    for id, text in enumerate(tokens):
        byte = 3 <= id < 259
        scores.append(0.0 if id < 259 else -float(ranks.get(text, len(ranks) + id)))
        kinds.append(TokenType.UNKNOWN if id == 0 else TokenType.CONTROL if id < 3 else TokenType.BYTE if byte else TokenType.NORMAL)
    writer = GGUFWriter(path, "gpt2")
    writer.add_context_length(64)
    writer.add_embedding_length(4)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(1)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(space)
    zeros = lambda *shape: np.zeros(shape, np.float16 if len(shape) > 1 else np.float32)
    writer.add_tensor("token_embd.weight", zeros(len(tokens), 4))
    writer.add_tensor("position_embd.weight", zeros(64, 4))
    for name, shape in [("attn_qkv", (12, 4)), ("attn_output", (4, 4)), ("ffn_up", (16, 4)), ("ffn_down", (4, 16))]:
        writer.add_tensor(f"blk.0.{name}.weight", zeros(*shape))
        writer.add_tensor(f"blk.0.{name}.bias", zeros(shape[0]))
    for name in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"]:
        writer.add_tensor(f"{name}.weight", zeros(4) + 1)
        writer.add_tensor(f"{name}.bias", zeros(4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def of_llama(path, texts):
    from llama_cpp import Llama

    llama = Llama(str(path), vocab_only=True, verbose=False)
    return [[text, llama.tokenize(text.encode(), add_bos=True, special=True)] for text in texts if text]


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "README.md"
    texts = source.read_text().splitlines(keepends=True) + EXTRA.splitlines(keepends=True)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    bytes, sentence = learn_bytes(texts), learn_sentence(texts)
    for name, file in [("bytes", bytes), ("sentence", sentence)]:
        (GOLDEN / f"{name}.json").write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n")
    specials = {token["content"]: token["id"] for token in bytes["added_tokens"]}
    odd = odd_texts(["the ", " weights", "model", " and"], 60)
    all = {
        "bytes": cases(bytes, byte_families(specials), odd),
        "sentence": cases(sentence, sentence_families(), odd),
        "llama.cpp": {},
    }
    for name, space in [("sentence", True), ("sentence_without_space", False)]:
        path = GOLDEN / f"{name}.gguf"
        write_gguf(path, sentence, space)
        all["llama.cpp"][name] = of_llama(path, odd)
    (GOLDEN / "cases.json").write_text(json.dumps(all, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
