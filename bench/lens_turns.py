"""TransformerLens at work, for every line `plain N`, `record N`, `first N` or `again N` (the same), or `heads N` on standard input; answers with the seconds it took.

    python bench/lens_turns.py FOLDER THREADS
"""

import sys
import time
import warnings

import torch
from transformer_lens.model_bridge import TransformerBridge

warnings.filterwarnings("ignore")


def main():
    folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    bridge = TransformerBridge.boot_transformers(folder, dtype=torch.float32)
    layers, heads, vocabulary = bridge.cfg.n_layers, bridge.cfg.n_heads, bridge.cfg.d_vocab
    for line in sys.stdin:
        what, tokens = line.split()
        clean, corrupted = (
            torch.tensor([[(place + first) * 7919 % vocabulary for place in range(int(tokens))]]) for first in (0, 1)
        )
        start = time.perf_counter()
        if what == "plain":
            bridge(clean)
        elif what in ("first", "record", "again"):
            bridge.run_with_cache(clean)
        else:
            sites = [f"blocks.{layer}.attn.hook_z" for layer in range(layers)]
            _, cache = bridge.run_with_cache(clean, names_filter=sites)
            for site in sites:
                for head in range(heads):
                    def patch(z, hook, site=site, head=head):
                        z[:, :, head] = cache[site][:, :, head]
                        return z
                    logits = bridge.run_with_hooks(corrupted, fwd_hooks=[(site, patch)])
                    (logits[0, -1, 1] - logits[0, -1, 2]).item()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
