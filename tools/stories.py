#!/usr/bin/env python3
"""One clean training text out of slices of TinyStories.

    tools/stories.py OUT.txt --held-out HELD.txt SLICE.txt...

Typographic quotes and dashes become ASCII, broken stories at the ends of a slice and exact duplicates are dropped, and
so is any story that also stands in the held-out text. Stories are separated by <|endoftext|>.
"""

import argparse
import re
import sys
from pathlib import Path

SEPARATOR = "<|endoftext|>"
PLAIN = str.maketrans({"“": '"', "”": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "—": "-", "–": "-", "…": "...", "\u00a0": " "})


def stories(path):
    """The whole stories of a slice, cleaned."""
    for text in Path(path).read_text(encoding="utf-8").split(SEPARATOR):
        text = text.translate(PLAIN)
        text = re.sub(r"[ \t]+", " ", text)
        text = re.sub(r" ?\n\s*", "\n", text).strip()
        whole = text[:1].isupper() or text[:1] == '"'
        if whole and text[-1:] in '.!?"' and len(text) > 80:
            yield text


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out")
    arguments.add_argument("slices", nargs="+")
    arguments.add_argument("--held-out", required=True)
    asked = arguments.parse_args()
    held = {re.sub(r"\W+", "", story) for story in stories(asked.held_out)}
    seen, kept, dropped = set(), [], 0
    for path in asked.slices:
        for story in stories(path):
            key = re.sub(r"\W+", "", story)
            if key in held or key in seen:
                dropped += 1
                continue
            seen.add(key)
            kept.append(story)
    Path(asked.out).write_text(f"\n{SEPARATOR}\n".join(kept) + "\n", encoding="utf-8")
    print(f"{len(kept)} stories kept, {dropped} duplicates or held out", file=sys.stderr)


if __name__ == "__main__":
    main()
