#!/usr/bin/env python3
"""Writes two models for checks of the chain.

    $(scripts/python-env) tests/clients/make_models.py

tests/clients/growth.assay      count * exp(rate) in f64, whose rows reach every typed error
benches/chain/mlp.assay         30-64-64-1 with ReLU and seeded weights, which benches/chain measures
"""

import json
import os
import subprocess
import tempfile

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# The first account of the usual development mnemonic.
PUBLISHER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
WIDTHS = (30, 64, 64, 1)


def description(name, features, column):
    return {
        "name": name,
        "version": "1.0.0",
        "licence": "MIT OR Apache-2.0",
        "publisher": PUBLISHER,
        "batch": "rows",
        "features": features,
        "columns": [{"name": column, "decimals": 18}],
    }


def growth():
    rate = helper.make_tensor_value_info("rate", TensorProto.DOUBLE, ["rows", 1])
    count = helper.make_tensor_value_info("count", TensorProto.INT64, ["rows", 1])
    grown = helper.make_tensor_value_info("grown", TensorProto.DOUBLE, ["rows", 1])
    nodes = [
        helper.make_node("Exp", ["rate"], ["factor"]),
        helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["factor", "counted"], ["grown"]),
    ]
    features = [{"name": "rate", "decimals": 18}, {"name": "count", "decimals": 2}]
    return helper.make_graph(nodes, "growth", [rate, count], [grown]), description("growth", features, "grown")


def mlp():
    rng = np.random.default_rng(7)
    nodes, weights, last = [], [], "x"
    for layer, (rows, columns) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        scale = np.sqrt(2.0 / rows)
        kernel = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
        bias = (rng.standard_normal(columns) * 0.1).astype(np.float32)
        weights += [numpy_helper.from_array(kernel, f"w{layer}"), numpy_helper.from_array(bias, f"b{layer}")]
        final = layer == len(WIDTHS) - 2
        summed = "y" if final else f"sum{layer}"
        nodes.append(helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [summed]))
        if not final:
            last = f"hidden{layer}"
            nodes.append(helper.make_node("Relu", [summed], [last]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTHS[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", WIDTHS[-1]])
    features = [{"name": f"x{i}", "decimals": 18} for i in range(WIDTHS[0])]
    return helper.make_graph(nodes, "mlp", [x], [y], weights), description("mlp", features, "y")


def write(made, output):
    graph, described = made
    assay = os.environ.get("ASSAY", os.path.join(ROOT, "target", "debug", "assay"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        onnx, description_file = os.path.join(folder, "graph.onnx"), os.path.join(folder, "graph.json")
        save(model, onnx)
        with open(description_file, "w", encoding="utf-8") as out:
            json.dump(described, out)
        subprocess.run([assay, "model", "pack", onnx, "--describe", description_file, "-o", output], check=True)


def main():
    write(growth(), os.path.join(HERE, "growth.assay"))
    write(mlp(), os.path.join(ROOT, "benches", "chain", "mlp.assay"))


if __name__ == "__main__":
    main()
