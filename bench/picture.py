"""Curves over the steps as an SVG, one plot below the other."""

from dataclasses import dataclass

WIDTH, LEFT, RIGHT, TOP, GAP, BOTTOM = 760, 70, 16, 34, 34, 40
INK, GRID = "#444", "#e4e4e4"


@dataclass
class Plot:
    """Curves between `low` and `high`: name, colour, width, a value for every step."""

    name: str
    low: float
    high: float
    curves: list


def plot(of, top, height):
    """The parts of one plot."""
    right = WIDTH - RIGHT
    for line in range(5):
        value = of.low + line * (of.high - of.low) / 4
        y = top + height * (1 - line / 4)
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GRID}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    yield f'<text x="{LEFT}" y="{top - 8}">{of.name}</text>'
    at = right
    for name, colour, width, values in of.curves:
        step = (right - LEFT) / max(len(values) - 1, 1)
        points = " ".join(
            f"{LEFT + i * step:.1f},{top + height * (1 - (value - of.low) / (of.high - of.low)):.2f}"
            for i, value in enumerate(values)
        )
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        yield f'<text x="{at}" y="{top - 8}" text-anchor="end" fill="{colour}" font-weight="bold">{name}</text>'
        at -= 60


def picture(title, across, plots):
    """`plots` with their heights; steps count from 1."""
    parts, top = [f'<text x="{LEFT}" y="18" font-size="14">{title}</text>'], TOP + 20
    for of, height in plots:
        parts += plot(of, top, height)
        top += height + GAP
    steps = len(plots[0][0].curves[0][3])
    for quarter in range(5):
        step = max(1, steps * quarter // 4)
        x = LEFT + (WIDTH - LEFT - RIGHT) * (step - 1) / max(steps - 1, 1)
        parts.append(f'<text x="{x:.1f}" y="{top - GAP + 18}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{top - GAP + 34}" text-anchor="middle">{across}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - GAP + BOTTOM}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
