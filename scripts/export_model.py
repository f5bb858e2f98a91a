#!/usr/bin/env python3
"""Exports a trained model as an Assay bundle, and proves on your rows that it answers the same.

From Python:

    from export_model import Feature, export
    export(model, rows, name="credit-default", output="credit.assay", positive_class=1,
           features=[Feature("income", unit="USD", decimals=2), Feature("grade", categories=["A", "B"])])

From a shell (a model saved with joblib or pickle, your own: loading one runs its code):

    $(scripts/python-env) scripts/export_model.py model.joblib --rows rows.csv --schema schema.json \\
        --name credit-default --positive-class 1 -o credit.assay

The stock converter turns the estimator into ONNX; `assay model pack` makes the bundle with the
feature schema and sample rows; `assay model run` answers every given row through the fixed-point
conversion a contract uses; and the answers are compared with the estimator's own. Nothing is written
when the largest difference is above the tolerance. docs/guides/publish-a-model.md explains the rest.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace

import numpy as np

import converters
from comparison import compare, from_fixed

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEFAULT_DECIMALS = 18


@dataclass(frozen=True)
class Feature:
    """Describes one column of the rows; what is left out is taken from the rows."""

    name: str
    unit: str | None = None
    decimals: int | None = None
    nullable: bool | None = None
    categories: list = field(default_factory=list)
    min: float | None = None
    max: float | None = None
    dtype: str | None = None


class ExportError(Exception):
    """Says why no bundle was written, and what to do."""


def export(
    estimator, rows, *, name, output, features=None, version="1", licence="NOASSERTION",
    publisher=None, positive_class=None, all_classes=False, answer="prediction", unit=None,
    decimals=DEFAULT_DECIMALS, calibrated=None, primary=None, samples=32, tolerance=1e-5,
    thresholds=(0.5,), near_within=1e-3, notes="", card_copy=None, assay=None, log=print,
):
    """Writes a bundle of the estimator to `output` and returns the comparison over `rows`.

    `notes` opens the model card; `card_copy` names a second place to write the card to.
    """
    if samples > 256:
        raise ExportError(f"a bundle holds at most 256 sample rows, not {samples}")
    table = Rows(rows, features or [], converters.selects_columns(estimator))
    model = Answers(estimator, table, positive_class, all_classes)
    binary = find_assay(assay)
    with tempfile.TemporaryDirectory() as folder:
        graph = write_graph(folder, estimator, table, name)
        description = {
            "name": name, "version": version, "licence": licence, "publisher": publisher,
            "calibrated": calibrated, "primary": primary,
            "features": table.description(),
            "columns": model.columns(answer, unit, decimals),
        }
        description = {k: v for k, v in description.items() if v is not None}
        write_json(folder, "describe.json", description)
        write_json(folder, "rows.json", table.json())
        write_json(folder, "samples.json", table.json()[:samples])
        draft = os.path.join(folder, "draft.assay")
        pack = [binary, "model", "pack", graph, "--describe", path(folder, "describe.json")]
        run(pack + ["-o", draft])
        answers = json.loads(run([binary, "model", "run", draft, "--input", path(folder, "rows.json")]))
        ours = [[from_fixed(v, decimals) for v in row["fixed"]] for row in answers["rows"]]
        result = compare(model.original, ours, model.classifier, thresholds, near_within)
        for line in result.lines():
            log(line)
        if not result.maximum <= tolerance:
            raise ExportError(
                f"the largest difference {result.maximum:.3g} is above the tolerance {tolerance:g}, so "
                f"nothing was written. Row {result.worst_row} shows it: train on float32 values, give "
                "the features enough decimals, or state a tolerance you can defend"
            )
        card = path(folder, "card.md")
        with open(card, "w") as file:
            file.write(card_text(name, version, estimator, description, result, tolerance, notes))
        final = pack + ["--samples", path(folder, "samples.json"), "--card", card, "-o", output]
        log(run(final).rstrip())
        if card_copy:
            shutil.copyfile(card, card_copy)
    return result


class Rows:
    """Holds the rows with a feature for each column."""

    def __init__(self, rows, features, per_column):
        frame = hasattr(rows, "columns")
        values = rows if frame else np.asarray(rows)
        names = list(values.columns) if frame else [f.name for f in features]
        if not names:
            names = [f"f{i}" for i in range(values.shape[1])]
        if len(names) != values.shape[1] or not len(values):
            raise ExportError(f"{len(names)} features for rows of the shape {values.shape}")
        given = {f.name: f for f in features}
        unknown = sorted(set(given) - set(map(str, names)))
        if unknown:
            raise ExportError(f"the rows have no column {', '.join(unknown)}")
        self.values = values
        columns = [values[n].to_numpy() if frame else values[:, i] for i, n in enumerate(names)]
        self.features = [
            complete(given.get(str(n), Feature(str(n))), column) for n, column in zip(names, columns)
        ]
        self.columns = columns
        # A pipeline that picks DataFrame columns by name takes one input per column.
        self.per_column = frame and (per_column or any(f.dtype == "string" for f in self.features))

    def description(self):
        keys = ("name", "unit", "decimals", "min", "max", "nullable", "categories")
        rows = [{k: v for k, v in asdict(f).items() if k in keys and v is not None} for f in self.features]
        for row in rows:
            row.update({k: repr(row[k]) for k in ("min", "max") if k in row})
        return rows

    def json(self):
        cells = [[cell(v, f) for v in c] for c, f in zip(self.columns, self.features)]
        return [list(row) for row in zip(*cells)]


def complete(feature, column):
    """Fills in what the author left out: type, decimals, range, categories."""
    text = column.dtype.kind in "OUST" or str(column.dtype) in ("str", "string", "category")
    whole = column.dtype.kind in "iub"
    missing = np.array([v is None or v != v for v in column])
    dtype = feature.dtype or ("string" if text else "int64" if whole else "float32")
    changes = {"dtype": dtype}
    if feature.nullable is None:
        changes["nullable"] = bool(missing.any())
    if text:
        seen = sorted({str(v) for v, gone in zip(column, missing) if not gone})
        categories = feature.categories or seen
        unlisted = sorted(set(seen) - set(map(str, categories)))
        if unlisted:
            raise ExportError(f"feature {feature.name}: the categories lack {', '.join(unlisted)}")
        return replace(feature, categories=list(map(str, categories)), decimals=0, **changes)
    if feature.categories:
        changes["categories"] = [
            c if isinstance(c, dict) else {"code": int(c), "label": str(c)} for c in feature.categories
        ]
    if feature.decimals is None:
        changes["decimals"] = 0 if whole or feature.categories else DEFAULT_DECIMALS
    present = column[~missing]
    if len(present):
        changes["min"] = plain(present.min()) if feature.min is None else feature.min
        changes["max"] = plain(present.max()) if feature.max is None else feature.max
    return replace(feature, **changes)


def plain(value):
    return value.item() if isinstance(value, np.generic) else value


def cell(value, feature):
    if value is None or value != value:
        return None
    return str(value) if feature.dtype == "string" else plain(value)


class Answers:
    """Holds the estimator's own answers and which columns of them the bundle answers."""

    def __init__(self, estimator, table, positive_class, all_classes):
        classes = getattr(estimator, "classes_", None)
        self.classifier = hasattr(estimator, "predict_proba") and classes is not None
        self.classes = [plain(c) for c in classes] if self.classifier else None
        self.index = None
        original = native(estimator, table)
        if self.classifier and not all_classes:
            known = ", ".join(map(str, self.classes))
            if positive_class is None:
                raise ExportError(
                    f"say which class a contract reads: positive_class (one of {known}) or all_classes"
                )
            wanted = [str(c) for c in self.classes]
            if str(positive_class) not in wanted:
                raise ExportError(f"no class {positive_class!r}; the classes are {known}")
            self.index = wanted.index(str(positive_class))
            original = original[:, [self.index]]
        self.original = original

    def columns(self, answer, unit, decimals):
        if not self.classifier:
            width = self.original.shape[1]
            names = [answer] if width == 1 else [f"{answer}_{i}" for i in range(width)]
            return [
                {"name": n, "unit": unit, "decimals": decimals, "index": i} for i, n in enumerate(names)
            ]
        chosen = range(len(self.classes)) if self.index is None else [self.index]
        return [
            {
                "name": f"probability of {self.classes[i]}", "class": str(self.classes[i]),
                "decimals": decimals, "index": i,
            }
            for i in chosen
        ]


def native(estimator, table):
    """Returns the estimator's own answers as float64 (rows, columns)."""
    library = converters.library(estimator)
    if library == "onnx":
        answers = run_onnx(converters.existing(estimator, None, None), table)
    elif library == "torch":
        import torch

        with torch.no_grad():
            # Through lists: PyTorch built for another NumPy cannot share arrays with this one.
            rows = torch.tensor(np.asarray(table.values, np.float32).tolist(), dtype=torch.float32)
            answers = estimator.eval()(rows).tolist()
    elif library == "xgboost" and not hasattr(estimator, "fit"):
        import xgboost

        answers = estimator.predict(xgboost.DMatrix(table.values))
    elif hasattr(estimator, "predict_proba"):
        answers = estimator.predict_proba(table.values)
    else:
        answers = estimator.predict(table.values)
    return np.asarray(answers, np.float64).reshape(len(table.values), -1)


def run_onnx(model, table):
    """Answers with onnxruntime: for a graph that has no estimator behind it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    matrix = np.ascontiguousarray(np.asarray(table.values), np.float32)
    return session.run(None, {names[0]: matrix})[-1]


def write_graph(folder, estimator, table, name):
    columns = [converters.Column(f.name, f.dtype) for f in table.features]
    if not table.per_column:
        columns = [replace(c, dtype="float32") for c in columns]
    graph = converters.convert(estimator, columns, table.per_column)
    # Converters put a fresh UUID here; with the name, equal training gives equal bytes and one id.
    graph.graph.name = name
    for package, version in converters.versions().items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = f"converted-with.{package}", version
    target = path(folder, "model.onnx")
    with open(target, "wb") as file:
        file.write(graph.SerializeToString())
    return target


def card_text(name, version, estimator, description, result, tolerance, notes):
    """Writes the model card: what the model is, what it takes, and how it was compared."""
    kind = type(converters.final(estimator))
    lines = [f"# {name} {version}", ""]
    if notes:
        lines += [notes.strip(), ""]
    lines += [
        f"Estimator: `{kind.__module__.split('.')[0]}.{kind.__name__}`. "
        f"Licence: {description['licence']}.",
        "",
        "| feature | unit | decimals | smallest | largest | may be missing | categories |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for f in description["features"]:
        row = [
            f["name"], f.get("unit", ""), f["decimals"], f.get("min", ""), f.get("max", ""),
            "yes" if f["nullable"] else "no",
            ", ".join(c["label"] if isinstance(c, dict) else c for c in f["categories"]),
        ]
        lines.append("| " + " | ".join(str(v) for v in row) + " |")
    lines += ["", "Answers: " + ", ".join(c["name"] for c in description["columns"]) + ".", ""]
    lines += ["## Comparison with the estimator", "", "```", *result.lines(), f"tolerance           {tolerance:g}", "```", ""]
    lines += ["## Converted with", "", *(f"- {p} {v}" for p, v in converters.versions().items()), ""]
    return "\n".join(lines)


def find_assay(given):
    """Finds the `assay` program: as given, in ASSAY, on the path, or built in this repository."""
    candidates = [
        given, os.environ.get("ASSAY"), shutil.which("assay"),
        os.path.join(ROOT, "target", "release", "assay"), os.path.join(ROOT, "target", "debug", "assay"),
    ]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise ExportError("found no `assay` program: run `cargo build --release -p assay` or set ASSAY")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ExportError(f"`assay {command[1]} {command[2]}` failed:\n{done.stderr.rstrip()}")
    return done.stdout


def path(folder, name):
    return os.path.join(folder, name)


def write_json(folder, name, value):
    with open(path(folder, name), "w") as file:
        json.dump(value, file)


def load_estimator(file):
    if file.endswith(".onnx"):
        return file
    if file.endswith((".joblib", ".jl")):
        import joblib

        return joblib.load(file)
    with open(file, "rb") as stream:
        return pickle.load(stream)


def load_rows(file):
    if file.endswith(".npy"):
        return np.load(file)
    import pandas

    return pandas.read_csv(file) if file.endswith(".csv") else pandas.read_parquet(file)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("estimator", help="model saved with joblib or pickle, or an ONNX file")
    parser.add_argument("--rows", required=True, help="rows to compare on (.csv, .parquet, .npy)")
    parser.add_argument("--schema", help="JSON list of features: name, unit, decimals, nullable, categories")
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--version", default="1")
    parser.add_argument("--licence", default="NOASSERTION", help="SPDX expression")
    parser.add_argument("--publisher", help="address that may register the model")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--positive-class", help="answer only the probability of this class")
    choice.add_argument("--all-classes", action="store_true", help="answer the probability of each class")
    parser.add_argument("--answer", default="prediction", help="name of a regressor's answer")
    parser.add_argument("--unit", help="unit of a regressor's answer")
    parser.add_argument("--decimals", type=int, default=DEFAULT_DECIMALS, help="decimals of the answer")
    calibrated = parser.add_mutually_exclusive_group()
    calibrated.add_argument("--calibrated", dest="calibrated", action="store_true", default=None)
    calibrated.add_argument("--uncalibrated", dest="calibrated", action="store_false")
    parser.add_argument("--primary", help="graph output to answer [default: the scores]")
    parser.add_argument("--samples", type=int, default=32, help="sample rows in the bundle, at most 256")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest difference accepted")
    parser.add_argument("--threshold", type=float, action="append", help="decision threshold [0.5]")
    parser.add_argument("--near-within", type=float, default=1e-3, help="what counts as near a threshold")
    parser.add_argument("--assay", help="the assay program")
    parser.add_argument("-o", "--output", required=True, help="bundle to write")
    return parser.parse_args()


def main():
    args = parse_arguments()
    try:
        features = []
        if args.schema:
            with open(args.schema) as file:
                listed = json.load(file)
            features = [Feature(**f) for f in (listed["features"] if isinstance(listed, dict) else listed)]
        export(
            load_estimator(args.estimator), load_rows(args.rows), name=args.name, output=args.output,
            features=features, version=args.version, licence=args.licence, publisher=args.publisher,
            positive_class=args.positive_class, all_classes=args.all_classes, answer=args.answer,
            unit=args.unit, decimals=args.decimals, calibrated=args.calibrated, primary=args.primary,
            samples=args.samples, tolerance=args.tolerance, thresholds=tuple(args.threshold or [0.5]),
            near_within=args.near_within, assay=args.assay,
        )
    except (ExportError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, ExportError) else 2
    return 0


if __name__ == "__main__":
    converters.fix_hash_seed()
    sys.exit(main())
