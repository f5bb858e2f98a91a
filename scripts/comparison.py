"""Compares an estimator's own answers with those that come back from Assay, row by row."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Holds the figures of one comparison; differences are on the scale the tolerance is stated in."""

    rows: int
    scale: str
    maximum: float
    p99: float
    worst_row: int
    flips: list
    near: list
    near_within: float

    def lines(self):
        yield f"rows compared       {self.rows}"
        yield f"largest difference  {self.maximum:.3g} ({self.scale}), in row {self.worst_row}"
        yield f"99th percentile     {self.p99:.3g}"
        if self.flips is not None:
            yield f"label flips         {len(self.flips)}{listed(self.flips)}"
            yield f"near a threshold    {len(self.near)} rows within {self.near_within:g}{listed(self.near)}"


def listed(rows):
    if not rows:
        return ""
    more = " ..." if len(rows) > 10 else ""
    return f": rows {', '.join(str(row) for row in rows[:10])}{more}"


def from_fixed(text, decimals):
    """Returns the float nearest to a fixed-point value."""
    return float(Fraction(int(text), 10**decimals))


def compare(original, ours, classifier, thresholds, near_within):
    """Compares two (rows, columns) arrays.

    Scores of classes are compared by their absolute difference. Quantities are compared relative to
    the larger of the value and the column's root mean square, so that a value that happens to be
    near zero does not count as an error.
    """
    original = np.asarray(original, np.float64)
    ours = np.asarray(ours, np.float64)
    if original.shape != ours.shape:
        raise ValueError(f"{ours.shape} answers for {original.shape} expected ones")
    if classifier:
        scale, unit = np.ones_like(original), "absolute"
    else:
        rms = np.sqrt(np.mean(original**2, axis=0, keepdims=True))
        scale, unit = np.maximum(np.maximum(np.abs(original), rms), 1e-30), "relative"
    difference = (np.abs(ours - original) / scale).max(axis=1)
    flips = near = None
    if classifier:
        flips = np.flatnonzero(labels(original, thresholds) != labels(ours, thresholds)).tolist()
        near = np.flatnonzero(margin(original, thresholds) <= near_within).tolist()
    return Comparison(
        rows=len(original),
        scale=unit,
        maximum=float(difference.max()),
        p99=float(np.quantile(difference, 0.99)),
        worst_row=int(difference.argmax()),
        flips=flips,
        near=near,
        near_within=near_within,
    )


def labels(scores, thresholds):
    """Decides each row: the number of thresholds reached, or the class with the largest score."""
    if scores.shape[1] == 1:
        return np.searchsorted(np.sort(thresholds), scores[:, 0], side="right")
    return scores.argmax(axis=1)


def margin(scores, thresholds):
    """Returns how far each row is from being decided otherwise."""
    if scores.shape[1] == 1:
        return np.abs(scores - np.asarray(thresholds)[None, :]).min(axis=1)
    top = np.sort(scores, axis=1)
    return top[:, -1] - top[:, -2]
