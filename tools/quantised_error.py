#!/usr/bin/env python3
"""Compares log-probabilities of quantised files with those of the same weights in f32, in Glass and in llama.cpp.

    tools/quantised_error.py GLASS [--layers N] [--texts N] [--work FOLDER]    # pip install gguf llama-cpp-python numpy safetensors

A GPT-2 with random weights, 768 wide, is written as Q8_0, Q4_0 and Q4_K_M by llama.cpp, and as q8 and q4 by GLASS (whose q4
keeps the token embedding in 8 bits, where llama.cpp's Q4_0 has Q6_K). Each file is then dequantised to f32 by the `gguf`
package, and the log-probabilities from `GLASS score` with that file are the reference: the remaining error comes from rounding
the inputs of products, and from converting weights of formats that a program does not run directly. The output is the root
mean square of the differences in nats, with keys and values in f32 and in 16 bits; the last column is Glass with input scales that
are powers of two and keys and values in f32, compared with llama.cpp. With `--work`, the files are kept there.
"""

import argparse
import ctypes
import json
import subprocess
import tempfile
from pathlib import Path

import llama_cpp as lib
import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize
from safetensors.numpy import save_file

WIDTH, VOCABULARY, CONTEXT = 768, 50257, 512
FILES = {"Q8_0": lib.LLAMA_FTYPE_MOSTLY_Q8_0, "Q4_0": lib.LLAMA_FTYPE_MOSTLY_Q4_0, "Q4_K_M": lib.LLAMA_FTYPE_MOSTLY_Q4_K_M}
OURS = ["q8", "q4"]


def random_model(folder, layers):
    """A folder in transformers' format."""
    random = np.random.default_rng(3)
    normal = lambda *shape: random.normal(0, 0.02, shape).astype(np.float32)
    weights = {"wte.weight": normal(VOCABULARY, WIDTH), "wpe.weight": normal(CONTEXT, WIDTH)}

    def norm(name):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = 1 + normal(WIDTH), normal(WIDTH)

    for layer in range(layers):
        block = f"h.{layer}"
        norm(f"{block}.ln_1")
        norm(f"{block}.ln_2")
        for name, inputs, outputs in [
            ("attn.c_attn", WIDTH, 3 * WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", WIDTH, 4 * WIDTH),
            ("mlp.c_proj", 4 * WIDTH, WIDTH),
        ]:
            weights[f"{block}.{name}.weight"], weights[f"{block}.{name}.bias"] = normal(inputs, outputs), normal(outputs)
    norm("ln_f")
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": WIDTH,
        "n_layer": layers, "n_head": WIDTH // 64, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config))


def dequantised(source, to):
    """The same file with every tensor in f32."""
    reader, writer = GGUFReader(source), GGUFWriter(to, "gpt2")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        kind_of_list = field.types[1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], kind_of_list)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_files(work, program, layers):
    if not (work / "f32.gguf").exists():
        random_model(work / "model", layers)
        subprocess.run([program, "convert", work / "model", work / "f32.gguf"], check=True, capture_output=True)
    for name, kind in FILES.items():
        if not (work / f"{name}.gguf").exists():
            asked = lib.llama_model_quantize_default_params()
            asked.ftype = kind
            done = lib.llama_model_quantize(str(work / "f32.gguf").encode(), str(work / f"{name}.gguf").encode(), ctypes.byref(asked))
            assert done == 0, f"llama.cpp did not write {name}"
            dequantised(work / f"{name}.gguf", work / f"{name}-f32.gguf")
    for name in OURS:
        if not (work / f"{name}.gguf").exists():
            subprocess.run([program, "quantise", work / "f32.gguf", "--to", name, "--out", work / f"{name}.gguf"], check=True, capture_output=True)
            dequantised(work / f"{name}.gguf", work / f"{name}-f32.gguf")


def ours(program, model, texts, cache, scales="exact"):
    scores = []
    for ids in texts:
        command = [program, "score", "-m", model, "--json", "--cache", cache, "--input-scales", scales, "--ids", ",".join(map(str, ids))]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        scores += [token["logprob"] for token in told["tokens"] if token["logprob"] is not None][-len(ids) + 1 :]
    return np.array(scores)


def theirs(model, texts, cache):
    kind = {"f32": 0, "f16": 1}[cache]
    llama = lib.Llama(str(model), n_ctx=CONTEXT, n_batch=CONTEXT, logits_all=True, verbose=False, n_threads=2, type_k=kind, type_v=kind)
    scores = []
    for ids in texts:
        llama.reset()
        llama.eval(ids)
        logits = np.array(llama.scores[: len(ids) - 1, :VOCABULARY], dtype=np.float64)
        sums = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        scores += list(logits[np.arange(len(ids) - 1), ids[1:]] - sums)
    return np.array(scores)


@lib.llama_log_callback
def silent(*_):
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glass")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--texts", type=int, default=4, help=f"of {CONTEXT} random tokens")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    with tempfile.TemporaryDirectory() as folder:
        work = asked.work or Path(folder)
        work.mkdir(exist_ok=True, parents=True)
        make_files(work, asked.glass, asked.layers)
        texts = np.random.default_rng(5).integers(0, VOCABULARY, (asked.texts, CONTEXT)).tolist()
        print(f"| file | glass, f32 cache | llama.cpp, f32 cache | ratio | glass, bf16 cache | llama.cpp, f16 cache | ratio | powers of two | ratio |\n|{'---|' * 9}")
        for name in [*FILES, *OURS]:
            right = ours(asked.glass, work / f"{name}-f32.gguf", texts, "f32")
            rms = lambda scores: float(np.sqrt(np.mean((scores - right) ** 2)))
            path = work / f"{name}.gguf"
            exact, powers = rms(theirs(path, texts, "f32")), rms(ours(asked.glass, path, texts, "f32", "powers-of-two"))
            cells = []
            for our_cache, their in [("f32", exact), ("bf16", rms(theirs(path, texts, "f16")))]:
                our = rms(ours(asked.glass, path, texts, our_cache))
                cells += [f"{our:.5f}", f"{their:.5f}", f"{our / their:.3f}"]
            cells += [f"{powers:.5f}", f"{powers / exact:.3f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
