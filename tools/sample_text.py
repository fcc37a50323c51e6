#!/usr/bin/env python3
"""Writes the text of `glass train --data sample`: stories from the built-in model (glass generate, a fixed seed).

Run from the repository's root, after a release build.
"""
import json
import subprocess
from pathlib import Path

OUT = Path("crates/glass/src/built_in/sample.txt")
MOST = 280_000
COMMAND = ["target/release/glass", "generate", "", "--samples", "480", "--batch", "16", "--tokens", "300"]
COMMAND += ["--seed", "7", "--temperature", "0.9", "--top-p", "0.95", "--json"]

lines = subprocess.run(COMMAND, check=True, capture_output=True, text=True).stdout.splitlines()
stories, size = [], 0
for story in map(json.loads, lines):
    text = "\n".join(line.rstrip() for line in story["text"].strip().splitlines())
    if story["finish"] == "end" and text not in stories and size + len(text) < MOST:
        stories.append(text)
        size += len(text.encode()) + 15
OUT.write_text("\n<|endoftext|>\n".join(stories) + "\n")
