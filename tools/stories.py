#!/usr/bin/env python3
"""Makes one clean training text from slices of TinyStories.

    tools/stories.py OUT.txt --held-out HELD.txt [--as-is] SLICE.txt...

Without --as-is, typographic quotes and dashes become ASCII and lines are trimmed. Incomplete stories at the ends of a slice,
exact duplicates, and stories that also occur in the held-out text are dropped. Stories are separated by
<|endoftext|>.
"""

import argparse
import re
import sys
from pathlib import Path

SEPARATOR = "<|endoftext|>"
PLAIN = str.maketrans({"“": '"', "”": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "—": "-", "–": "-", "…": "...", "\u00a0": " "})


def stories(path):
    """The complete stories of a slice, cleaned."""
    return (text for _, text in told_and_clean(path))


def told_and_clean(path):
    """The complete stories of a slice, unchanged and cleaned."""
    for told in Path(path).read_text(encoding="utf-8").split(SEPARATOR):
        text = told.translate(PLAIN)
        text = re.sub(r"[ \t]+", " ", text)
        text = re.sub(r" ?\n\s*", "\n", text).strip()
        whole = text[:1].isupper() or text[:1] == '"'
        if whole and text[-1:] in '.!?"' and len(text) > 80:
            yield told.strip(), text


def letters(story):
    """A key that is equal for equal stories."""
    return re.sub(r"\W+", "", story)


def distinct(paths, held_out):
    """The complete stories of `paths`, unchanged and cleaned, each once, without those of `held_out`."""
    seen = {letters(story) for path in held_out for story in stories(path)}
    for path in paths:
        for told, story in told_and_clean(path):
            if letters(story) not in seen:
                seen.add(letters(story))
                yield told, story


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out")
    arguments.add_argument("slices", nargs="+")
    arguments.add_argument("--held-out", required=True)
    arguments.add_argument("--as-is", action="store_true")
    asked = arguments.parse_args()
    kept = [told if asked.as_is else story for told, story in distinct(asked.slices, [asked.held_out])]
    every = sum(1 for path in asked.slices for _ in stories(path))
    Path(asked.out).write_text(f"\n{SEPARATOR}\n".join(kept) + "\n", encoding="utf-8")
    print(f"{len(kept)} stories kept, {every - len(kept)} duplicates or held out", file=sys.stderr)


if __name__ == "__main__":
    main()
