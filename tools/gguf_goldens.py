"""Makes crates/glass/tests/golden/gguf_blocks.json: blocks of random bytes, and the weights that the `gguf` package reads
from them as f32, both in hexadecimal.

    python tools/gguf_goldens.py        # pip install gguf
"""

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

OUT = Path(__file__).parent.parent / "crates/glass/tests/golden/gguf_blocks.json"
BLOCKS = 2
# The positions of a block's f16 scales and minima: random bytes could be NaN.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.IQ4_NL: [0],
    Type.IQ4_XS: [0],
    Type.MXFP4: [],
}


def main():
    random = np.random.default_rng(7)
    golden = {}
    for kind, scales in SCALES.items():
        _, size = GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for at in scales:
            blocks[:, at : at + 2] = random.normal(0, 0.02, (BLOCKS, 1)).astype(np.float16).view(np.uint8)
        if kind == Type.MXFP4:
            # The power of two: one of a weight's size, and the smallest that an f16 holds.
            blocks[:, 0] = [121, 104]
        weights = dequantize(blocks, kind).astype(np.float32).ravel()
        golden[kind.name] = {"bytes": blocks.tobytes().hex(), "weights": weights.tobytes().hex()}
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
