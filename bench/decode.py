"""Decoding from an empty context, ours and llama.cpp's in turns: GPT-2 124M with random weights, float32.

    .venv/bin/python bench/decode.py [--tokens 64] [--rounds 7] [--threads 2] [--peers-only]

llama.cpp through the library that llama-cpp-python builds (natively, see `bench/setup`), one `llama_decode` a token,
no sampling on either side. Its keys and values are cached in 16 bits, which is its default; ours in 32.
"""

import argparse
import ctypes
import tempfile
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

from common import figures, interleave, machine, ours, record

LAYERS, HEADS, WIDTH, VOCABULARY, CONTEXT = 12, 12, 768, 50257, 1024


def write_gguf(path):
    """GPT-2 124M under llama.cpp's names, with random numbers and a vocabulary of made-up words."""
    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(4 * WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"word{n}" for n in range(VOCABULARY)])
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)
    writer.add_token_merges(["w o"])
    writer.add_bos_token_id(VOCABULARY - 1)
    writer.add_eos_token_id(VOCABULARY - 1)
    random = np.random.default_rng(1)

    def matrix(name, outputs, inputs, bias=True):
        values = random.standard_normal((outputs, inputs), dtype=np.float32)
        writer.add_tensor(f"{name}.weight", values * np.float32(0.02))
        if bias:
            writer.add_tensor(f"{name}.bias", np.zeros(outputs, np.float32))

    def norm(name):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))

    matrix("token_embd", VOCABULARY, WIDTH, bias=False)
    matrix("position_embd", CONTEXT, WIDTH, bias=False)
    for layer in range(LAYERS):
        norm(f"blk.{layer}.attn_norm")
        matrix(f"blk.{layer}.attn_qkv", 3 * WIDTH, WIDTH)
        matrix(f"blk.{layer}.attn_output", WIDTH, WIDTH)
        norm(f"blk.{layer}.ffn_norm")
        matrix(f"blk.{layer}.ffn_up", 4 * WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_down", WIDTH, 4 * WIDTH)
    norm("output_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaCpp:
    """A loaded model; a turn decodes some tokens from an empty context."""

    def __init__(self, path, tokens, threads):
        self.silence = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.silence, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = CONTEXT, threads, threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        assert self.model and self.context, "llama.cpp did not open the model"
        self.tokens = tokens

    def turn(self, _times):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        token = (llama_cpp.llama_token * 1)()
        start = time.perf_counter()
        for place in range(self.tokens):
            token[0] = place
            assert llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(token, 1)) == 0
            llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - start

    def cpu(self):
        return time.process_time()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-only", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpt2-124m-f32.gguf"
        write_gguf(path)
        sides = {"llama.cpp": LlamaCpp(path, asked.tokens, asked.threads)}
        if not asked.peers_only:
            sides["glass"] = ours("decode", LAYERS, HEADS, WIDTH, VOCABULARY, CONTEXT, asked.tokens, asked.threads)
        seconds, _ = interleave(sides, asked.rounds)
    result = {name: figures(asked.tokens, taken) for name, taken in seconds.items()}
    for name, rate in result.items():
        print(f"{name:10} {rate['median']:9.1f} tokens/s ({rate['least']:.1f} to {rate['most']:.1f})")
    if not asked.peers_only:
        sides["glass"].close()
        result["glass/llama.cpp"] = round(result["glass"]["median"] / result["llama.cpp"]["median"], 3)
    about = machine(["llama-cpp-python", "gguf"]) | {"threads": asked.threads, "rounds": asked.rounds}
    what = f"decoding {asked.tokens} tokens from an empty context, tokens per second"
    record(f"decode-{asked.threads}", about | {"what": what}, {"124m-f32": result})


if __name__ == "__main__":
    main()
