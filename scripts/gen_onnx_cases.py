#!/usr/bin/env python3
"""Writes the ONNX backend node tests of the pinned `onnx` package to .cache/onnx-cases.

    $(scripts/python-env) scripts/gen_onnx_cases.py [--out DIR] [--force]

The layout is described in casefiles.py. index.json names each case's operator and tolerance.
"""

import argparse
import re
import sys
import warnings

import onnx

from casefiles import CaseSet, cache, encode


def operator(case, by_name):
    """Names the operator under test: the single node of the case its expansion is derived from."""
    base = by_name[re.sub(r"_expanded.*", "", case.name)]
    node = base.model.graph.node[0]
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def encode_all(case, stem, values, infos):
    if len(values) != len(infos):
        raise ValueError(f"{case.name} declares {len(infos)} {stem}s and has {len(values)}")
    return [encode(value, info) for value, info in zip(values, infos)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=cache("onnx-cases"))
    parser.add_argument("--force", action="store_true", help="write again what is already there")
    args = parser.parse_args()

    cases = CaseSet(args.out, {"onnx": onnx.__version__}, args.force)
    if cases.fresh:
        print(f"the cases of onnx {onnx.__version__} are in {args.out}")
        return

    # The cases warn on purpose (overflowing casts, log of zero) while they compute their answers.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    collected = sorted(collect_testcases(None), key=lambda case: case.name)
    by_name = {case.name: case for case in collected}
    for case in collected:
        (inputs, outputs), = case.data_sets
        cases.add(
            case.name,
            case.model.SerializeToString(),
            encode_all(case, "input", inputs, case.model.graph.input),
            encode_all(case, "output", outputs, case.model.graph.output),
            operator=operator(case, by_name),
            rtol=case.rtol,
            atol=case.atol,
        )
    cases.finish()


if __name__ == "__main__":
    sys.exit(main())
