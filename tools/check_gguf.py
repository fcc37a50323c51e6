#!/usr/bin/env python3
"""Compares Glass's GGUF with the `gguf` package and llama.cpp, on a trained model of GPT-2's family.

    tools/check_gguf.py GLASS MODEL [--tokens N] [--converter llama.cpp/convert_hf_to_gguf.py]        # pip install gguf safetensors numpy llama-cpp-python

Written by Glass: every tensor as the package reads it, and llama.cpp's greedy tokens compared with Glass's. Written by the
package: the same greedy tokens. If two tokens differ, the difference of their logits is printed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize

PROMPTS = ["Once upon a time", "The little dog", "One day, Tom and", "She was very sad because", "\"Look!\" said"]
GREEDY = ["--temperature", "0", "--ignore-end", "--cache", "f32"]


def glass(asked, *arguments):
    done = subprocess.run([asked.glass, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"glass {arguments}: {done.stderr}")
    return done.stdout


def ours(asked, model, prompt):
    """Our greedy ids after a prompt, and the prompt's."""
    tokens = json.loads(glass(asked, "tokens", "-m", model, "--json", prompt))
    ids = [token["id"] for token in tokens["tokens"]]
    given = ",".join(map(str, ids))
    out = glass(asked, "generate", "-m", model, "--json", "--tokens", asked.tokens, *GREEDY, "--ids", given)
    return ids, json.loads(out)["ids"]


def theirs(path):
    from llama_cpp import Llama

    # Keys and values in f32, as Glass is told to store them.
    return Llama(str(path), n_ctx=0, logits_all=False, verbose=False, n_threads=1, type_k=0, type_v=0, flash_attn=False)


def llama_greedy(llama, ids, tokens, expected):
    """How many tokens are equal, and at the first difference, how far its logit is from the best."""
    llama.reset()
    llama.eval(ids)
    for at in range(tokens):
        logits = np.array(llama._ctx.get_logits_ith(-1)[: llama.n_vocab()])
        best = int(logits.argmax())
        if best != expected[at]:
            return at, float(logits[best] - logits[expected[at]])
        llama.eval([best])
    return tokens, 0.0


def compare_with_llama(asked, model, path, what):
    llama = theirs(path)
    for prompt in PROMPTS:
        ids, expected = ours(asked, path, prompt)
        told = llama.tokenize(prompt.encode(), add_bos=False, special=False)
        assert told == ids, f"{what}: llama.cpp has the tokens {told} of {prompt!r}, not {ids}"
        equal, gap = llama_greedy(llama, ids, len(expected), expected)
        print(f"{what:24} {prompt!r:30} {equal} of {len(expected)} tokens equal" + (f", then {gap:.1e} between the logits" if gap else ""))


def read_by_the_package(path, model):
    """Compares every tensor of a dense file with the model's own."""
    weights = {name.removeprefix("transformer."): w for name, w in load_numbers(model).items()}
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    assert len(tensors) >= len(weights) - 1, (len(tensors), len(weights))
    for name, tensor in tensors.items():
        data = tensor.data if tensor.tensor_type.name in ("F32", "F16") else dequantize(tensor.data, tensor.tensor_type)
        expected = weights[hf_name(name)]
        expected = expected.T if expected.ndim == 2 and "_embd" not in name and name != "output.weight" else expected
        assert data.shape == expected.shape, (name, data.shape, expected.shape)
        assert np.array_equal(data.astype(np.float32), expected.astype(np.float32)), name
    print(f"{path.name}: {len(tensors)} tensors equal, number by number, those read by the gguf package")


def load_numbers(model):
    """bf16, which numpy does not have, as f32."""
    import torch
    from safetensors.torch import load_file as load

    return {name: w.to(torch.float32).numpy() for name, w in load(Path(model) / "model.safetensors").items()}


NAMES = {"attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}


def hf_name(name):
    outside = {"token_embd.weight": "wte.weight", "position_embd.weight": "wpe.weight", "output.weight": "lm_head.weight", "output_norm.weight": "ln_f.weight", "output_norm.bias": "ln_f.bias"}
    if name in outside:
        return outside[name]
    _, layer, part, leaf = name.split(".")
    return f"h.{layer}.{NAMES[part]}.{leaf}"


def rewrite_by_the_package(source, to, kind):
    """The same model, written by the gguf package in blocks of `kind`."""
    reader, writer = GGUFReader(source), GGUFWriter(to, "gpt2")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind_of_list = field.types[1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], kind_of_list)
    for tensor in reader.tensors:
        data = np.array(tensor.data, dtype=np.float32)
        if data.ndim == 2 and tensor.name != "position_embd.weight":
            writer.add_tensor(tensor.name, quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def converted_by_llama(asked, folder):
    """A folder that Glass writes, opened by llama.cpp's own converter: the same tensors as in Glass's own GGUF."""
    # The folder comes from a GGUF, so that everything in it is Glass's.
    ours, written, theirs = folder / "ours.gguf", folder / "written", folder / "theirs.gguf"
    glass(asked, "convert", asked.model, ours)
    glass(asked, "convert", ours, written)
    command = [sys.executable, asked.converter, written, "--outfile", theirs, "--outtype", "f32"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    glass(asked, "convert", written, folder / "same.gguf")
    read = [{t.name: numbers(t) for t in GGUFReader(path).tensors} for path in (theirs, folder / "same.gguf")]
    assert read[0].keys() == read[1].keys(), read[0].keys() ^ read[1].keys()
    for name, tensor in read[0].items():
        assert np.array_equal(tensor, read[1][name]), name
    print(f"llama.cpp's converter opens what Glass writes: {len(read[0])} tensors, number by number")


def numbers(tensor):
    if tensor.tensor_type.name in ("F32", "F16"):
        return np.asarray(tensor.data, dtype=np.float32)
    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glass")
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--without-llama", action="store_true", help="only compare with the gguf package")
    parser.add_argument("--converter", help="llama.cpp's convert_hf_to_gguf.py, which supports only GPT-2's vocabulary")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        dense, f32 = folder / "dense.gguf", folder / "f32"
        glass(asked, "convert", asked.model, dense)
        read_by_the_package(dense, asked.model)
        files = {"dense": dense}
        for bits in ["bf16", "q8", "q4"]:
            files[bits] = folder / f"{bits}.gguf"
            glass(asked, "quantise", asked.model, "--to", bits, "--out", files[bits])
        # In f32, so that the package can quantise it.
        glass(asked, "convert", dense, f32)
        glass(asked, "convert", f32, folder / "f32.gguf")
        files["f32"] = folder / "f32.gguf"
        for kind in [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0]:
            files[f"{kind.name} of the package"] = to = folder / f"{kind.name}.gguf"
            rewrite_by_the_package(folder / "f32.gguf", to, kind)
            ours(asked, to, PROMPTS[0])
        print("written by the gguf package: read here")
        if asked.converter:
            converted_by_llama(asked, folder)
        if not asked.without_llama:
            for what, path in files.items():
                compare_with_llama(asked, asked.model, path, what)


if __name__ == "__main__":
    main()
