"""Turns a fitted estimator into ONNX with the stock converter of its library.

`convert` knows scikit-learn estimators and pipelines (with XGBoost and LightGBM steps inside),
XGBoost, LightGBM, CatBoost, PyTorch modules, and ONNX models that exist already. It adds nothing
of its own to the graph; what the converters need to be told is collected here.
"""

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import onnx
from onnx import helper

OPSET = 21
ML_OPSET = 3
BOOSTING_OPSET = 15

PACKAGES = (
    "onnx", "skl2onnx", "onnxmltools", "scikit-learn", "xgboost", "lightgbm", "catboost", "torch",
    "numpy",
)


@dataclass(frozen=True)
class Column:
    """Names one input column and its element type: float32, int64 or string."""

    name: str
    dtype: str = "float32"


def versions():
    """Returns the versions of the installed packages that have a part in a conversion."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def fix_hash_seed():
    """Starts this program again with a fixed hash seed, because skl2onnx orders some nodes by a set:
    with the seed, equal training gives equal bytes and one model id."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def library(estimator):
    """Names the library an estimator comes from: the first part of its class's module."""
    if isinstance(estimator, (str, os.PathLike, onnx.ModelProto)):
        return "onnx"
    for cls in type(estimator).__mro__:
        root = cls.__module__.split(".")[0]
        if root in ("xgboost", "lightgbm", "catboost", "torch", "sklearn"):
            return root
    raise TypeError(
        f"cannot export a {type(estimator).__module__}.{type(estimator).__name__}: give a "
        "scikit-learn, XGBoost, LightGBM, CatBoost or PyTorch model, or an ONNX file"
    )


def convert(estimator, columns, per_column=False):
    """Converts an estimator whose rows are `columns`, in that order.

    With `per_column` the graph has one input per column, as a pipeline that selects DataFrame
    columns by name needs; otherwise one input `features` of shape (batch, columns).
    """
    convert_with = {
        "onnx": existing,
        "sklearn": from_sklearn,
        "xgboost": from_xgboost,
        "lightgbm": from_lightgbm,
        "catboost": from_catboost,
        "torch": from_torch,
    }[library(estimator)]
    return convert_with(estimator, columns, per_column)


def existing(model, _columns, _per_column):
    return model if isinstance(model, onnx.ModelProto) else onnx.load(os.fspath(model))


def initial_types(columns, per_column, types):
    kinds = {
        "float32": types.FloatTensorType,
        "int64": types.Int64TensorType,
        "string": types.StringTensorType,
    }
    if per_column:
        return [(c.name, kinds[c.dtype]([None, 1])) for c in columns]
    mixed = {c.dtype for c in columns}
    if len(mixed) != 1:
        raise ValueError(
            f"columns of the types {sorted(mixed)} do not fit one matrix: train the estimator on a "
            "DataFrame, so that it has one input per column"
        )
    return [("features", kinds[mixed.pop()]([None, len(columns)]))]


def from_sklearn(estimator, columns, per_column):
    import skl2onnx
    from skl2onnx.common import data_types

    register_boosting()
    with plain_attributes():
        return skl2onnx.convert_sklearn(
            estimator,
            initial_types=initial_types(columns, per_column, data_types),
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        )


def final(estimator):
    """Returns the last step of a pipeline, or the estimator itself."""
    steps = getattr(estimator, "steps", None)
    return final(steps[-1][1]) if steps else estimator


def selects_columns(estimator):
    """Says whether an estimator contains a ColumnTransformer, which picks columns by name."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    return type(estimator).__name__ == "ColumnTransformer" or any(map(selects_columns, steps))


def register_boosting():
    """Lets scikit-learn pipelines contain XGBoost and LightGBM steps."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier,
        calculate_linear_regressor_output_shapes as regressor,
    )

    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]}
    with contextlib.suppress(ImportError):
        import lightgbm
        from onnxmltools.convert.lightgbm.operator_converters import LightGbm

        update_registered_converter(
            lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classifier,
            LightGbm.convert_lightgbm, options=options,
        )
        update_registered_converter(
            lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", regressor,
            LightGbm.convert_lightgbm, options={"split": None},
        )
    with contextlib.suppress(ImportError):
        import xgboost
        from onnxmltools.convert.xgboost.operator_converters import XGBoost

        update_registered_converter(
            xgboost.XGBClassifier, "XGBoostXGBClassifier", classifier,
            XGBoost.convert_xgboost, options=options,
        )
        update_registered_converter(
            xgboost.XGBRegressor, "XGBoostXGBRegressor", regressor, XGBoost.convert_xgboost,
        )


@contextlib.contextmanager
def plain_attributes():
    """Lets converters pass lists of booleans and NumPy numbers, which onnx 1.23's helper refuses."""
    original = helper.make_attribute

    def plain(value):
        value = value.item() if isinstance(value, np.generic) else value
        return int(value) if isinstance(value, bool) else value

    def make_attribute(key, value, *args, **kwargs):
        if isinstance(value, (list, tuple)):
            value = [plain(v) for v in value]
        return original(key, value, *args, **kwargs)

    helper.make_attribute = make_attribute
    try:
        yield
    finally:
        helper.make_attribute = original


def from_xgboost(estimator, columns, _per_column):
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common import data_types

    booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
    names = booster.feature_names
    # The converter wants XGBoost's own names (f0, f1 ...); a DataFrame leaves the user's.
    booster.feature_names = None
    try:
        return convert_xgboost(
            estimator,
            initial_types=initial_types(columns, False, data_types),
            target_opset=BOOSTING_OPSET,
        )
    finally:
        booster.feature_names = names


def from_lightgbm(estimator, columns, _per_column):
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common import data_types

    return convert_lightgbm(
        estimator,
        initial_types=initial_types(columns, False, data_types),
        target_opset=BOOSTING_OPSET,
    )


def from_catboost(estimator, _columns, _per_column):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        estimator.save_model(path, format="onnx")
        return onnx.load(path)


def from_torch(module, columns, _per_column):
    import inspect

    import torch

    # The exporter that traces the module writes plainer graphs; before 2.5 there is no other.
    known = inspect.signature(torch.onnx.export).parameters
    tracing = {"dynamo": False} if "dynamo" in known else {}
    module = module.eval()
    sample = torch.zeros((2, len(columns)), dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(
            module, (sample,), path, input_names=["features"], output_names=["output"],
            dynamic_axes={"features": {0: "batch"}, "output": {0: "batch"}},
            opset_version=17, **tracing,
        )
        return onnx.load(path)
