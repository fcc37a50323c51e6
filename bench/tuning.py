"""A training step of an adapter (LoRA), Glass's and peft's on PyTorch in turns.

    .venv/bin/python bench/tuning.py [--context 256] [--samples 8] [--rank 16] [--rounds 3] [--threads 2] [--mixed] [--compiled]

SmolLM2-135M's shape with random weights, adapters on all matrices of the blocks, no dropout, clipping and AdamW. Glass keeps the
weights in q8; peft in float32, or bfloat16 where the processor has it, malloc tuned, with --compiled also compiled, which needs a C++
compiler. Every variant is its own process; the memory is each one's own peak.
"""

import argparse
import sys

from common import ROOT, Side, figures, has_bf16, interleave, machine, ours, record
from train import MALLOCS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("context", 256), ("samples", 8), ("rank", 16), ("rounds", 3), ("threads", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mixed", action="store_true", help="also Glass's mixed precision")
    parser.add_argument("--compiled", action="store_true", help="also peft through torch.compile")
    asked = parser.parse_args()
    sizes = [asked.context, asked.samples, asked.rank]
    sides = {"glass q8": ours("tune", "smollm2-135m", *sizes, "q8", asked.threads)}
    if asked.mixed:
        sides["glass q8, mixed"] = ours("tune", "smollm2-135m", *sizes, "q8", asked.threads, "mixed")
    # Without instructions for pairs of bfloat16, PyTorch takes twenty times as long with them (bench/README.md).
    for precision in ["f32", *([] if has_bf16() is False else ["bf16"])]:
        for how in ["eager", *(["compiled"] if asked.compiled else [])]:
            command = [sys.executable, ROOT / "bench" / "peft_turns.py", how, precision, *sizes, asked.threads]
            sides[f"peft {how} {precision}"] = Side(command, **MALLOCS["tuned"])
    seconds, idle = interleave(sides, asked.rounds)
    tokens = asked.context * asked.samples
    found = {name: figures(tokens, taken) | {"peak GB": sides[name].peak()} for name, taken in seconds.items()}
    for side in sides.values():
        side.close()
    for name, rate in found.items():
        print(f"{name:20} {rate['median']:8.1f} tokens/s ({rate['least']:.1f} to {rate['most']:.1f})  {rate['peak GB']:.2f} GB")
    best = max((name for name in found if name.startswith("peft")), key=lambda name: found[name]["median"])
    own = max((name for name in found if name.startswith("glass")), key=lambda name: found[name]["median"])
    ratio = found[own]["median"] / found[best]["median"]
    memory = found[own]["peak GB"] / found[best]["peak GB"]
    print(f"{own} beside {best}: {ratio:.2f} × the tokens a second in {memory:.2f} of its memory")
    about = machine(["torch", "peft", "transformers"]) | {"threads": asked.threads, "what": "tuning an adapter"}
    results = {"sizes": sizes, "idle cores": idle, "sides": found, "ratio": round(ratio, 3), "memory": round(memory, 3)}
    record("tuning", about, results)


if __name__ == "__main__":
    main()
