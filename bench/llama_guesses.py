"""Texts by llama.cpp's Python package, greedily, with and without its prompt lookup; for every line on standard input, a JSON object
with `way` ("plain", or "lookup N M": N tokens agree at most, M are guessed), `ids` of the prompt, `tokens` at most. Answers with a
list: seconds inside `llama_decode`, all seconds, tokens, passes, guesses, ids.

    python bench/llama_guesses.py MODEL.gguf THREADS flash|plain

Neither counts the prompt: the clock starts behind the first token. Python's own share is the difference between the two times; what
the package copies of the logits, and its sampler, is in it too.
"""

import ctypes
import json
import sys
import time

import llama_cpp as lib
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

CONTEXT = 1024


class Lookup(LlamaPromptLookupDecoding):
    """The package's own, and how many tokens it guessed."""

    guessed = 0

    def __call__(self, input_ids, **kwargs):
        found = super().__call__(input_ids, **kwargs)
        self.guessed += len(found)
        return found


class Text:
    """A model as the package opens it, whose passes are timed."""

    def __init__(self, path, threads, flash, lookup):
        # With a draft model the package keeps the logits of a text's last n_batch tokens alone, and fails beyond them.
        self.lookup = lookup
        self.model = lib.Llama(
            path, n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=512, n_threads=threads, n_threads_batch=threads, flash_attn=flash,
            draft_model=lookup, verbose=False,
        )
        self.vocabulary = lib.llama_model_get_vocab(self.model.model)
        self.inside, self.passes = 0.0, 0
        decode = self.model._ctx.decode

        def timed(batch):
            start = time.perf_counter()
            decode(batch)
            lib.llama_synchronize(self.model.ctx)
            self.inside += time.perf_counter() - start
            self.passes += 1

        self.model._ctx.decode = timed

    def generate(self, ids, tokens):
        self.model.reset()
        drawn = self.model.generate(ids, temp=0.0, repeat_penalty=1.0)
        text = [next(drawn)]
        self.inside, self.passes = 0.0, 0
        if self.lookup:
            self.lookup.guessed = 0
        start = time.perf_counter()
        while len(text) < tokens and not lib.llama_vocab_is_eog(self.vocabulary, text[-1]):
            text.append(next(drawn))
        seconds = time.perf_counter() - start
        guessed = self.lookup.guessed if self.lookup else 0
        drawn.close()
        if lib.llama_vocab_is_eog(self.vocabulary, text[-1]):
            text.pop()
        return [self.inside, seconds, len(text), self.passes, guessed, text]


def main():
    path, threads, how = sys.argv[1:]
    silence = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(silence, ctypes.c_void_p(0))
    made = {}
    for line in sys.stdin:
        asked = json.loads(line)
        kind, *sizes = asked["way"].split()
        if kind not in made:
            made[kind] = Text(path, int(threads), how == "flash", Lookup() if kind == "lookup" else None)
        if sizes:
            lookup = made[kind].lookup
            lookup.max_ngram_size, lookup.num_pred_tokens = map(int, sizes)
        print(json.dumps(made[kind].generate(asked["ids"], asked["tokens"])), flush=True)


if __name__ == "__main__":
    main()
