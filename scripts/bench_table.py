"""Reads the ratios out of what the sections of scripts/bench print, and writes them as one table."""

import re
from statistics import median
from typing import NamedTuple


class Ratio(NamedTuple):
    """How many times faster Assay is than what runs beside it, and how many times was wanted."""

    group: str
    label: str
    ratio: float
    wanted: float | None


# What the chain shall reach beside anvil, by how a row begins.
CHAIN_WANTED = {
    "eth_call, median": 1.0,
    "arithmetic": 1.0,
    "keccak": 1.0,
    "whole-number matmul": 1.0,
    "transfers, blocks of one second": 1.5,
}
INT8_WANTED = 3.0


def models(text):
    for threads in ("One thread", "Two threads"):
        table = re.search(rf"### {threads}\n```\n(.*?)```", text, re.S)
        for line in table[1].splitlines()[2:] if table else []:
            name, _, _, ratio, *_ = line.split()
            wanted = re.search(r"([\d.]+) (?:reached|missed)$", line)
            group = f"models beside onnxruntime, {threads.lower()}"
            yield Ratio(group, name, float(ratio), float(wanted[1]) if wanted else None)


def kernels(text):
    """The int8 product beside our own f32, and medians beside plain code and other libraries."""
    int8 = re.search(r"m x k x n +int8 .*?^ *1024x1024x1024 +\S+ +\S+ +([\d.]+)", text, re.S | re.M)
    if int8:
        yield Ratio("kernels", "int8 product 1024^3 beside our f32", float(int8[1]), INT8_WANTED)
    for title, label, column in (
        ("m x k x n +ours +gemm", "f32 products beside the gemm crate, median", 3),
        ("convolution +ours +gemm", "convolutions beside im2col and gemm, median", -2),
        ("f32 +ours ns +std ns", "f32 functions beside the standard library, median", -1),
        ("trees leaves shape", "tree ensembles beside a plain walk, median", -3),
    ):
        table = re.search(rf"^ *{title}[^\n]*\n(.*?)(?:\n\n|\n *f64|\n```)", text, re.S | re.M)
        found = [line.split()[column] for line in table[1].splitlines() if line.strip()] if table else []
        if found:
            yield Ratio("kernels", label, median(map(float, found)), None)


def chain(text):
    for what, ratio in re.findall(r"^(?:\| )?([^|\n]+?) \| [^|\n]+ \| [^|\n]+ \| ([\d.]+)x", text, re.M):
        wanted = [want for begin, want in CHAIN_WANTED.items() if what.startswith(begin)]
        yield Ratio("chain beside anvil", what, float(ratio), wanted[0] if wanted else None)


def ratios(text):
    """Lists all ratios that a text of sections has."""
    return [*models(text), *kernels(text), *chain(text)]


def render(rows):
    """Writes the table of all ratios."""
    lines, group = [f"{'times as fast as what runs beside it':56} ratio  wanted"], None
    for row in rows:
        if row.group != group:
            lines.append(row.group)
            group = row.group
        verdict = ""
        if row.wanted is not None:
            verdict = f"  {row.wanted:>5.1f} {'reached' if row.ratio >= row.wanted else 'missed'}"
        lines.append(f"  {row.label:54} {row.ratio:5.2f}{verdict}")
    return "\n".join(lines) + "\n"
