"""Curves over the steps as an SVG, one plot below another."""

import math
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


@dataclass
class Panel:
    """Curves over a few named places: name, colour, a value for every place. With `log`, the axis is logarithmic; otherwise it
    begins at 0."""

    name: str
    places: list
    across: str
    curves: list
    log: bool = False


def ticks(panel):
    """Values with a grid line: powers of ten, or quarters."""
    values = [value for _, _, curve in panel.curves for value in curve]
    if not panel.log:
        # The smallest round step such that four steps reach the top.
        most = max(values)
        tenth = 10.0 ** math.floor(math.log10(most / 4))
        step = next(round * tenth for round in (1, 2, 2.5, 5, 10) if 4 * round * tenth >= most)
        return [step * line for line in range(5)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def panel_parts(panel, left, top, width, height):
    """The parts of one panel."""
    scale = math.log10 if panel.log else float
    lines = ticks(panel)
    low, high = scale(lines[0]), scale(lines[-1])

    def y(value):
        return top + height * (1 - (scale(value) - low) / (high - low))

    def x(place):
        return left + width * (place + 0.5) / len(panel.places)

    yield f'<text x="{left - 40}" y="{top - 12}" font-weight="bold">{panel.name}</text>'
    for value in lines:
        yield f'<path d="M{left} {y(value):.1f}h{width}" stroke="{GRID}"/>'
        yield f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{f"{value:,.0f}" if value >= 100 else f"{value:.3g}"}</text>'
    for index, place in enumerate(panel.places):
        yield f'<text x="{x(index):.1f}" y="{top + height + 16}" text-anchor="middle">{place}</text>'
    yield f'<text x="{left + width / 2}" y="{top + height + 31}" text-anchor="middle">{panel.across}</text>'
    for number, (name, colour, values) in enumerate(panel.curves):
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in enumerate(values))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for index, value in enumerate(values):
            yield f'<circle cx="{x(index):.1f}" cy="{y(value):.1f}" r="2.5" fill="{colour}"/>'
        if len(panel.curves) > 1:
            at = left + width - 4 - 40 * number
            yield f'<text x="{at}" y="{top + 4}" text-anchor="end" fill="{colour}" font-weight="bold">{name}</text>'


@dataclass
class Line:
    """A curve through points (across, up); a name is written once, at the end."""

    name: str
    colour: str
    points: list


def lines(title, across, up, curves, height=300):
    """Curves through points, on axes that begin at 0 across and below the least value up."""
    all_points = [point for curve in curves for point in curve.points]
    most = max(x for x, _ in all_points)
    low, high = (bound(y for _, y in all_points) for bound in (min, max))
    low, high = math.floor(low * 5) / 5, math.ceil(high * 5) / 5
    top, right = TOP + 20, WIDTH - RIGHT
    parts = [f'<text x="{LEFT}" y="18" font-size="14">{title}</text>', f'<text x="{LEFT}" y="{top - 8}">{up}</text>']

    def place(x, y):
        return LEFT + (right - LEFT) * x / most, top + height * (1 - (y - low) / (high - low))

    for quarter in range(5):
        x, y = place(most * quarter / 4, low + (high - low) * quarter / 4)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{low + (high - low) * quarter / 4:.2f}</text>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{most * quarter / 4:,.0f}</text>')
    parts.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{top + height + 36}" text-anchor="middle">{across}</text>')
    at = right
    for curve in curves:
        points = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in curve.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="2"/>')
        if curve.name:
            parts.append(
                f'<text x="{at}" y="{top - 8}" text-anchor="end" fill="{curve.colour}" font-weight="bold">{curve.name}</text>'
            )
            at -= 80
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + height + BOTTOM + 4}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def grid(title, panels, columns=2):
    """Panels in a grid."""
    width, height, step, row = 330, 150, 420, 230
    parts = [f'<text x="14" y="22" font-size="14">{title}</text>']
    for index, panel in enumerate(panels):
        left, top = 60 + index % columns * step, 66 + index // columns * row
        parts += panel_parts(panel, left, top, width, height)
    total = columns * step, 66 + -(-len(panels) // columns) * row - 20
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" font-family="sans-serif" '
        f'font-size="11" fill="{INK}">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
