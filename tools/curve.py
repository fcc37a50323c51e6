#!/usr/bin/env python3
"""The learning curve of one or more runs in a row, as an SVG.

    tools/curve.py OUT.svg RUN/train/log.jsonl…

Thin: the loss of every step, smoothed. Dots: bits per byte of the validation text. The runs follow each other along the
axis of tokens seen.
"""

import json
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 56, 56, 28, 44
LOSS, BITS, INK, GRID = "#3b6ea5", "#b5482f", "#444", "#e4e4e4"


def points(paths):
    """(tokens seen, loss, bits per byte or None), the runs one after another; and where each begins."""
    before, all_points, starts = 0, [], []
    for path in paths:
        starts.append(before)
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        all_points += [(before + line["tokens"], line["loss"], line.get("bits_per_byte")) for line in lines]
        before = all_points[-1][0]
    return all_points, starts


def main():
    out, *paths = sys.argv[1:]
    curve, starts = points(paths)
    most = curve[-1][0]
    low, high = 2.0, 7.0
    low_bits, high_bits = 0.7, 1.7

    def x(tokens):
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / most

    def y(value, low, high):
        share = min(max((value - low) / (high - low), 0), 1)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = []
    for step in range(6):
        loss, bits = low + step * (high - low) / 5, low_bits + step * (high_bits - low_bits) / 5
        at = y(loss, low, high)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="{LOSS}">{loss:.0f}</text>')
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{at + 4:.1f}" fill="{BITS}">{bits:.1f}</text>')
    for million in range(0, int(most / 1e6) + 1, 4):
        parts.append(
            f'<text x="{x(million * 1e6):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{million}</text>'
        )
    for start in starts[1:]:
        parts.append(
            f'<line x1="{x(start):.1f}" x2="{x(start):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{INK}" '
            f'stroke-dasharray="3 3"/><text x="{x(start) + 6:.1f}" y="{TOP + 10}">second run</text>'
        )
    smooth, path = curve[0][1], []
    for index, (tokens, loss, _) in enumerate(curve):
        smooth += (loss - smooth) * max(0.03, 1 / (index + 1))
        path.append(f"{x(tokens):.1f},{y(smooth, low, high):.1f}")
    parts.append(f'<polyline points="{" ".join(path[::8])}" fill="none" stroke="{LOSS}" stroke-width="1.6"/>')
    for tokens, _, bits in curve:
        if bits is not None:
            parts.append(f'<circle cx="{x(tokens):.1f}" cy="{y(bits, low_bits, high_bits):.1f}" r="3.4" fill="{BITS}"/>')
    parts.append(f'<text x="{LEFT}" y="16" fill="{LOSS}">training loss, nats per token</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end" fill="{BITS}">held-out text, bits per byte</text>'
    )
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">million tokens seen</text>')
    body = "\n".join(parts)
    Path(out).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
        f'fill="{INK}">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
