"""Plots as small SVG files, written by hand: bars with their spread, and lines over a logarithmic x."""

import math
from html import escape

COLOURS = {"ours": "#2563eb", "peer": "#b45309", "floor": "#6b7280"}
LINES = ["#2563eb", "#b45309", "#059669", "#7c3aed", "#be123c"]
STYLE = "<style>text{font:12px sans-serif;fill:#111}.t{font-weight:bold}.s{fill:#555}</style>"


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{STYLE}'
            f'<rect width="{width}" height="{height}" fill="#fff"/>' + "".join(parts) + "</svg>\n")


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def decades(lowest, highest):
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    return first, max(last, first + 1)


def bars(title, label, rows):
    """rows: (name, kind, median, lowest, highest); a logarithmic scale, as subjects are far apart."""
    # Letters of 12 px are 7 px wide at most.
    left = max(250, 7 * max(len(row[0]) for row in rows) + 16)
    width, step, top = left + 510, 26, 48
    first, last = decades(min(row[3] for row in rows), max(row[4] for row in rows))
    scale = (width - left - 90) / (last - first)
    at = lambda value: left + (math.log10(value) - first) * scale
    height = top + step * len(rows) + 24
    parts = [text(10, 18, title, "t"), text(10, 36, label, "s")]
    for power in range(first, last + 1):
        x = at(10**power)
        parts += [f'<path d="M{x:.0f} {top - 4}V{height - 20}" stroke="#ddd"/>', text(x, height - 6, number(10**power), "s", "middle")]
    for i, (name, kind, middle, lowest, highest) in enumerate(rows):
        y = top + step * i
        parts += [text(left - 8, y + 14, name, "", "end"),
                  f'<rect x="{left}" y="{y + 2}" width="{at(middle) - left:.0f}" height="{step - 10}" fill="{COLOURS[kind]}"/>',
                  f'<path d="M{at(lowest):.0f} {y + 10}H{at(highest):.0f}" stroke="#111" stroke-width="2"/>',
                  text(at(highest) + 6, y + 14, number(middle))]
    return svg(width, height, parts)


def curves(title, x_label, y_label, lines):
    """lines: {name: [(x, y), ...]}; x logarithmic, y from 0."""
    left, width, top, height = 60, 760, 48, 340
    points = [point for line in lines.values() for point in line]
    first, last = decades(min(x for x, _ in points), max(x for x, _ in points))
    most = max(y for _, y in points) * 1.1
    at_x = lambda x: left + (math.log10(x) - first) * (width - left - 20) / (last - first)
    at_y = lambda y: height - 44 - y / most * (height - 44 - top)
    parts = [text(10, 18, title, "t"), text(10, 36, y_label, "s"), text(width - 10, height - 8, x_label, "s", "end")]
    for power in range(first, last + 1):
        x = at_x(10**power)
        anchor = "end" if power == last else "middle"
        parts += [f'<path d="M{x:.0f} {top}V{height - 44}" stroke="#ddd"/>', text(x, height - 28, number(10**power), "s", anchor)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = at_y(most * share)
        parts += [f'<path d="M{left} {y:.0f}H{width - 20}" stroke="#eee"/>', text(left - 6, y + 4, number(most * share) if share else "0", "s", "end")]
    for i, (name, line) in enumerate(lines.items()):
        colour = LINES[i % len(LINES)]
        path = "L".join(f"{at_x(x):.0f} {at_y(y):.0f}" for x, y in line)
        parts += [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
                  f'<rect x="{left + 10 + 150 * i}" y="{height - 18}" width="12" height="12" fill="{colour}"/>', text(left + 28 + 150 * i, height - 8, name)]
    return svg(width, height, parts)
