"""A training step (forward, backward, clip, AdamW), Glass's and PyTorch's in turns.

    .venv/bin/python bench/train.py [--shapes 124m-4x64,…] [--rounds 5] [--threads 2] [--mixed]

PyTorch as installed and with glibc's malloc tuned to keep memory, each eager and compiled, in float32 and with autocast to
bfloat16; fused AdamW, `scaled_dot_product_attention`, no dropout. Every variant runs in its own process. All variants with one
kind of malloc take turns with Glass and the peak; ratios are taken among those. Compiling needs a C++ compiler (`g++` or
`clang++`, or the one in CXX); without one, the compiled variants are left out.
"""

import argparse
import os
import shutil
import sys

from chart import chart
from common import ROOT, Side, figures, interleave, machine, ours, record

# layers, heads, width, vocabulary, context, samples; steps per turn, preceded by as many that are not counted: a process that has
# waited starts on a slow processor with cold memory, which does not happen in real training
SHAPES = {
    "124m-4x64": ((12, 12, 768, 50257, 64, 4), 3),
    "124m-4x256": ((12, 12, 768, 50257, 256, 4), 1),
    "6x384-12x256": ((6, 6, 384, 65, 256, 12), 3),
    "4x128-12x64": ((4, 4, 128, 65, 64, 12), 60),
}
MALLOCS = {
    "installed": {},
    "tuned": {
        "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "268435456",
    },
}
OURS = {"f32": "glass f32", "mixed": "glass mixed"}
PEAK_GFLOP = 60


def flop(layers, heads, width, vocabulary, context, samples):
    """Operations of a step: 6 for every weight of a matrix and every token, and the causal half of attention."""
    weights = 12 * layers * width**2 + vocabulary * width
    return samples * context * (6 * weights + 6 * layers * context * width)


def peers(shape, threads, malloc):
    """PyTorch's processes."""
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")
    hows = ["eager", "compiled"] if compiler else ["eager"]
    return {
        f"{how} {precision}": Side(
            [sys.executable, ROOT / "bench" / "torch_turns.py", how, precision, *shape, threads], **MALLOCS[malloc]
        )
        for precision in ["f32", "bf16"]
        for how in hows
    }


def together(shape, steps, malloc, precisions, asked):
    """All programs with this malloc in turns: tokens per second and memory of each, the peak, the cost of waiting."""
    sides = {OURS[precision]: ours("train", *shape, asked.threads, precision) for precision in precisions}
    sides |= peers(shape, asked.threads, malloc)
    sides["peak"] = ours("peak", PEAK_GFLOP // steps, asked.threads)
    seconds, idle = interleave(sides, asked.rounds, steps, steps)
    samples, context = shape[-1], shape[-2]
    found = {"idle cores": idle, "peak GFLOP/s": figures(PEAK_GFLOP, seconds.pop("peak"))}
    found["sides"] = {
        name: figures(steps * samples * context, taken) | {"peak GB": sides[name].peak()}
        for name, taken in seconds.items()
    }
    for side in sides.values():
        side.close()
    return found


def ratios(groups):
    """Glass's rate by the best of PyTorch's: of the same precision and of all, malloc as installed and the worse of both."""

    def ratio(group, our_kinds, their_kind):
        rates = {name: side["median"] for name, side in group["sides"].items()}
        us = [rates[OURS[kind]] for kind in our_kinds if OURS[kind] in rates]
        them = [rate for name, rate in rates.items() if not name.startswith("glass") and name.endswith(their_kind)]
        return round(max(us) / max(them), 3) if us else None

    kinds = {
        "f32 / f32": (["f32"], "f32"), "mixed / bf16": (["mixed"], "bf16"), "f32 / all": (["f32"], ""),
        "best / all": (list(OURS), ""),
    }
    found = {}
    for name, (our_kinds, their_kind) in kinds.items():
        by_malloc = {malloc: ratio(group, our_kinds, their_kind) for malloc, group in groups.items()}
        if by_malloc["installed"]:
            found[name] = {"installed": by_malloc["installed"], "with tuned": min(by_malloc.values())}
    return found


def show(name, result):
    print(f"\n{name}")
    for malloc, group in result["malloc"].items():
        peak = group["peak GFLOP/s"]
        print(f"  malloc {malloc}; peak {peak['median']:.0f} GFLOP/s ({peak['least']:.0f} to {peak['most']:.0f}); "
              f"waiting sides took {100 * group['idle cores']:.1f} % of a core")
        for side, rate in group["sides"].items():
            share = f"{100 * rate['median'] * result['GFLOP per token'] / peak['median']:.0f} %"
            range_ = f"({rate['least']:.1f} to {rate['most']:.1f})"
            memory = f"{rate['peak GB']:.2f} GB" if rate["peak GB"] else ""
            print(f"    {side:14} {rate['median']:10.1f} tokens/s {range_:22} {share:>5} of the peak  {memory}")
    for kind, ratio in result["ratios"].items():
        installed, tuned = ratio.values()
        print(f"  ours / PyTorch's best, {kind:14} {installed:5.2f} as installed, {tuned:5.2f} with tuned malloc")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mixed", action="store_true", help="also Glass's mixed precision")
    asked = parser.parse_args()
    if unknown := [name for name in asked.shapes.split(",") if name not in SHAPES]:
        parser.error(f"--shapes: there is no {unknown[0]}; there are {', '.join(SHAPES)}")
    precisions = ["f32", "mixed"] if asked.mixed else ["f32"]
    about, results = machine(["torch"]) | {"threads": asked.threads, "rounds": asked.rounds}, {}
    for name in asked.shapes.split(","):
        shape, steps = SHAPES[name]
        groups = {malloc: together(shape, steps, malloc, precisions, asked) for malloc in MALLOCS}
        per_token = flop(*shape) / (shape[-1] * shape[-2]) / 1e9
        results[name] = {"GFLOP per token": round(per_token, 4), "malloc": groups, "ratios": ratios(groups)}
        show(name, results[name])
    path = record(f"train-{asked.threads}", about | {"what": "training, tokens per second"}, results)
    chart(path)


if __name__ == "__main__":
    main()
