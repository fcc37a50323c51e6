"""Text to GPT-2's tokens on one thread: Glass, `tokenizers` and `tiktoken`, in turns.

    .venv/bin/python bench/encode.py [--rounds 5] [TEXT…]

The first 10 MB of the files, by default of the novels in `$GLASS_DATA`, as one text and in documents of 10 kB. The ids are
compared first. Every program runs in its own process; the others are called through their Python packages, whose lists of ids
are included in their time.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from common import ROOT, Side, figures, interleave, machine, ours, record

BYTES = 10_000_000
OTHERS = ["tokenizers", "tiktoken"]
# The measurements: the length of a document, 0 for the whole text.
WORK = {"one text": 0, "documents of 10 kB": 10_000}


def text(files):
    """The text to encode: only ASCII, so that it may be cut anywhere."""
    if not files:
        data = Path(os.environ.get("GLASS_DATA", ROOT.parent / "shared" / "data"))
        files = sorted((data / "text" / "novels").glob("*.txt"))
    return "".join(file.read_text() for file in files).encode("ascii", "ignore")[:BYTES]


def measured(content, rounds):
    """The rates of all programs by the length of documents."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "text.txt"
        source.write_bytes(content)
        sides = {"glass": ours("encode", source, folder)}
        # Once it answers, it has written the files that the others read and compare with.
        sides["glass"].turn(0)
        for name in OTHERS:
            command = [sys.executable, ROOT / "bench" / "encode_turns.py", name, folder, source]
            sides[name] = Side(command, RAYON_NUM_THREADS="1")
        results = {}
        for what, length in WORK.items():
            seconds, idle = interleave(sides, rounds, times=length)
            rates = {name: figures(len(content) / 1e6, taken) for name, taken in seconds.items()}
            for name in OTHERS:
                rates[name]["ratio"] = round(rates["glass"]["median"] / rates[name]["median"], 1)
            results[what] = rates | {"idle cores": idle}
            print(f"{what:20} {json.dumps(rates)}")
        for side in sides.values():
            side.close()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("texts", nargs="*", type=Path)
    asked = parser.parse_args()
    content = text(asked.texts)
    if not content:
        raise SystemExit("no text: name a file, or a folder with text/novels by GLASS_DATA")
    results = measured(content, asked.rounds)
    about = machine(OTHERS) | {"rounds": asked.rounds, "bytes": len(content)}
    about["what"] = "encoding with GPT-2's vocabulary on one thread, MB/s"
    record("encode", about, results)


if __name__ == "__main__":
    main()
