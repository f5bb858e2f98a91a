"""Writes sets of test cases that the Rust tests read: one folder per case, one index per set.

A case is a model with inputs and expected outputs, in the layout of ONNX's own test data:

    <set>/<case>/model.onnx
    <set>/<case>/input_<i>.pb, output_<i>.pb    TensorProto, SequenceProto or OptionalProto
    <set>/index.json                            format, versions and the list of cases

A set is written into a staging folder and renamed when it is whole, so that a half-written set is
never taken for a complete one. Nothing is written when the index already has the same key.
"""

import atexit
import json
import os
import shutil

import numpy as np
from onnx import OptionalProto, TensorProto, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FORMAT = 2


def cache(name):
    """Returns the folder of a set inside .cache, which git ignores."""
    return os.path.join(ROOT, ".cache", name)


def encode(value, info):
    """Returns the bytes of one value in the protobuf type its graph entry declares."""
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
    return tensor_bytes(value, info.name)


def tensor_bytes(value, name=""):
    """Returns a tensor as TensorProto bytes; fixed-width NumPy strings become ONNX strings."""
    if isinstance(value, TensorProto):
        return value.SerializeToString()
    array = np.asarray(value)
    if array.dtype.kind == "U":
        array = array.astype(object)
    return numpy_helper.from_array(array, name).SerializeToString()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


class CaseSet:
    """Collects the cases of one set; `finish` makes them visible at once."""

    def __init__(self, folder, key, force=False):
        self.folder = folder
        self.key = {"format": FORMAT, **key}
        self.rows = []
        self.staging = f"{folder}.{os.getpid()}.tmp"
        atexit.register(shutil.rmtree, self.staging, ignore_errors=True)
        self.fresh = not force and self._current()

    def _current(self):
        try:
            with open(os.path.join(self.folder, "index.json")) as file:
                have = json.load(file)
        except (OSError, ValueError):
            return False
        return {k: have.get(k) for k in self.key} == self.key

    def add(self, name, model, inputs, outputs, **row):
        """Adds a case; inputs and outputs are already encoded, `row` goes into the index."""
        case = os.path.join(self.staging, name)
        os.makedirs(case)
        write(os.path.join(case, "model.onnx"), model)
        for stem, values in (("input", inputs), ("output", outputs)):
            for i, data in enumerate(values):
                write(os.path.join(case, f"{stem}_{i}.pb"), data)
        self.rows.append({"name": name, "inputs": len(inputs), "outputs": len(outputs), **row})
        return case

    def finish(self):
        os.makedirs(self.staging, exist_ok=True)
        with open(os.path.join(self.staging, "index.json"), "w") as file:
            json.dump({**self.key, "cases": self.rows}, file, indent=1)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.dirname(self.folder) or ".", exist_ok=True)
        os.rename(self.staging, self.folder)
        print(f"wrote {len(self.rows)} cases to {self.folder}")
