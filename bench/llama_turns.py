"""Runs llama.cpp, for every line on standard input; answers with the seconds it took. The lines are those of
`crates/glass/benches/turns.rs -- run`.

    python bench/llama_turns.py MODEL.gguf THREADS flash|plain
    python bench/llama_turns.py MODEL.gguf THREADS start      time from opening the file to the first token
    python bench/llama_turns.py MODEL.gguf THREADS memory N   bytes that opening and decoding N tokens added to the process

No sampling. Keys and values are cached in 16 bits, which is its default; the logits of every token are computed.
"""

import ctypes
import re
import sys
import time
from pathlib import Path

import llama_cpp as lib

CONTEXT = 1024


def context(model, threads, flash, sequences, positions):
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = sequences * positions, 2048, 512
    params.n_seq_max = sequences
    params.n_threads, params.n_threads_batch = threads, threads
    if hasattr(params, "flash_attn_type"):
        params.flash_attn_type = 1 if flash else 0
    else:
        params.flash_attn = flash
    made = lib.llama_init_from_model(model, params)
    assert made, "llama.cpp made no context"
    return made


def clear(made):
    lib.llama_memory_clear(lib.llama_get_memory(made), True)


def batch_of(rows):
    """A pass over rows of (token, position, sequence, whether its logits are needed)."""
    batch = lib.llama_batch_init(len(rows), 0, 1)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i] = token, position
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        batch.logits[i] = wanted
    batch.n_tokens = len(rows)
    return batch


def run(made, batch):
    assert lib.llama_decode(made, batch) == 0, "llama.cpp did not decode"
    lib.llama_synchronize(made)


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def prompt(tokens, vocabulary):
    return batch_of([(place * 7919 % vocabulary, place, 0, place + 1 == tokens) for place in range(tokens)])


def turns(model, threads, flash):
    one, many = context(model, threads, flash, 1, CONTEXT), {}
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    for line in sys.stdin:
        match line.split():
            case ["prefill", tokens]:
                clear(one)
                batch = prompt(int(tokens), vocabulary)
                taken = timed(lambda: run(one, batch))
                lib.llama_batch_free(batch)
            case ["decode", tokens, after]:
                clear(one)
                after = int(after)
                if after:
                    before = prompt(after, vocabulary)
                    run(one, before)
                    lib.llama_batch_free(before)
                steps = [batch_of([(7, after + step, 0, True)]) for step in range(int(tokens))]
                taken = timed(lambda: [run(one, step) for step in steps])
                for step in steps:
                    lib.llama_batch_free(step)
            case ["together", tokens, slots]:
                slots = int(slots)
                if slots not in many:
                    many[slots] = context(model, threads, flash, slots, 128)
                made = many[slots]
                clear(made)
                steps = [
                    batch_of([(7 + slot, step, slot, True) for slot in range(slots)])
                    for step in range(int(tokens))
                ]
                taken = timed(lambda: [run(made, step) for step in steps])
                for step in steps:
                    lib.llama_batch_free(step)
        print(taken, flush=True)


def peak():
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def opened(path):
    params = lib.llama_model_default_params()
    model = lib.llama_model_load_from_file(path.encode(), params)
    assert model, f"llama.cpp did not open {path}"
    return model


def main():
    path, threads, how, *more = sys.argv[1:]
    threads = int(threads)
    silence = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(silence, ctypes.c_void_p(0))
    lib.llama_backend_init()
    match how:
        case "start":
            first = batch_of([(1, 0, 0, True)])
            print(timed(lambda: run(context(opened(path), threads, True, 1, CONTEXT), first)))
        case "memory":
            before = peak()
            made = context(opened(path), threads, True, 1, CONTEXT)
            for place in range(int(more[0])):
                run(made, batch_of([(7, place, 0, True)]))
            print(peak() - before)
        case _:
            turns(opened(path), threads, how == "flash")


if __name__ == "__main__":
    main()
