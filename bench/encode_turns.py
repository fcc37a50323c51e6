"""A text to GPT-2's tokens by `tokenizers` or `tiktoken`, for every line on standard input, which gives the length of the documents
into which it is cut (0: one); answers with the seconds it took. The ids of the whole text must equal FOLDER/ids.u32.

    python bench/encode_turns.py tokenizers|tiktoken FOLDER TEXT
"""

import array
import json
import sys
import time
from pathlib import Path


def byte_of():
    """GPT-2's alphabet: the byte for each character of a token in tokenizer.json."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(others)}


def encoder(name, file):
    if name == "tokenizers":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    from tiktoken import Encoding
    from tiktoken_ext.openai_public import r50k_pat_str

    alphabet = byte_of()
    vocabulary = json.loads(file.read_text())["model"]["vocab"]
    # An id is a rank; the end of text is not a merge.
    ranks = {
        bytes(alphabet[letter] for letter in token): id for token, id in vocabulary.items() if token != "<|endoftext|>"
    }
    encoding = Encoding("gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    return encoding.encode_ordinary


def main():
    name, folder, source = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    text = source.read_text()
    encode = encoder(name, folder / "tokenizer.json")
    expected = array.array("I", (folder / "ids.u32").read_bytes())
    if list(expected) != encode(text):
        sys.exit(f"{name}: other ids")
    for line in sys.stdin:
        length = int(line) or len(text)
        documents = [text[start:start + length] for start in range(0, len(text), length)]
        start = time.perf_counter()
        for document in documents:
            encode(document)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
