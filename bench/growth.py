"""How cost grows, measured on this machine and drawn: `docs/growth.svg`, and a record.

    .venv/bin/python bench/growth.py [--threads 2] [--turns 3] [--only context,batch,position,together,size,gpt3]

- context: a step of training, 6 layers × 384 and a vocabulary of 8,192, one sample of 64 to 2,048 tokens; time and memory
- batch: the same with 1 to 32 samples of 64 tokens
- position: decoding with a model of GPT-2 124M's size after 0 to 2,016 tokens
- together: decoding 1 to 32 sequences with it together
- size: decoding and reading a prompt of 256 tokens with 1 million to 774 million weights
- gpt3: one block of each of GPT-3's shapes (Brown et al. 2020, table 2.1), up to 12,288 wide with 96 heads, in a context of 2,048
  tokens: reading them all, and one more token after them; times the layers is the cost of the whole model here, if it fitted

Medians of the turns. Weights are random, which does not change the time.
"""

import argparse
from statistics import median

from common import ROOT, machine, ours, record
from picture import Panel, grid

PACKINGS = ["f32", "bf16", "q8", "q4"]
COLOURS = {"f32": "#777", "bf16": "#9fb4c7", "q8": "#b5482f", "q4": "#d9a441"}
GPT2 = (12, 12, 768, 50257, 2048)
SIZES = {  # layers, heads, width; a vocabulary of 4,096 below GPT-2
    "1M": (4, 2, 128, 4096), "5M": (6, 4, 256, 4096), "12M": (6, 6, 384, 4096), "27M": (8, 8, 512, 4096),
    "124M": (12, 12, 768, 50257), "355M": (24, 16, 1024, 50257), "774M": (36, 20, 1280, 50257),
}
GPT3 = {  # layers, heads, width
    "small": (12, 12, 768), "medium": (24, 16, 1024), "large": (24, 16, 1536), "xl": (24, 16, 2048),
    "2.7b": (32, 32, 2560), "6.7b": (32, 32, 4096), "13b": (40, 40, 5120), "175b": (96, 96, 12288),
}


class Measure:
    """Medians of Glass's turns, one process per model."""

    def __init__(self, asked):
        self.asked = asked

    def seconds(self, side, line):
        side.turn(line)
        return median(side.turn(line) for _ in range(self.asked.turns))

    def training(self, shape, samples):
        """Seconds per step, and peak memory in GB."""
        side = ours("train", *shape, samples, self.asked.threads)
        taken = self.seconds(side, 1)
        peak = side.peak()
        side.close()
        return taken, peak

    def running(self, shape, packing, lines):
        """Seconds for every line, and peak memory in GB."""
        side = ours("run", "x".join(map(str, shape)), self.asked.threads, packing)
        taken = [self.seconds(side, line) for line in lines]
        peak = side.peak()
        side.close()
        return taken, peak

    def context(self):
        contexts = [64, 128, 256, 512, 1024, 2048]
        found = [self.training((6, 6, 384, 8192, context), 1) for context in contexts]
        return {"tokens": contexts, "ms": [round(1e3 * s, 1) for s, _ in found], "GB": [gb for _, gb in found]}

    def batch(self):
        samples = [1, 2, 4, 8, 16, 32]
        found = [self.training((6, 6, 384, 8192, 64), count) for count in samples]
        return {"samples": samples, "ms": [round(1e3 * s, 1) for s, _ in found], "GB": [gb for _, gb in found]}

    def position(self):
        after = [0, 128, 256, 512, 1024, 1536, 2016]
        found = {p: self.running(GPT2, p, [f"decode 32 {at}" for at in after])[0] for p in PACKINGS}
        return {"after": after} | {p: [round(1e3 * s / 32, 3) for s in taken] for p, taken in found.items()}

    def together(self):
        counts = [1, 2, 4, 8, 16, 32]
        found = {p: self.running(GPT2, p, [f"together 16 {count}" for count in counts])[0] for p in PACKINGS}
        rates = {p: [round(16 * n / s, 1) for n, s in zip(counts, taken)] for p, taken in found.items()}
        return {"sequences": counts} | rates

    def size(self):
        rows = {"weights": list(SIZES)}
        for packing in ["f32", "q8"]:
            found = [self.running((*shape, 512), packing, ["decode 32 0", "prefill 256"]) for shape in SIZES.values()]
            rows[f"decode {packing}"] = [round(32 / decode, 1) for (decode, _), _ in found]
            rows[f"prefill {packing}"] = [round(256 / prefill, 1) for (_, prefill), _ in found]
        return rows

    def gpt3(self):
        rows = {"shapes": list(GPT3), "layers": [layers for layers, _, _ in GPT3.values()]}
        for packing in ["f32", "q8"]:
            taken = []
            for _, heads, width in GPT3.values():
                self.asked.turns, turns = (1 if width > 4096 else self.asked.turns), self.asked.turns
                # A vocabulary of one panel, so that only the block matters. A prompt's last block is computed only for its last row, so
                # the cost of reading is that of two blocks minus that of one.
                shape = (heads, width, 64, 2048)
                (one, decode), gb = self.running((1, *shape), packing, ["prefill 2048", "decode 1 2047"])
                (two,), _ = self.running((2, *shape), packing, ["prefill 2048"])
                taken.append(((two - one, decode), gb))
                self.asked.turns = turns
            rows[f"prefill {packing} s"] = [round(prefill, 3) for (prefill, _), _ in taken]
            rows[f"decode {packing} s"] = [round(decode, 5) for (_, decode), _ in taken]
            rows[f"GB {packing}"] = [gb for _, gb in taken]
        return rows


def panels(found):
    """Every measurement as a panel: name, ticks, their meaning, curves."""
    made = []
    for what, unit in [("context", "tokens"), ("batch", "samples")]:
        if what in found:
            here = found[what]
            made.append(Panel(f"training step by {what}, ms", here[unit], unit, [("ms", "#b5482f", here["ms"])], log=True))
            made.append(Panel(f"training memory by {what}, GB", here[unit], unit, [("GB", "#b5482f", here["GB"])]))
    for what, unit, name, log in [
        ("position", "after", "decoding a token after this many, ms (124M)", False),
        ("together", "sequences", "decoding so many sequences together, tokens/s (124M)", True),
    ]:
        if what in found:
            curves = [(p, COLOURS[p], found[what][p]) for p in PACKINGS]
            made.append(Panel(name, found[what][unit], unit, curves, log=log))
    if "size" in found:
        here = found["size"]
        for work in ["decode", "prefill"]:
            curves = [(p, COLOURS[p], here[f"{work} {p}"]) for p in ["f32", "q8"]]
            made.append(Panel(f"{work} by size, tokens/s", here["weights"], "weights", curves, log=True))
    if "gpt3" in found:
        here = found["gpt3"]
        for name, key in [("reading 2,048 tokens, s", "prefill {} s"), ("a token after them, s", "decode {} s")]:
            curves = [(p, COLOURS[p], here[key.format(p)]) for p in ["f32", "q8"]]
            made.append(Panel(f"one block of GPT-3 {name}", here["shapes"], "shape", curves, log=True))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", default="context,batch,position,together,size,gpt3")
    asked = parser.parse_args()
    measure, found = Measure(asked), {}
    for what in asked.only.split(","):
        found[what] = getattr(measure, what)()
        for name, row in found[what].items():
            print(f"{what:10} {name:14} {row}", flush=True)
    about = machine([]) | {"threads": asked.threads, "turns": asked.turns, "what": "how cost grows"}
    record(f"growth-{asked.threads}", about, found)
    title = f"How cost grows: {asked.threads} threads, {about['cpu']}"
    (ROOT / "docs" / "growth.svg").write_text(grid(title, panels(found)))
    print("written: docs/growth.svg")


if __name__ == "__main__":
    main()
