"""Draws records as pictures. Those of `train.py`: `.venv/bin/python bench/chart.py bench/records/DATE-train-2.json`.

A row for every model, a column for every kind of malloc. Bars are medians, whiskers the range over the rounds; the dashed
line is the rate at which every operation would be a float32 multiply-add in registers.
"""

import json
import sys
from pathlib import Path

LABELS, COLUMN, GAP, BAR, TOP = 100, 360, 30, 17, 64
OURS, THEIRS, INK, PEAK = "#b5482f", "#9fb4c7", "#333", "#777"


def column(left, top, group, most, peak):
    """Bars of all sides from (left, top) downwards, `most` tokens per second wide, and the line of the peak."""
    def x(rate):
        return left + (COLUMN - 60) * rate / most

    for row, (name, rate) in enumerate(group["sides"].items()):
        y = top + row * BAR
        middle = y + BAR / 2 - 1
        colour = OURS if name.startswith("glass") else THEIRS
        yield f'<rect x="{left}" y="{y}" width="{x(rate["median"]) - left:.1f}" height="{BAR - 4}" fill="{colour}"/>'
        yield f'<path d="M{x(rate["least"]):.1f} {middle}H{x(rate["most"]):.1f}" stroke="{INK}"/>'
        yield f'<text x="{x(rate["most"]) + 5:.1f}" y="{y + 11}">{rate["median"]:,.0f}</text>'
    bottom = top + len(group["sides"]) * BAR
    yield f'<path d="M{x(peak):.1f} {top - 4}V{bottom}" stroke="{PEAK}" stroke-dasharray="3 3"/>'


def panels(record):
    """The whole picture's parts, and its height."""
    parts, top = [], TOP
    for shape, result in record["results"].items():
        groups = result["malloc"]
        peaks = [group["peak GFLOP/s"]["median"] / result["GFLOP per token"] for group in groups.values()]
        rates = [side["most"] for group in groups.values() for side in group["sides"].values()]
        parts.append(f'<text x="10" y="{top}" font-weight="bold">{shape}</text>')
        names = list(next(iter(groups.values()))["sides"])
        for row, name in enumerate(names):
            parts.append(f'<text x="{LABELS}" y="{top + 19 + row * BAR}" text-anchor="end">{name}</text>')
        for index, (group, peak) in enumerate(zip(groups.values(), peaks)):
            left = LABELS + 8 + index * (COLUMN + GAP)
            parts += column(left, top + 8, group, max(rates + peaks), peak)
        top += 44 + len(names) * BAR
    for index, malloc in enumerate(groups):
        left = LABELS + 8 + index * (COLUMN + GAP)
        parts.append(f'<text x="{left}" y="40">malloc {malloc}</text>')
    return parts, top - 20


def chart(path):
    """Writes the picture next to its record."""
    path = Path(path)
    record = json.loads(path.read_text())
    parts, height = panels(record)
    width = LABELS + 2 * (COLUMN + GAP)
    torch, cpu = record["packages"]["torch"].partition("+")[0], record["cpu"]
    title = f"Training, tokens/s: Glass and PyTorch {torch}, {record['threads']} threads, {cpu}; dashed: the f32 peak"
    body = "\n".join(parts)
    path.with_suffix(".svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">\n<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<text x="10" y="20" font-size="14">{title}</text>\n{body}\n</svg>\n'
    )
    print(f"written: {path.with_suffix('.svg').name}")


def bars(path, title, rows):
    """Our rate and the best of the others, row by row: (what, our rate, their rate, their name). Every row has its own scale, in
    which their bar has the same length."""
    label, unit, row, top = 200, 110, 40, 40
    most = max(ours / theirs for _, ours, theirs, _ in rows)
    parts = []
    for index, (what, ours, theirs, name) in enumerate(rows):
        y = top + index * row
        parts.append(f'<text x="{label - 8}" y="{y + 20}" text-anchor="end">{what}</text>')
        for offset, colour, length, said in [
            (0, OURS, ours / theirs, f"{ours:,.0f} · {ours / theirs:.2f} ×"), (BAR, THEIRS, 1, f"{theirs:,.0f} {name}"),
        ]:
            parts.append(f'<rect x="{label}" y="{y + offset}" width="{unit * length:.1f}" height="{BAR - 3}" fill="{colour}"/>')
            parts.append(f'<text x="{label + unit * length + 6:.1f}" y="{y + offset + 11}">{said}</text>')
    width, height = label + unit * max(most, 1) + 230, top + len(rows) * row
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">\n<rect width="{width:.0f}" height="{height}" fill="#fff"/>\n'
        f'<text x="10" y="22" font-size="14">{title}</text>\n{body}\n</svg>\n'
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    chart(sys.argv[1])
