"""Draws the ratios of docs/benchmarks.md: bars of how many times faster we are, a line where both are equal."""

import math

from bench_table import ratios

LEFT, BAR, RIGHT, ROW = 340, 400, 60, 22
LARGEST = 16.0
INK, PALE, OURS, THEIRS = "#1f2328", "#8b949e", "#1a7f64", "#b35900"


def text(x, y, words, anchor="start", colour=INK, weight="normal"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">{words}</text>'


def place(ratio):
    """Places a ratio on a logarithmic axis from a half to the largest."""
    low, high = math.log(0.5), math.log(LARGEST)
    return BAR * (min(max(math.log(ratio), low), high) - low) / (high - low)


def draw(page):
    """Answers the picture as SVG."""
    parts, y, group = [], 30, None
    for name, label, ratio, _ in ratios(page):
        if name != group:
            y += ROW if group else 0
            parts.append(text(8, y, name, weight="bold"))
            y, group = y + ROW, name
        one, end = LEFT + place(1.0), LEFT + place(ratio)
        colour = OURS if ratio >= 1 else THEIRS
        parts.append(text(LEFT - 10, y, label, "end"))
        parts.append(f'<rect x="{min(one, end):.1f}" y="{y - 12}" width="{max(abs(end - one), 1):.1f}" height="14" fill="{colour}"/>')
        parts.append(text(max(one, end) + 6, y, f"{ratio:.2f}", colour=colour))
        y += ROW
    height, one = y + 20, LEFT + place(1.0)
    axis = f'<line x1="{one:.1f}" x2="{one:.1f}" y1="20" y2="{y - 10}" stroke="{PALE}"/>'
    foot = text(one, y + 8, "equal", "middle", PALE)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + BAR + RIGHT} {height}" font-family="sans-serif" font-size="13">'
    title = "<title>How many times faster Assay is than the rival beside it, in one run</title>"
    back = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, title, back, axis, *parts, foot, "</svg>", ""])
