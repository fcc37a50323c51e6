#!/usr/bin/env python3
"""Compares a run's TensorBoard events, read by TensorBoard itself, with its log.jsonl.

    tools/check_tensorboard.py DIR/train

Needs the package `tensorboard`.
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = Path(sys.argv[1])
events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
for name in ["loss", "val_loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_second", "mfu"]:
    logged = [(line["step"], line[name]) for line in lines if line[name] is not None]
    shown = [(event.step, event.value) for event in events.Scalars(name)] if logged else []
    assert [step for step, _ in shown] == [step for step, _ in logged], f"{name}: other steps"
    assert all(abs(a - b) <= 1e-6 * abs(b) for (_, a), (_, b) in zip(shown, logged)), f"{name}: other values"
    print(f"{name}: {len(shown)} steps agree")
samples = events.Tensors("sample") if "sample" in events.Tags()["tensors"] else []
print(f"samples after steps {[sample.step for sample in samples]}")
