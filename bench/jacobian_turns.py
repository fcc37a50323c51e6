"""TransformerLens fitting the Jacobian lens: for every line `N` on standard input, the next N texts; answers with the seconds they took.
`save FILE` writes the mean matrices so far.

    python bench/jacobian_turns.py FOLDER THREADS IDS TOKENS SKIPPED DIM_BATCH [MOST_PASSES]

IDS is a file of 32-bit ids; a text is TOKENS of them. The texts are read by the steps of JacobianLens.fit, which takes strings, not ids.
With MOST_PASSES, a text ends after so many backward passes, and the seconds are scaled to a whole text: to try values of DIM_BATCH.
"""

import sys
import time
import warnings

import numpy
import torch
from safetensors.torch import save_file
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import jacobian_lens as theirs

warnings.filterwarnings("ignore")


class Enough(Exception):
    pass


def main():
    folder, threads, ids, tokens, skipped, dim_batch, *most = sys.argv[1:]
    torch.set_num_threads(int(threads))
    bridge = TransformerBridge.boot_transformers(folder, dtype=torch.float32)
    texts = torch.from_numpy(numpy.fromfile(ids, dtype=numpy.uint32).astype(numpy.int64)).reshape(-1, int(tokens))
    layers, dim_batch = list(range(bridge.cfg.n_layers - 1)), int(dim_batch)
    passes = -(-bridge.cfg.d_model // dim_batch)
    most = int(most[0]) if most else passes
    sums, read = None, 0

    def backward(target, sources, cotangent, retain_graph):
        nonlocal left
        if left == 0:
            raise Enough
        left -= 1
        return theirs._ordinary_vjp(target, sources, cotangent, retain_graph)

    for line in sys.stdin:
        if line.startswith("save "):
            save_file({f"block.{layer + 1}.residual": (sums[layer] / read).contiguous() for layer in layers}, line.split()[1])
            print(0, flush=True)
            continue
        start = time.perf_counter()
        with theirs._frozen_parameters(bridge):
            for _ in range(int(line)):
                left = most
                try:
                    matrices = theirs._jacobian_for_prompt(
                        bridge, texts[read % len(texts)][None], source_layers=layers, dim_batch=dim_batch,
                        skip_first_positions=int(skipped), backward_provider=backward,
                    )
                    sums = matrices if sums is None else {layer: sums[layer] + matrices[layer] for layer in layers}
                except Enough:
                    pass
                read += 1
        print((time.perf_counter() - start) * passes / min(most, passes), flush=True)


if __name__ == "__main__":
    main()
