#!/usr/bin/env python3
"""Exports the model parity list to .cache/parity, with answers to compare ours with.

    $(scripts/python-env) scripts/parity_models.py [--only NAME] [--force]

For every model of parity_list.py: the stock converter's ONNX, 10,000 rows, onnxruntime's outputs
(output_<i>.pb) and the library's own (native.pb: probabilities, decision values or predictions).
index.json says which output the native answer belongs to and whether onnxruntime gave the same bits
for the whole table and for single rows.
"""

import argparse
import os
import warnings

import numpy as np
import onnx
import onnxruntime

import converters
import parity_data
from casefiles import CaseSet, cache, tensor_bytes, write
from parity_list import ENTRIES

ALONE = 50


def run(data, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    outputs = plain(session.run(None, feed))
    alone = [
        plain(session.run(None, {name: value[i : i + 1] for name, value in feed.items()}))
        for i in range(ALONE)
    ]
    for i, output in enumerate(outputs):
        rows = np.concatenate([np.atleast_1d(row[i]) for row in alone])
        if rows.tobytes() != np.ascontiguousarray(output[:ALONE]).tobytes() and output.dtype != object:
            return outputs, False
    return outputs, True


def plain(outputs):
    """Turns the seq(map) output of a ZipMap into the matrix it was made of."""
    return [
        np.array([list(row.values()) for row in output], np.float32)
        if isinstance(output, list)
        else output
        for output in outputs
    ]


def native_answer(model, rows):
    """Returns the library's own answer as float64 (rows, columns), and its labels if it has any."""
    labels = None
    # CatBoost's regressors have an empty `classes_`.
    if len(getattr(model, "classes_", ())) or hasattr(model, "predict_proba"):
        labels = np.asarray(model.predict(rows)).reshape(-1)
    for method in ("predict_proba", "decision_function", "predict"):
        if hasattr(model, method):
            answer = np.asarray(getattr(model, method)(rows))
            if method == "decision_function" and answer.ndim == 1 and labels is not None:
                method = "margin"
            break
    return method, answer.astype(np.float64).reshape(len(rows), -1), labels


def graph_feed(model, columns, rows, per_column):
    inputs = [value.name for value in model.graph.input]
    if per_column:
        kinds = {c.name: {"float32": np.float32, "int64": np.int64, "string": object}[c.dtype] for c in columns}
        return {name: rows[name].to_numpy(kinds[name]).reshape(-1, 1) for name in inputs}
    return {inputs[0]: np.ascontiguousarray(rows, np.float32)}


def export(cases, entry):
    x, y, rows = entry.data()
    per_column = entry.encoders
    columns = (
        parity_data.MIXED
        if per_column
        else [converters.Column(f"f{i}") for i in range(x.shape[1])]
    )
    model = entry.build().fit(x, y)
    graph = converters.convert(model, columns, per_column)
    graph.graph.name = entry.name
    data = graph.SerializeToString()
    feed = graph_feed(graph, columns, rows, per_column)
    outputs, reproducible = run(data, feed)
    method, native, labels = native_answer(model, rows)
    folder = cases.add(
        entry.name,
        data,
        [tensor_bytes(value) for value in feed.values()],
        [tensor_bytes(value) for value in outputs],
        library=converters.library(converters.final(model)),
        estimator=type(converters.final(model)).__name__,
        trees=entry.trees,
        encoders=entry.encoders,
        method=method,
        labels=labels is not None,
        native_output=native_output(outputs, native, labels),
        onnxruntime_reproducible=reproducible,
        rtol=entry.tolerance,
        conditioning=entry.conditioning,
    )
    write(os.path.join(folder, "native.pb"), tensor_bytes(native))
    if labels is not None:
        labels = labels.astype(object) if labels.dtype.kind in "OU" else labels.astype(np.int64)
        write(os.path.join(folder, "labels.pb"), tensor_bytes(labels))


def native_output(outputs, native, labels):
    """Finds the output the native answer belongs to: the first float one of as many values."""
    for i, output in enumerate(outputs):
        if output.dtype.kind == "f" and output.size == native.size:
            return i
    for i, output in enumerate(outputs):
        if output.size == native.size and labels is None and output.dtype.kind in "iu":
            return i
    # The margins of a binary classifier: onnxruntime has a column for each class.
    for i, output in enumerate(outputs):
        if output.dtype.kind == "f" and output.shape[0] == native.shape[0]:
            return i
    raise ValueError(f"no output matches the native answer of shape {native.shape}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="export one model of the list into .cache/parity-only")
    parser.add_argument("--force", action="store_true", help="write again what is already there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    entries = [e for e in ENTRIES if args.only in (None, e.name)]
    key = {"set": "parity-1", "onnxruntime": onnxruntime.__version__, **converters.versions()}
    folder = cache("parity" if args.only is None else "parity-only")
    cases = CaseSet(folder, key, args.force or args.only is not None)
    if cases.fresh:
        print(f"the parity list is in {cases.folder}")
        return
    for entry in entries:
        export(cases, entry)
    cases.finish()


if __name__ == "__main__":
    main()
