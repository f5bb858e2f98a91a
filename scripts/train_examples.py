#!/usr/bin/env python3
"""Trains the four example models on generated data and writes their bundles.

    $(scripts/python-env) scripts/train_examples.py [--out precompile/runtime/models]

credit-default      scikit-learn pipeline: imputed and scaled numbers beside one-hot categories
volatility          scikit-learn MLP: next day's realised volatility from past ones
liquidation-risk    XGBoost: probability that a loan position is liquidated within a day
transfer-anomaly    XGBoost: probability that a withdrawal is unlike its owner's own

The data are simulated here, from seeds: the models show how a bundle is made and called, and are
not to be lent money on. Each bundle's card.md says so too; a copy lies beside the bundle.
"""

import argparse
import os

import numpy as np
import pandas as pd
import xgboost
from sklearn import compose, ensemble, impute, neural_network, pipeline, preprocessing

from casefiles import ROOT
from converters import fix_hash_seed
from export_model import Feature, export

SIMULATED = (
    "Trained on simulated data (scripts/train_examples.py, fixed seed). It shows how a model is "
    "exported, published and called; it says nothing about real borrowers or markets."
)
ROWS = 6_000
TRAIN = 4_000


def float32(frame):
    """Stores numbers as trees and networks read them, so that Python and the chain see the same."""
    return frame.astype({n: np.float32 for n in frame.columns if frame[n].dtype.kind == "f"})


def files(out, name):
    """Names a model and says where its bundle and its card go."""
    stem = os.path.join(out, name)
    return {"name": name, "output": f"{stem}.assay", "card_copy": f"{stem}.md"}


def credit_rows(rng):
    frame = pd.DataFrame(
        {
            "income": rng.lognormal(10.6, 0.45, ROWS).round(0),
            "age": rng.integers(18, 80, ROWS).astype(float),
            "debt": rng.gamma(2.0, 6_000.0, ROWS).round(0),
            "credit_lines": rng.integers(0, 12, ROWS).astype(float),
            "late_payments": rng.poisson(0.6, ROWS).astype(float),
            "housing": pd.Series(rng.choice(["mortgage", "own", "rent"], ROWS, p=[0.4, 0.2, 0.4]), dtype=object),
            "purpose": pd.Series(rng.choice(["business", "car", "education", "home"], ROWS), dtype=object),
        }
    )
    logit = (
        -2.2
        + 2.0 * frame["debt"] / frame["income"]
        + 0.7 * frame["late_payments"]
        - 0.015 * (frame["age"] - 40)
        + 0.4 * (frame["housing"] == "rent")
        + 0.5 * (frame["purpose"] == "business")
    )
    default = (rng.random(ROWS) < 1 / (1 + np.exp(-logit))).astype(int)
    frame.loc[rng.random(ROWS) < 0.05, "income"] = np.nan
    return float32(frame), default.to_numpy()


def credit(out):
    rows, default = credit_rows(np.random.default_rng(101))
    numbers = ["income", "age", "debt", "credit_lines", "late_payments"]
    model = pipeline.Pipeline(
        [
            (
                "columns",
                compose.ColumnTransformer(
                    [
                        ("numbers", pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler()), numbers),
                        ("categories", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["housing", "purpose"]),
                    ],
                    sparse_threshold=0.0,
                ),
            ),
            ("model", ensemble.GradientBoostingClassifier(n_estimators=80, max_depth=3, random_state=0)),
        ]
    ).fit(rows[:TRAIN], default[:TRAIN])
    features = [
        Feature("income", unit="USD per year", decimals=2, nullable=True),
        Feature("age", unit="years", decimals=0),
        Feature("debt", unit="USD", decimals=2),
        Feature("credit_lines", unit="count", decimals=0),
        Feature("late_payments", unit="count in two years", decimals=0),
        Feature("housing"),
        Feature("purpose"),
    ]
    notes = f"Probability that a borrower defaults within a year. {SIMULATED}"
    export(
        model, rows[TRAIN:].reset_index(drop=True),
        **files(out, "credit-default"), features=features, positive_class=1,
        calibrated=False, licence="MIT OR Apache-2.0", notes=notes,
    )


def volatility_rows(rng):
    """Simulates daily returns whose variance follows a GARCH process, and its usual predictors."""
    days = ROWS + 30
    variance = np.empty(days)
    returns = np.empty(days)
    variance[0] = 0.03**2
    for t in range(days):
        returns[t] = np.sqrt(variance[t]) * rng.standard_t(6) * np.sqrt(4 / 6)
        if t + 1 < days:
            variance[t + 1] = 2e-5 + 0.09 * returns[t] ** 2 + 0.88 * variance[t]
    realised = np.sqrt(variance * rng.gamma(12, 1 / 12, days))
    series = pd.Series(realised)
    frame = pd.DataFrame(
        {
            "volatility_1d": series,
            "volatility_5d": series.rolling(5).mean(),
            "volatility_22d": series.rolling(22).mean(),
            "return_1d": pd.Series(returns),
            "abs_return_5d": pd.Series(np.abs(returns)).rolling(5).mean(),
        }
    ).round(6)
    target = series.shift(-1)
    keep = slice(22, 22 + ROWS)
    return float32(frame[keep].reset_index(drop=True)), target[keep].to_numpy()


def volatility(out):
    rows, target = volatility_rows(np.random.default_rng(102))
    model = pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        neural_network.MLPRegressor(hidden_layer_sizes=(32, 16), alpha=1e-3, max_iter=200, random_state=0),
    ).fit(rows[:TRAIN], target[:TRAIN])
    features = [Feature(name, unit="fraction per day", decimals=6) for name in rows.columns]
    export(
        model, rows[TRAIN:].reset_index(drop=True),
        **files(out, "volatility"), features=features,
        answer="volatility of the next day", unit="fraction per day", licence="MIT OR Apache-2.0",
        notes=f"Forecasts the realised volatility of the next day. {SIMULATED}",
    )


def liquidation_rows(rng):
    frame = pd.DataFrame(
        {
            "health_factor": 1 + rng.gamma(1.5, 0.4, ROWS),
            "loan_to_value": rng.beta(4, 3, ROWS),
            "collateral_volatility": rng.gamma(4.0, 0.012, ROWS),
            "collateral_return_1d": rng.normal(0, 0.04, ROWS),
            "borrow_rate": rng.gamma(2.0, 0.03, ROWS),
            "days_since_repayment": rng.exponential(20.0, ROWS).round(0),
        }
    ).round(6)
    cushion = np.log(frame["health_factor"]) + frame["collateral_return_1d"]
    score = 2.5 - 3.0 * cushion / frame["collateral_volatility"] / 1.5 + 2.0 * frame["loan_to_value"]
    liquidated = (rng.random(ROWS) < 1 / (1 + np.exp(-score))).astype(int)
    # A position that was never repaid has no such day.
    frame.loc[rng.random(ROWS) < 0.2, "days_since_repayment"] = np.nan
    return float32(frame), liquidated.to_numpy()


def liquidation(out):
    rows, liquidated = liquidation_rows(np.random.default_rng(103))
    model = xgboost.XGBClassifier(
        n_estimators=100, max_depth=4, learning_rate=0.1, random_state=0, n_jobs=1
    ).fit(rows[:TRAIN], liquidated[:TRAIN])
    features = [
        Feature("health_factor", unit="ratio", decimals=6),
        Feature("loan_to_value", unit="ratio", decimals=6),
        Feature("collateral_volatility", unit="fraction per day", decimals=6),
        Feature("collateral_return_1d", unit="fraction per day", decimals=6),
        Feature("borrow_rate", unit="fraction per year", decimals=6),
        Feature("days_since_repayment", unit="days", decimals=0, nullable=True),
    ]
    notes = f"Probability that a loan position is liquidated within a day. {SIMULATED}"
    export(
        model, rows[TRAIN:].reset_index(drop=True),
        **files(out, "liquidation-risk"), features=features, positive_class=1,
        calibrated=False, licence="MIT OR Apache-2.0", notes=notes,
    )


def transfer_rows(rng):
    """Simulates withdrawals, one in ten by a thief: large, soon after others, from quiet accounts."""
    thief = rng.random(ROWS) < 0.1
    first = rng.random(ROWS) < 0.3
    share = np.where(thief, rng.beta(6, 1.5, ROWS), rng.beta(1.2, 5, ROWS))
    frame = pd.DataFrame(
        {
            "balance_share": share,
            "vault_share": share * rng.beta(1, 60, ROWS),
            "mean_ratio": np.where(thief, rng.lognormal(1.6, 0.7, ROWS), rng.lognormal(0, 0.5, ROWS)),
            "seconds_since_last": rng.exponential(np.where(thief, 40_000.0, 900_000.0)).round(0),
            "withdrawals_today": rng.poisson(np.where(thief, 1.5, 0.2)).astype(float),
            "account_age": rng.exponential(15_000_000.0, ROWS).round(0),
        }
    ).round(6)
    # The first withdrawal of an account has nothing to be compared with.
    frame.loc[first, ["mean_ratio", "seconds_since_last"]] = np.nan
    frame.loc[first, "withdrawals_today"] = 0.0
    return float32(frame), thief.astype(int)


def transfers(out):
    rows, thief = transfer_rows(np.random.default_rng(104))
    model = xgboost.XGBClassifier(
        n_estimators=60, max_depth=4, learning_rate=0.15, random_state=0, n_jobs=1
    ).fit(rows[:TRAIN], thief[:TRAIN])
    features = [
        Feature("balance_share", unit="ratio", decimals=6),
        Feature("vault_share", unit="ratio", decimals=6),
        Feature("mean_ratio", unit="ratio", decimals=6, nullable=True),
        Feature("seconds_since_last", unit="seconds", decimals=0, nullable=True),
        Feature("withdrawals_today", unit="count", decimals=0),
        Feature("account_age", unit="seconds", decimals=0),
    ]
    notes = f"Probability that a withdrawal is not its owner's. {SIMULATED}"
    export(
        model, rows[TRAIN:].reset_index(drop=True),
        **files(out, "transfer-anomaly"), features=features, positive_class=1,
        calibrated=False, licence="MIT OR Apache-2.0", notes=notes,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(ROOT, "precompile", "runtime", "models"))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for train in (liquidation, credit, volatility, transfers):
        print(f"== {train.__name__}")
        train(args.out)


if __name__ == "__main__":
    fix_hash_seed()
    main()
