#!/usr/bin/env python3
"""Writes the ONNX backend node tests of the pinned `onnx` package to .cache/onnx-cases.

Each case becomes a folder in the layout of ONNX's own test data:

    <case>/model.onnx
    <case>/input_<i>.pb      TensorProto, SequenceProto or OptionalProto, by the graph's own type
    <case>/output_<i>.pb

and index.json lists the cases with their operator and tolerance. The folder is replaced as a
whole and index.json is written last, so a half-written set is never taken for a complete one.

    $(scripts/python-env) scripts/gen_onnx_cases.py [--out DIR] [--force]
"""

import argparse
import json
import os
import re
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import OptionalProto, TensorProto, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FORMAT = 1


def encode(value, info):
    """Returns the bytes of one input or output in the protobuf type its graph entry declares."""
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.from_list(list(value), info.name).SerializeToString()
    if kind == "optional_type":
        if value is None:
            return OptionalProto(name=info.name).SerializeToString()
        elem = info.type.optional_type.elem_type.WhichOneof("value")
        value = list(value) if elem == "sequence_type" else np.asarray(value)
        return numpy_helper.from_optional(value, info.name).SerializeToString()
    if kind != "tensor_type":
        raise ValueError(f"{info.name} has the unsupported type {kind}")
    if isinstance(value, TensorProto):
        return value.SerializeToString()
    return numpy_helper.from_array(np.asarray(value), info.name).SerializeToString()


def operator(case, by_name):
    """Names the operator under test: the single node of the case its expansion is derived from."""
    base = by_name[re.sub(r"_expanded.*", "", case.name)]
    node = base.model.graph.node[0]
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def write_case(out, case):
    folder = os.path.join(out, case.name)
    os.makedirs(folder)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(case.model.SerializeToString())
    (inputs, outputs), = case.data_sets
    graph = case.model.graph
    for stem, values, infos in (("input", inputs, graph.input), ("output", outputs, graph.output)):
        if len(values) != len(infos):
            raise ValueError(f"{case.name} declares {len(infos)} {stem}s and has {len(values)}")
        for i, (value, info) in enumerate(zip(values, infos)):
            with open(os.path.join(folder, f"{stem}_{i}.pb"), "wb") as file:
                file.write(encode(value, info))
    return len(inputs), len(outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(ROOT, ".cache", "onnx-cases"))
    parser.add_argument("--force", action="store_true", help="write again what is already there")
    args = parser.parse_args()

    index = os.path.join(args.out, "index.json")
    if not args.force and os.path.exists(index):
        with open(index) as file:
            have = json.load(file)
        if (have.get("format"), have.get("onnx")) == (FORMAT, onnx.__version__):
            print(f"{len(have['cases'])} cases of onnx {onnx.__version__} are in {args.out}")
            return

    # The cases warn on purpose (overflowing casts, log of zero) while they compute their answers.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    cases = sorted(collect_testcases(None), key=lambda case: case.name)
    by_name = {case.name: case for case in cases}
    staging = f"{args.out}.{os.getpid()}.tmp"
    os.makedirs(staging)
    rows = []
    for case in cases:
        inputs, outputs = write_case(staging, case)
        rows.append(
            {
                "name": case.name,
                "operator": operator(case, by_name),
                "inputs": inputs,
                "outputs": outputs,
                "rtol": case.rtol,
                "atol": case.atol,
            }
        )
    with open(os.path.join(staging, "index.json"), "w") as file:
        json.dump({"format": FORMAT, "onnx": onnx.__version__, "cases": rows}, file, indent=1)
    shutil.rmtree(args.out, ignore_errors=True)
    os.rename(staging, args.out)
    print(f"wrote {len(rows)} cases of onnx {onnx.__version__} to {args.out}")


if __name__ == "__main__":
    sys.exit(main())
