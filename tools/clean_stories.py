"""Makes one clean training text of several slices of TinyStories.

    python tools/clean_stories.py --held-out tinystories_10k_lines.txt --out stories.txt SLICE.txt…

Stories stand between `<|endoftext|>`. Quotes, dashes and dots become ASCII, text that was decoded wrongly on its way
(`â€™`) is mended, spaces at line ends and empty lines go. Left out: what a slice broke off, copies, whatever also stands
in the held-out slice, and stories with characters that no other story has.
"""

import argparse
import re
from pathlib import Path

SEPARATOR = "<|endoftext|>"
ASCII = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "´": "'", "`": "'",
    "–": "-", "—": "-", "…": "...", "\u00a0": " ", "\u200b": None, "\ufeff": None, "\r": None, "\t": " ",
})
# UTF-8 that was read as Windows-1252: the bytes of one character of two or three, each shown as one of its own.
MISREAD = re.compile("[Ã-ô][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{1,3}")


def mend(found):
    try:
        return found[0].encode("cp1252").decode("utf-8")
    except UnicodeError:
        return found[0]


def clean(story):
    """One story, its lines stripped and joined by single line breaks."""
    story = MISREAD.sub(mend, story).translate(ASCII)
    lines = (re.sub(" +", " ", line).strip() for line in story.split("\n"))
    return "\n".join(line for line in lines if line)


def whole(story):
    """Whether it begins and ends like a story, and closes as many quotes as it opens."""
    ends = re.search(r"""[.!?]["')]*$|[Tt]he [Ee]nd$""", story)
    begins = re.match(r'["A-Z]', story)
    return len(story) >= 200 and begins and ends and story.count('"') % 2 == 0


def key(story):
    """What makes two stories the same: their letters."""
    return re.sub("[^a-z]", "", story.lower())


def read(path):
    """A slice's stories as they are; the last one is dropped unless a separator says that it is whole."""
    pieces = path.read_text(encoding="utf-8", errors="replace").split(SEPARATOR)
    return [clean(piece) for piece in (pieces if not pieces[-1].strip() else pieces[:-1])]


def stories(paths, held_out):
    """The clean stories of `paths`, in order, and how many were left out and why."""
    kept, seen = [], set()
    held = {key(story) for path in held_out for story in read(path)}
    out = {"broken or very short": 0, "copies": 0, "held out": 0, "strange characters": 0}
    for story in (story for path in paths for story in read(path)):
        letters = key(story)
        if not whole(story):
            out["broken or very short"] += 1
        elif letters in held:
            out["held out"] += 1
        elif letters in seen:
            out["copies"] += 1
        elif not story.isascii():
            out["strange characters"] += 1
        else:
            seen.add(letters)
            kept.append(story)
    return kept, out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="+", type=Path)
    parser.add_argument("--held-out", nargs="*", type=Path, default=[])
    parser.add_argument("--out", required=True, type=Path)
    asked = parser.parse_args()
    same = {p.resolve() for p in asked.slices} & {p.resolve() for p in asked.held_out}
    if same:
        parser.error(f"{same.pop()} is held out and cannot be trained on")
    kept, out = stories(asked.slices, asked.held_out)
    text = f"\n{SEPARATOR}\n".join(kept) + f"\n{SEPARATOR}\n"
    asked.out.write_text(text, encoding="utf-8")
    print(f"{len(kept)} stories, {len(text)} bytes; left out: " + ", ".join(f"{n} {why}" for why, n in out.items()))


if __name__ == "__main__":
    main()
