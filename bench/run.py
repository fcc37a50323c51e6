"""Inference with GPT-2 124M: prefill, decoding, batches, start, memory and encoding, Glass and others in turns.

    .venv/bin/python bench/run.py [--rounds 7] [--threads 2] [--only prefill,decode,…] [--keep FOLDER] [--text FILE…]

Random weights; all programs with the same number of bits read the same numbers. Glass and llama.cpp open the same GGUF files, written
by Glass (F32, BF16, Q8_0, Q4_0); llama.cpp also opens its own F16 and Q4_K_M files, made from the same weights, and runs with and
without flash attention. `transformers` reads the original folder (prefill only). No program samples; each runs in its own process
with the same number of threads. Ratios are Glass's rate by the best of the others. llama.cpp caches keys and values in 16 bits, as
Glass does with packed weights; with f32 weights Glass uses 32 bits. Encoding is measured as in `encode.py`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import encode
from chart import bars
from common import ROOT, Side, figures, interleave, machine, ours, record

BENCH = ROOT / "bench"
# Glass's packing: the types of others to compare with.
WIDTHS = {"f32": ["F32"], "bf16": ["BF16", "F16"], "q8": ["Q8_0"], "q4": ["Q4_0", "Q4_K_M"]}
# The measurements: a line for a turn, and its number of tokens.
WORK = {
    "prefill": ("prefill 512", 512),
    "decode": ("decode 64 0", 64),
    "decode after 512": ("decode 32 512", 32),
    "16 together": ("together 16 16", 256),
}
PEAK_GFLOP = 20


def prepare(folder, program):
    """The folder, and every file made from it."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    if not (folder / "hf" / "config.json").exists():
        torch.manual_seed(1)
        GPT2LMHeadModel(GPT2Config()).save_pretrained(folder / "hf")
    files = {"hf": folder / "hf"}
    made = {"F32": [], "BF16": ["--to", "bf16"], "Q8_0": ["--to", "q8"], "Q4_0": ["--to", "q4"]}
    for name, bits in made.items():
        files[name] = folder / f"{name}.gguf"
        if not files[name].exists():
            command = ["quantise", files["hf"], *bits, "--out", files[name]] if bits else ["convert", files["hf"], files[name]]
            subprocess.run([program, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    for name, to in [("F16", "LLAMA_FTYPE_MOSTLY_F16"), ("Q4_K_M", "LLAMA_FTYPE_MOSTLY_Q4_K_M")]:
        files[name] = folder / f"{name}.gguf"
        if not files[name].exists():
            quantise = (
                "import sys, llama_cpp as lib; params = lib.llama_model_quantize_default_params(); "
                f"params.ftype = lib.{to}; "
                "sys.exit(lib.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params))"
            )
            command = [sys.executable, "-c", quantise, files["F32"], files[name]]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files["packed"] = folder / "packed-q8"
    if not files["packed"].exists():
        command = ["quantise", files["hf"], "--to", "q8", "--out", files["packed"]]
        subprocess.run([program, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    return files


class Work:
    """A process of one program for one measurement."""

    def __init__(self, side, line):
        self.side, self.line = side, line

    def turn(self, _times):
        return self.side.turn(self.line)

    def cpu(self):
        return self.side.cpu()


def rates(width, files, asked):
    """Every measurement with one number of bits: rates of all programs, in turns with the peak."""
    llama = [sys.executable, BENCH / "llama_turns.py"]
    sides = {"glass": ours("run", files[WIDTHS[width][0]], asked.threads)}
    for name in WIDTHS[width]:
        for how in ["flash", "plain"]:
            sides[f"llama.cpp {name} {how}"] = Side([*llama, files[name], asked.threads, how])
    if width in ("f32", "bf16"):
        dtype = {"f32": "float32", "bf16": "bfloat16"}[width]
        sides[f"transformers {dtype}"] = Side(
            [sys.executable, BENCH / "transformers_turns.py", files["hf"], asked.threads, dtype]
        )
    peak = ours("peak", PEAK_GFLOP, asked.threads)
    found = {}
    for what, (line, tokens) in WORK.items():
        if what not in asked.only:
            continue
        here = {name: side for name, side in sides.items() if what == "prefill" or "transformers" not in name}
        turns = {name: Work(side, line) for name, side in here.items()} | {"peak": peak}
        seconds, idle = interleave(turns, asked.rounds)
        peak_rate = figures(PEAK_GFLOP, seconds.pop("peak"))
        found[what] = {"peak GFLOP/s": peak_rate, "idle cores": idle}
        found[what] |= {name: figures(tokens, taken) for name, taken in seconds.items()}
    for side in [*sides.values(), peak]:
        side.close()
    return found


def best(found):
    """The best of the others, and Glass's rate divided by it."""
    rates = {name: side["median"] for name, side in found.items() if isinstance(side, dict)}
    others = {name: rate for name, rate in rates.items() if name.startswith(("llama.cpp", "transformers"))}
    name = max(others, key=others.get)
    return name, round(rates["glass"] / others[name], 2)


def dense(results):
    """Prefill with dense weights: the best of 32 and 16 bits for each program."""
    sides = {}
    for width in ("f32", "bf16"):
        for name, side in results[width].get("prefill", {}).items():
            if isinstance(side, dict) and "peak" not in name:
                sides[f"glass {width}" if name == "glass" else name] = side["median"]
    us = max((name for name in sides if name.startswith("glass")), key=sides.get)
    them = max((name for name in sides if not name.startswith("glass")), key=sides.get)
    return {"ours": us, "theirs": them, "ratio": round(sides[us] / sides[them], 2)}


def starts(our_file, their_file, program, asked):
    """Seconds from the start to the first token: for Glass the whole process, for others without the start of Python."""
    ids, seconds = "1", {"glass": [], "llama.cpp": []}
    for number in range(1 + 3 * asked.rounds):
        start = time.perf_counter()
        command = [program, "generate", "-m", our_file, "--ids", ids, "--tokens", "1", "--threads", asked.threads]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken = {"glass": time.perf_counter() - start}
        command = [sys.executable, BENCH / "llama_turns.py", their_file, asked.threads, "start"]
        taken["llama.cpp"] = float(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout)
        if number:
            for name in seconds:
                seconds[name].append(taken[name])
    return {
        name: {"median": round(median(taken), 4), "least": round(min(taken), 4), "most": round(max(taken), 4)}
        for name, taken in seconds.items()
    }


def memory(our_file, their_file, program, asked):
    """Peak memory while 128 tokens are decoded: for Glass the whole process, for others the increase over Python's."""
    command = [program, "generate", "-m", our_file, "--ids", "1", "--tokens", "128", "--ignore-end", "--threads", asked.threads]
    # A process inherits its parent's peak, so it is started by a small process.
    launcher = (
        "import os, sys; pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); _, status, used = os.wait4(pid, 0); "
        "print(used.ru_maxrss, file=sys.stderr); sys.exit(status != 0)"
    )
    command = [sys.executable, "-I", "-S", "-c", launcher, *map(str, command)]
    done = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ours_kb = int(done.stderr.split()[-1])
    command = [sys.executable, BENCH / "llama_turns.py", their_file, asked.threads, "memory", "128"]
    theirs = int(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout)
    return {"glass MB": round(ours_kb * 1024 / 1e6), "llama.cpp MB": round(theirs / 1e6)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join([*WORK, "start", "memory", "encode"]))
    parser.add_argument("--widths", default=",".join(WIDTHS))
    parser.add_argument("--keep", type=Path, help="a folder for the files, 1.6 GB, reused by the next run")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="the text to encode, as for encode.py")
    asked = parser.parse_args()
    asked.only, widths = asked.only.split(","), asked.widths.split(",")
    content = encode.text(asked.text) if "encode" in asked.only else b""
    if "encode" in asked.only and not content:
        print("no text to encode, so this is left out; name a file with --text")
    subprocess.run(["cargo", "build", "-q", "--release"], cwd=ROOT, check=True)
    program = ROOT / "target" / "release" / "glass"
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        files = prepare(folder, program)
        results = {width: rates(width, files, asked) for width in widths}
        for width, found in results.items():
            for what, sides in found.items():
                name, ratio = best(sides)
                sides["ratio"] = ratio
                print(f"{width:5} {what:18} {sides['glass']['median']:9.1f}  {sides[name]['median']:9.1f} {name:28} {ratio:5.2f} x")
        if "prefill" in asked.only and {"f32", "bf16"} <= set(widths):
            results["dense prefill"] = dense(results)
            print(f"dense prefill: {json.dumps(results['dense prefill'])}")
        if "start" in asked.only:
            results["start s"] = starts(files["packed"], files["Q8_0"], program, asked)
            print(f"start: {json.dumps(results['start s'])}")
        if "memory" in asked.only:
            theirs = {width: files[WIDTHS[width][0]] for width in widths}
            results["memory"] = {
                width: memory(files["packed"] if width == "q8" else path, path, program, asked) for width, path in theirs.items()
            }
            print(f"memory: {json.dumps(results['memory'])}")
    if content:
        results["encode MB/s"] = encode.measured(content, asked.rounds)
    about = machine(["llama-cpp-python", "gguf", "torch", "transformers", *encode.OTHERS]) | {"threads": asked.threads, "rounds": asked.rounds}
    about["what"] = "GPT-2 124M at work, tokens per second"
    path = record(f"run-{asked.threads}", about, results)
    bars(path.with_suffix(".svg"), "GPT-2 124M, tokens per second", ratios_by_work(results))


def ratios_by_work(results):
    """For the chart: by measurement and number of bits, Glass's rate and the best of the others."""
    rows = []
    for what in WORK:
        for width in WIDTHS:
            sides = results.get(width, {}).get(what)
            if sides:
                name, _ = best(sides)
                rows.append((f"{what}, {width}", sides["glass"]["median"], sides[name]["median"], name))
    return rows


if __name__ == "__main__":
    main()
