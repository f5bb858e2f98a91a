"""The data of the model parity list: seeded, generated, the same on every run."""

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification, make_regression

from converters import Column

TRAIN = 4_000
ROWS = 10_000
WIDTH = 20

MIXED = [
    Column("income"), Column("age"), Column("debt"), Column("months", "int64"),
    Column("grade", "string"), Column("purpose", "string"),
]
GRADES = ["A", "B", "C", "D", "E"]
PURPOSES = ["car", "home", "medical", "other", "study", "travel"]


def split(x, y):
    return x[:TRAIN], y[:TRAIN], x[TRAIN : TRAIN + ROWS]


def classes(count, seed=11):
    x, y = make_classification(
        TRAIN + ROWS, WIDTH, n_informative=10, n_classes=count, random_state=seed
    )
    return split(x.astype(np.float32), y)


def numbers(seed=12):
    x, y = make_regression(TRAIN + ROWS, WIDTH, n_informative=12, noise=5.0, random_state=seed)
    return split(x.astype(np.float32), y)


def counts(seed=13):
    """Returns non-negative targets, as Poisson and Tweedie losses need."""
    x, y, test = numbers(seed)
    return x, np.floor(np.exp(y / np.std(y))), test


def holes(data, seed=14):
    """Removes a tenth of the values, so that trees use their default branches."""
    x, y, test = data
    rng = np.random.default_rng(seed)
    x, test = x.copy(), test.copy()
    for part in (x, test):
        part[rng.random(part.shape) < 0.1] = np.nan
    return x, y, test


def mixed(target="default", missing=False, seed=15):
    """Returns a loan table with numbers, whole numbers and string categories."""
    rng = np.random.default_rng(seed)
    rows = TRAIN + ROWS
    frame = pd.DataFrame(
        {
            "income": rng.lognormal(10.5, 0.5, rows).astype(np.float32),
            "age": rng.uniform(18, 80, rows).astype(np.float32),
            "debt": rng.gamma(2.0, 5000.0, rows).astype(np.float32),
            "months": rng.integers(6, 72, rows).astype(np.int64),
            "grade": pd.Series(rng.choice(GRADES, rows), dtype=object),
            "purpose": pd.Series(rng.choice(PURPOSES, rows), dtype=object),
        }
    )
    risk = (
        frame["debt"] / frame["income"] * 2.0
        + frame["grade"].map({g: i * 0.4 for i, g in enumerate(GRADES)}).astype(float)
        + (frame["purpose"] == "travel") * 0.5
        - frame["age"] / 50.0
        + rng.normal(0.0, 0.4, rows)
    ).to_numpy()
    if missing:
        for name in ("income", "age", "debt"):
            frame.loc[rng.random(rows) < 0.1, name] = np.float32(np.nan)
    if target == "default":
        y = (risk > np.median(risk)).astype(np.int64)
    elif target == "rating":
        y = np.array(["bad", "fair", "good"], dtype=object)[np.digitize(risk, np.quantile(risk, [0.3, 0.7]))]
    else:
        y = risk
    return frame[:TRAIN], y[:TRAIN], frame[TRAIN:].reset_index(drop=True)
