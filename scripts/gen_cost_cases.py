#!/usr/bin/env python3
"""Writes the models of the cost sweep to .cache/cost: one operator each, in the shapes that cost most.

    $(scripts/python-env) scripts/gen_cost_cases.py

`scripts/bench cost` runs them and compares time with gas. A model's inputs are made by the reader from
the input's name, so that the files stay small:

    x, y ..        numbers in (-1, 1), integers 0 or 1
    .._pos         numbers in (0, 1)
    .._huge        numbers around 1e30: the slow path of argument reductions
    .._tiny        subnormal numbers
    .._same        one number everywhere: the slow path of comparisons and splits
    .._below<N>    whole numbers from 0 to N - 1, shuffled: indices
"""

import os
import shutil

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from casefiles import cache

F32, F64, F16, BF16 = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
)
I64, I32, I8, U8, BOOL = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.BOOL,
)
STRING = TensorProto.STRING
NAMES = {F32: "f32", F64: "f64", F16: "f16", BF16: "bf16", I64: "i64", I32: "i32", I8: "i8", U8: "u8"}
ML = "ai.onnx.ml"
LONG = 1 << 20


class Sweep:
    """Writes one model for each call of `op`."""

    def __init__(self, folder):
        self.folder = folder
        self.names = set()

    def op(self, case, op_type, inputs, outputs=1, opset=23, domain="", **attributes):
        """Adds a model of one node. An input is (name, dtype, shape), an array, or "" for none."""
        feeds, weights, names = [], [], []
        for i, value in enumerate(inputs):
            if isinstance(value, str):
                names.append(value)
            elif isinstance(value, tuple):
                names.append(value[0])
                feeds.append(helper.make_tensor_value_info(*value))
            else:
                names.append(f"w{i}")
                weights.append(numpy_helper.from_array(np.asarray(value), f"w{i}"))
        outs = [f"out{i}" for i in range(outputs)]
        node = helper.make_node(op_type, names, outs, op_type, domain=domain, **attributes)
        self.graph(f"{op_type.lower()}-{case}", [node], feeds, outs, weights, opset)

    def graph(self, name, nodes, feeds, outs, weights=(), opset=23):
        infos = [helper.make_empty_tensor_value_info(out) for out in outs]
        graph = helper.make_graph(nodes, name, feeds, infos, initializer=list(weights))
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 5)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        if name in self.names:
            raise ValueError(f"two cases are named {name}")
        self.names.add(name)
        with open(os.path.join(self.folder, f"{name}.onnx"), "wb") as file:
            file.write(model.SerializeToString())


UNARY = """Abs Neg Ceil Floor Round Sqrt Reciprocal Sign Exp Log Erf Sin Cos Tan Asin Acos Atan Sinh Cosh
Asinh Acosh Atanh Sigmoid Tanh Softplus Softsign Relu LeakyRelu Elu Selu Celu Gelu HardSigmoid HardSwish
Mish ThresholdedRelu Identity IsNaN IsInf""".split()
BINARY = "Add Sub Mul Div Pow Max Min Mean Sum PRelu Equal Greater Less GreaterOrEqual".split()
REDUCE = """ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum
ReduceLogSumExp ReduceSumSquare""".split()


def pointwise(s):
    for op in UNARY:
        opset = 22 if op not in ("Gelu",) else 20
        for dtype in (F32, F64, F16, BF16):
            s.op(NAMES[dtype], op, [("x", dtype, [LONG])], opset=opset)
        s.op("short", op, [("x", F32, [3])], opset=opset)
    for op in ("Sin", "Cos", "Tan"):
        for dtype in (F32, F64):
            s.op(f"{NAMES[dtype]}-huge", op, [("x_huge", dtype, [LONG // 4])])
    for op in ("Exp", "Log", "Sqrt", "Tanh", "Erf", "Atan", "Reciprocal", "Abs"):
        s.op("tiny", op, [("x_tiny", F32, [LONG])], opset=22)
    s.op("tanh", "Gelu", [("x", F32, [LONG])], opset=20, approximate="tanh")
    for op in BINARY:
        for dtype in (F32, F64, F16, I64, I32):
            if dtype in (I64, I32) and op in ("Mean", "Sum", "PRelu") or dtype == F16 and op == "Equal":
                continue
            s.op(NAMES[dtype], op, [("x", dtype, [LONG]), ("y_pos" if dtype in (F32, F64, F16)
                 else "y_same", dtype, [LONG])], opset=22)
        if op != "PRelu":
            s.op("rows", op, [("x", F32, [LONG // 3, 3]), ("y_pos", F32, [LONG // 3, 1])], opset=22)
            s.op("outer", op, [("x", F32, [1024, 1]), ("y_pos", F32, [1, 1024])], opset=22)
            s.op("middle", op, [("x", F32, [512, 1, 2]), ("y_pos", F32, [1, 1024, 1])], opset=22)
        s.op("tiny", op, [("x_tiny", F32, [LONG]), ("y_tiny", F32, [LONG])], opset=22)
    s.op("huge", "Pow", [("x_pos", F32, [LONG]), ("y_huge", F32, [LONG])], opset=22)
    for dtype in (F32, I64, I8):
        s.op(f"fmod-{NAMES[dtype]}", "Mod", [("x", dtype, [LONG]), ("y_same", dtype, [LONG])], fmod=1)
    s.op("fmod-huge", "Mod", [("x_huge", F32, [LONG // 16]), ("y_tiny", F32, [LONG // 16])], fmod=1)
    s.op("i64", "Mod", [("x_below1000", I64, [LONG]), ("y_same", I64, [LONG])])
    for op in ("And", "Or", "Xor"):
        s.op("bool", op, [("x", BOOL, [LONG]), ("y", BOOL, [LONG])])
    s.op("u8", "BitShift", [("x", U8, [LONG]), ("y", U8, [LONG])], direction="LEFT")
    s.op("i32", "BitwiseAnd", [("x", I32, [LONG]), ("y", I32, [LONG])])
    s.op("f32", "Where", [("c", BOOL, [LONG]), ("x", F32, [LONG]), ("y", F32, [LONG])])
    s.op("f32", "Clip", [("x", F32, [LONG]), np.float32(-0.5), np.float32(0.5)])
    for a, b in ((F32, F16), (F32, BF16), (F32, F64), (F32, I64), (F32, U8), (I64, F32), (F16, F32),
                 (F64, F32), (U8, F32), (I64, I8)):
        s.op(f"{NAMES[a]}-{NAMES[b]}", "Cast", [("x", a, [LONG])], to=b)
    s.op("f32-f8", "Cast", [("x", F32, [LONG])], to=TensorProto.FLOAT8E4M3FN)
    s.op("f32-text", "Cast", [("x", F32, [LONG // 64])], to=STRING)
    scale, zero = np.float32(0.01), np.uint8(128)
    s.op("u8", "QuantizeLinear", [("x", F32, [LONG]), scale, zero])
    s.op("axis", "QuantizeLinear",
         [("x", F32, [LONG // 2, 2]), np.full(2, 0.01, np.float32), np.zeros(2, np.int8)], axis=1)
    s.op("u8", "DequantizeLinear", [("x", U8, [LONG]), scale, zero])
    s.op("f32", "DynamicQuantizeLinear", [("x", F32, [LONG])], outputs=3)


def reductions(s):
    for op in REDUCE:
        for name, shape, axis in (("last", [1024, 1024], 1), ("first", [1024, 1024], 0),
                                  ("thin", [LONG // 2, 2], 1), ("all", [LONG], 0),
                                  ("middle", [64, 128, 128], 1)):
            s.op(name, op, [("x_pos", F32, shape), np.array([axis])])
        s.op("f64", op, [("x_pos", F64, [1024, 1024]), np.array([1])])
        s.op("f16", op, [("x_pos", F16, [1024, 1024]), np.array([1])])
    for op in ("ArgMax", "ArgMin", "Softmax", "LogSoftmax", "Hardmax"):
        for name, shape, axis in (("last", [1024, 1024], 1), ("first", [1024, 1024], 0),
                                  ("thin", [LONG // 2, 2], 1)):
            s.op(name, op, [("x", F32, shape)], axis=axis)
        s.op("f64", op, [("x", F64, [256, 1024])], axis=1)
        s.op("f16", op, [("x", F16, [256, 1024])], axis=1)
    for op in ("CumSum",):
        for axis in (0, 1):
            s.op(f"axis{axis}", op, [("x", F32, [1024, 1024]), np.int64(axis)])
    for k in (1, 10, 1024):
        for axis in (0, 1):
            s.op(f"{k}-axis{axis}", "TopK", [("x", F32, [1024, 1024]), np.array([k])], outputs=2, axis=axis)
    s.op("same", "TopK", [("x_same", F32, [1, LONG]), np.array([LONG])], outputs=2)
    s.op("sorted", "TopK", [("x", F32, [1, LONG]), np.array([LONG])], outputs=2)
    for n in ("x", "x_same"):
        s.op(f"f32-{n}", "Unique", [(n, F32, [LONG // 4])], outputs=4)
    s.op("rows", "Unique", [("x_same", F32, [1024, 256])], outputs=4, axis=0)
    s.op("f32", "NonZero", [("x", F32, [LONG])])
    one, zero = np.ones(256, np.float32), np.zeros(256, np.float32)
    s.op("wide", "LayerNormalization", [("x", F32, [1024, 256]), one, zero])
    s.op("thin", "LayerNormalization", [("x", F32, [LONG // 2, 2]), one[:2], zero[:2]])
    s.op("f16", "LayerNormalization", [("x", F16, [1024, 256]), one.astype(np.float16), zero.astype(np.float16)])
    s.op("wide", "RMSNormalization", [("x", F32, [1024, 256]), one])
    s.op("f32", "BatchNormalization", [("x", F32, [16, 256, 16, 16]), one, zero, zero, one])
    s.op("dot", "BatchNormalization", [("x", F32, [4096, 256]), one, zero, zero, one])
    s.op("f32", "InstanceNormalization", [("x", F32, [16, 256, 16, 16]), one, zero], opset=21)
    s.op("f32", "GroupNormalization", [("x", F32, [16, 256, 16, 16]), one, zero], num_groups=32, opset=21)
    s.op("wide", "LRN", [("x", F32, [4, 256, 16, 16])], size=5)
    s.op("full", "LRN", [("x", F32, [1, 256, 16, 16])], size=255)
    s.op("p1", "LpNormalization", [("x", F32, [1024, 1024])], p=1, opset=22)
    s.op("f32", "MeanVarianceNormalization", [("x", F32, [16, 64, 16, 16])], opset=13)


def products(s):
    for dtype in (F32, F64, F16, I32):
        for m, k, n in ((1, 64, 1), (1, 1024, 1024), (512, 512, 512), (1024, 1, 1024), (LONG // 4, 1, 1),
                        (LONG // 4, 2, 2), (1, LONG, 1), (1, 1, LONG), (33, 33, 33), (3, 1000, 3)):
            s.op(f"{NAMES[dtype]}-{m}x{k}x{n}", "MatMul", [("x", dtype, [m, k]), ("y", dtype, [k, n])])
        s.op(f"{NAMES[dtype]}-batch", "MatMul", [("x", dtype, [1 << 15, 2, 2]), ("y", dtype, [1 << 15, 2, 2])])
        s.op(f"{NAMES[dtype]}-batch1", "MatMul", [("x", dtype, [1 << 16, 1, 1]), ("y", dtype, [1 << 16, 1, 1])])
    s.op("tiny", "MatMul", [("x_tiny", F32, [256, 256]), ("y", F32, [256, 256])])
    weight = np.random.default_rng(1).standard_normal((1024, 1024)).astype(np.float32)
    s.op("weight", "MatMul", [("x", F32, [1, 1024]), weight])
    s.op("weight32", "MatMul", [("x", F32, [32, 1024]), weight])
    for ta in (0, 1):
        for tb in (0, 1):
            s.op(f"{ta}{tb}", "Gemm", [("x", F32, [256, 256]), ("y", F32, [256, 256]), ("z", F32, [256])],
                 transA=ta, transB=tb, alpha=0.5, beta=2.0)
    for m, k, n in ((1, 1024, 1024), (512, 512, 512), (1024, 1, 1024), (LONG // 4, 2, 2)):
        x, y = ("x", U8, [m, k]), ("y", I8, [k, n])
        s.op(f"{m}x{k}x{n}", "MatMulInteger", [x, y, np.uint8(3), np.int8(1)])
    q = [np.float32(0.1), np.uint8(128)]
    s.op("256", "QLinearMatMul", [("x", U8, [256, 256]), *q, ("y", U8, [256, 256]), *q, *q])
    s.op("256", "Einsum", [("x", F32, [256, 256]), ("y", F32, [256, 256])], equation="ij,jk->ik")
    s.op("outer", "Einsum", [("x", F32, [512]), ("y", F32, [512])], equation="i,j->ij")
    s.op("trace", "Einsum", [("x", F32, [1024, 1024])], equation="ii->i")
    s.op("three", "Einsum", [("x", F32, [64, 64]), ("y", F32, [64, 64]), ("z", F32, [64, 64])],
         equation="ij,jk,kl->il")
    s.op("128", "Det", [("x", F32, [4, 128, 128])])
    s.op("2", "Det", [("x", F32, [1 << 16, 2, 2])])
    for dtype in (F32, F64, F16):
        n = NAMES[dtype]
        conv = lambda case, x, w, **a: s.op(f"{n}-{case}", "Conv", [("x", dtype, x), ("w", dtype, w)], **a)
        conv("3x3", [1, 32, 56, 56], [32, 32, 3, 3], pads=[1, 1, 1, 1])
        conv("1x1", [1, 64, 56, 56], [64, 64, 1, 1])
        conv("depth", [1, 64, 56, 56], [64, 1, 3, 3], group=64)
        conv("thin", [1, 1, 512, 512], [1, 1, 3, 3])
        conv("point", [1, 1, 512, 512], [1, 1, 1, 1])
        conv("line", [1, 16, 8192], [16, 16, 3])
        conv("wide", [1, 1, 64, 64], [1, 1, 31, 31], pads=[15, 15, 15, 15])
        conv("holes", [1, 8, 64, 64], [8, 8, 3, 3], dilations=[7, 7])
        conv("cube", [1, 8, 16, 16, 16], [8, 8, 3, 3, 3])
        conv("single", [1, 512, 1, 1], [512, 512, 1, 1])
        conv("single3", [1, 128, 1, 1], [128, 128, 3, 3], pads=[1, 1, 1, 1])
        conv("many", [4096, 1, 4, 4], [1, 1, 3, 3])
        s.op(f"{n}-3x3", "ConvTranspose", [("x", dtype, [1, 16, 28, 28]), ("w", dtype, [16, 16, 3, 3])], strides=[2, 2])
        s.op(f"{n}-thin", "ConvTranspose", [("x", dtype, [1, 1, 256, 256]), ("w", dtype, [1, 1, 3, 3])])
        s.op(f"{n}-far", "ConvTranspose", [("x", dtype, [1, 1, 64, 64]), ("w", dtype, [1, 1, 1, 1])], strides=[16, 16])
    s.op("3x3", "ConvInteger", [("x", U8, [1, 32, 28, 28]), ("w", U8, [32, 32, 3, 3])])
    s.op("thin", "ConvInteger", [("x", U8, [1, 1, 256, 256]), ("w", U8, [1, 1, 3, 3])])
    s.op("3x3", "QLinearConv", [("x", U8, [1, 16, 28, 28]), *q, ("w", U8, [16, 16, 3, 3]), *q, *q])
    s.op("3x3", "DeformConv", [("x", F32, [1, 8, 28, 28]), ("w", F32, [8, 8, 3, 3]), ("o", F32, [1, 18, 28, 28])],
         pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    s.op("3x3", "Col2Im", [("x", F32, [1, 9 * 16, 30 * 30]), np.array([32, 32]), np.array([3, 3])])


def windows(s):
    for op in ("MaxPool", "AveragePool", "LpPool"):
        extra = {} if op != "AveragePool" else {"count_include_pad": 1}
        for name, shape, a in (("2x2", [1, 64, 56, 56], dict(kernel_shape=[2, 2], strides=[2, 2])),
                               ("wide", [1, 4, 64, 64], dict(kernel_shape=[31, 31])),
                               ("thin", [1, 1, 512, 512], dict(kernel_shape=[1, 1])),
                               ("cube", [1, 4, 24, 24, 24], dict(kernel_shape=[3, 3, 3])),
                               ("line", [1, 64, 4096], dict(kernel_shape=[3]))):
            s.op(name, op, [("x", F32, shape)], opset=22, **a, **extra)
        s.op("f64", op, [("x", F64, [1, 16, 56, 56])], kernel_shape=[3, 3], opset=22, **extra)
    s.op("indices", "MaxPool", [("x", F32, [1, 16, 56, 56])], outputs=2, kernel_shape=[3, 3], opset=22)
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        s.op("f32", op, [("x", F32, [16, 64, 28, 28])], opset=22)
        s.op("thin", op, [("x", F32, [256, 1024, 1, 1])], opset=22)
    s.op("f32", "MaxUnpool", [("x", F32, [1, 1, 64, 64]), ("i_below16384", I64, [1, 1, 64, 64])],
         kernel_shape=[2, 2], strides=[2, 2])
    for mode in ("nearest", "linear", "cubic"):
        s.op(mode, "Resize", [("x", F32, [1, 4, 64, 64]), "", np.array([1, 1, 4, 4], np.float32)], mode=mode)
        s.op(f"{mode}-down", "Resize", [("x", F32, [1, 4, 512, 512]), "", np.array([1, 1, .25, .25], np.float32)],
             mode=mode, **({} if mode == "nearest" else {"antialias": 1}))
    for mode in ("linear", "nearest", "cubic"):
        s.op(mode, "GridSample", [("x", F32, [1, 8, 64, 64]), ("g", F32, [1, 128, 128, 2])], mode=mode, opset=22)
    s.op("2d", "AffineGrid", [("t", F32, [1, 2, 3]), np.array([1, 1, 256, 256])])
    s.op("real", "DFT", [("x", F32, [16, 256, 1]), "", np.int64(1)])
    s.op("prime", "DFT", [("x", F32, [4, 251, 2]), "", np.int64(1)])
    s.op("f32", "STFT", [("x", F32, [1, 4096, 1]), np.int64(64), ("w_same", F32, [128])])
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        s.op("f32", op, [np.int64(4096)])


def movement(s):
    s.op("2d", "Transpose", [("x", F32, [1024, 1024])], perm=[1, 0])
    s.op("u8", "Transpose", [("x", U8, [1024, 1024])], perm=[1, 0])
    s.op("5d", "Transpose", [("x", F32, [16, 16, 16, 16, 16])], perm=[4, 2, 0, 3, 1])
    s.op("thin", "Transpose", [("x", F32, [2, LONG // 2])], perm=[1, 0])
    many = [(f"x{i}", F32, [4096, 1]) for i in range(64)]
    s.op("columns", "Concat", many, axis=1)
    s.op("rows", "Concat", many, axis=0)
    s.op("columns", "Split", [("x", F32, [4096, 64])], outputs=64, axis=1, num_outputs=64)
    s.op("back", "Slice", [("x", F32, [1024, 1024]), np.array([-1, -1]), np.array([-9999, -9999]),
         np.array([0, 1]), np.array([-1, -1])])
    s.op("steps", "Slice", [("x", F32, [2048, 2048]), np.array([0]), np.array([2048]), np.array([1]), np.array([7])])
    for n, axis in (("rows", 0), ("columns", 1)):
        s.op(n, "Gather", [("x", F32, [4096, 256]), (f"i_below{256 if axis else 4096}", I64, [256 if axis else 4096])], axis=axis)
    s.op("far", "Gather", [("x", F32, [LONG * 4]), (f"i_below{LONG * 4}", I64, [LONG])])
    s.op("far-u8", "Gather", [("x", U8, [LONG * 4]), (f"i_below{LONG * 4}", I64, [LONG])])
    for axis in (0, 1):
        s.op(f"axis{axis}", "GatherElements", [("x", F32, [1024, 1024]), ("i_below1024", I64, [1024, 1024])], axis=axis)
        s.op(f"axis{axis}", "ScatterElements", [("x", F32, [1024, 1024]), ("i_below1024", I64, [1024, 1024]),
             ("u", F32, [1024, 1024])], axis=axis, opset=18, reduction="add")
    s.op("f32", "GatherND", [("x", F32, [1024, 1024]), ("i_below1024", I64, [LONG // 4, 2])])
    s.op("f32", "ScatterND", [("x", F32, [1024, 1024]), ("i_below1024", I64, [LONG // 4, 2]), ("u", F32, [LONG // 4])], opset=18)
    s.op("add", "ScatterND", [("x", F32, [1024, 1024]), ("i_below1024", I64, [LONG // 4, 2]), ("u", F32, [LONG // 4])],
         opset=18, reduction="add")
    for mode in ("constant", "reflect", "edge", "wrap"):
        s.op(mode, "Pad", [("x", F32, [1024, 512]), np.array([8, 8, 8, 8])], mode=mode)
        s.op(f"{mode}-thin", "Pad", [("x", F32, [LONG // 4, 2]), np.array([0, 1, 0, 1])], mode=mode)
    s.op("rows", "Tile", [("x", F32, [1024, 2]), np.array([4, 128])])
    s.op("single", "Tile", [("x", F32, [1, 1]), np.array([1024, 1024])])
    s.op("rows", "Expand", [("x", F32, [1024, 1]), np.array([1024, 1024])])
    s.op("middle", "Expand", [("x", F32, [512, 1, 2]), np.array([512, 1024, 2])])
    s.op("f32", "DepthToSpace", [("x", F32, [1, 64, 128, 128])], blocksize=4)
    s.op("f32", "SpaceToDepth", [("x", F32, [1, 4, 512, 512])], blocksize=4)
    s.op("f32", "ReverseSequence", [("x", F32, [512, 2048]), ("n_below512", I64, [2048])], batch_axis=1, time_axis=0)
    s.op("f32", "OneHot", [("i_below64", I64, [LONG // 64]), np.int64(64), np.array([0, 1], np.float32)])
    s.op("far", "OneHot", [("i_below64", I64, [LONG // 64]), np.int64(64), np.array([0, 1], np.float32)], axis=0)
    s.op("f32", "EyeLike", [("x", F32, [1024, 1024])], opset=22)
    s.op("f32", "Trilu", [("x", F32, [1024, 1024])])
    s.op("f32", "Compress", [("x", F32, [LONG]), ("c", BOOL, [LONG])])
    s.op("rows", "Compress", [("x", F32, [LONG // 4, 4]), ("c", BOOL, [LONG // 4])], axis=0)
    s.op("f32", "Range", [np.float32(0), np.float32(LONG), np.float32(1)])
    s.op("f32", "ConstantOfShape", [np.array([LONG])])
    s.op("f32", "CenterCropPad", [("x", F32, [1024, 1024]), np.array([900, 1100])])
    s.op("f32", "RotaryEmbedding", [("x", F32, [1, 8, 128, 64]), ("c", F32, [1, 128, 32]), ("s", F32, [1, 128, 32])])
    s.op("words", "StringConcat", [("x", STRING, [4096]), ("y", STRING, [4096])])
    s.op("words", "StringNormalizer", [("x", STRING, [4096])], case_change_action="UPPER")
    s.op("f32", "NonMaxSuppression", [("b", F32, [1, 512, 4]), ("s_pos", F32, [1, 1, 512]), np.array([512]),
         np.array([0.99], np.float32)])


def recurrent(s):
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for name, (t, b, i, h) in dict(small=(256, 1, 1, 1), deep=(32, 1, 128, 128), batch=(8, 64, 32, 64)).items():
            shapes = [("x", F32, [t, b, i]), ("w", F32, [1, gates * h, i]), ("r", F32, [1, gates * h, h])]
            s.op(name, op, shapes, outputs=2, hidden_size=h, opset=22)
    for name, (b, heads, n, d) in dict(one=(1, 8, 1, 64), square=(1, 4, 128, 64), thin=(64, 4, 16, 4)).items():
        qkv = [(x, F32, [b, heads, n, d]) for x in "qkv"]
        s.op(name, "Attention", qkv)
        s.op(f"{name}-cap", "Attention", qkv, softcap=5.0)


def loops(s):
    def scalar(name, dtype):
        return helper.make_tensor_value_info(name, dtype, [])

    body = helper.make_graph(
        [helper.make_node("Add", ["acc", "acc"], ["next"]), helper.make_node("Identity", ["cond"], ["go"])],
        "body", [scalar("i", I64), scalar("cond", BOOL), scalar("acc", F32)], [scalar("go", BOOL), scalar("next", F32)])
    for n in (10, 10_000):
        limit = numpy_helper.from_array(np.int64(n), "limit")
        yes = numpy_helper.from_array(np.bool_(True), "yes")
        node = helper.make_node("Loop", ["limit", "yes", "x"], ["out"], body=body)
        s.graph(f"loop-{n}", [node], [scalar("x", F32)], ["out"], [limit, yes])
    row = lambda name: helper.make_tensor_value_info(name, F32, [2])
    scan = helper.make_graph([helper.make_node("Add", ["state", "row"], ["next"]), helper.make_node("Identity", ["next"], ["row_out"])],
                             "scan", [row("state"), row("row")], [row("next"), row("row_out")])
    node = helper.make_node("Scan", ["s", "x"], ["last", "out"], body=scan, num_scan_inputs=1)
    feeds = [helper.make_tensor_value_info("s", F32, [2]), helper.make_tensor_value_info("x", F32, [4096, 2])]
    s.graph("scan-rows", [node], feeds, ["last", "out"])
    chain = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(1000)]
    s.graph("relu-chain", chain, [helper.make_tensor_value_info("v0", F32, [4])], ["v1000"])
    views = [helper.make_node("Reshape" if i % 2 else "Transpose", [f"v{i}"] + (["s"] if i % 2 else []), [f"v{i + 1}"])
             for i in range(500)]
    shape = numpy_helper.from_array(np.array([4, 1]), "s")
    s.graph("view-chain", views, [helper.make_tensor_value_info("v0", F32, [4, 1])], ["v500"], [shape])


def forest(trees, depth, features, seed, classes=0, mode="BRANCH_LEQ", chain=False):
    """Returns the attributes of a TreeEnsemble{Regressor,Classifier} of full or chain-shaped trees."""
    rng = np.random.default_rng(seed)
    columns = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaf = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree in range(trees):
        inner = depth if chain else 2**depth - 1
        total = 2 * inner + 1
        for node in range(total):
            is_leaf = node % 2 == 1 or node == total - 1 if chain else node >= inner
            left, right = ((node + 1, node + 2) if chain else (2 * node + 1, 2 * node + 2))
            columns["treeids"].append(tree)
            columns["nodeids"].append(node)
            columns["featureids"].append(0 if is_leaf else int(rng.integers(features)))
            columns["values"].append(0.0 if is_leaf else (-2.0 if chain else float(rng.uniform(-1, 1))))
            columns["modes"].append("LEAF" if is_leaf else mode)
            columns["truenodeids"].append(0 if is_leaf else left)
            columns["falsenodeids"].append(0 if is_leaf else right)
            if is_leaf:
                leaf["treeids"].append(tree)
                leaf["nodeids"].append(node)
                leaf["ids"].append(int(rng.integers(classes)) if classes else 0)
                leaf["weights"].append(float(rng.uniform(-1, 1)))
    kind = "class" if classes else "target"
    attributes = {f"nodes_{k}": v for k, v in columns.items()}
    attributes |= {f"{kind}_{k}": v for k, v in leaf.items()}
    return attributes | ({"classlabels_int64s": list(range(classes))} if classes else {"n_targets": 1})


def machine_learning(s):
    x = lambda rows, columns=30: ("x", F32, [rows, columns])
    for name, trees, depth, rows in (("stumps", 10_000, 1, 1), ("500x6", 500, 6, 1), ("500x6-rows", 500, 6, 256),
                                     ("deep", 64, 13, 1), ("deep-rows", 64, 13, 256), ("one", 1, 2, 1), ("one-rows", 1, 2, 65536)):
        s.op(name, "TreeEnsembleRegressor", [x(rows)], domain=ML, **forest(trees, depth, 30, 3))
    s.op("chain", "TreeEnsembleRegressor", [x(16)], domain=ML, **forest(16, 1000, 30, 4, chain=True))
    s.op("classes", "TreeEnsembleClassifier", [x(64)], outputs=2, domain=ML, **forest(100, 6, 30, 5, classes=10))
    rng = np.random.default_rng(6)
    floats = lambda n: [float(v) for v in rng.standard_normal(n)]
    s.op("rows", "LinearRegressor", [x(16384)], domain=ML, coefficients=floats(30), intercepts=[0.5])
    s.op("rows", "LinearClassifier", [x(8192)], outputs=2, domain=ML, coefficients=floats(90), intercepts=floats(3),
         classlabels_ints=[0, 1, 2], post_transform="SOFTMAX")
    for kernel in ("RBF", "POLY", "SIGMOID", "LINEAR"):
        s.op(kernel.lower(), "SVMRegressor", [x(64)], domain=ML, kernel_type=kernel, kernel_params=[0.1, 0.5, 3.0],
             n_supports=500, support_vectors=floats(15_000), coefficients=floats(500), rho=[0.1])
    s.op("rbf", "SVMClassifier", [x(64)], outputs=2, domain=ML, kernel_type="RBF", kernel_params=[0.1, 0.5, 3.0],
         vectors_per_class=[250, 250], support_vectors=floats(15_000), coefficients=floats(500), rho=[0.1],
         classlabels_ints=[0, 1], prob_a=[-1.0], prob_b=[0.1])
    s.op("rows", "Scaler", [x(32768)], domain=ML, offset=floats(30), scale=floats(30))
    for norm in ("MAX", "L1", "L2"):
        s.op(norm.lower(), "Normalizer", [x(32768)], domain=ML, norm=norm)
    s.op("rows", "Imputer", [x(32768)], domain=ML, imputed_value_floats=floats(30), replaced_value_float=float("nan"))
    s.op("rows", "Binarizer", [x(32768)], domain=ML, threshold=0.1)
    s.op("many", "FeatureVectorizer", [(f"x{i}", F32, [4096, 1]) for i in range(30)], domain=ML, inputdimensions=[1] * 30)
    s.op("rows", "ArrayFeatureExtractor", [x(32768), np.arange(0, 30, 2)], domain=ML)
    s.op("ints", "OneHotEncoder", [("x_below64", I64, [16384])], domain=ML, cats_int64s=list(range(64)))
    s.op("ints", "LabelEncoder", [("x_below1000", I64, [65536])], domain=ML, keys_int64s=list(range(1000)),
         values_floats=floats(1000))
    words = [f"word-{i}" for i in range(1000)]
    s.op("words", "LabelEncoder", [("x", STRING, [16384])], domain=ML, keys_strings=words, values_int64s=list(range(1000)))
    s.op("words", "OneHotEncoder", [("x", STRING, [4096])], domain=ML, cats_strings=words[:64])
    s.op("words", "CategoryMapper", [("x", STRING, [16384])], domain=ML, cats_strings=words, cats_int64s=list(range(1000)))


def main():
    folder = cache("cost")
    staging = f"{folder}.{os.getpid()}.tmp"
    os.makedirs(staging)
    sweep = Sweep(staging)
    for group in (pointwise, reductions, products, windows, movement, recurrent, loops, machine_learning):
        group(sweep)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(staging, folder)
    print(f"{len(sweep.names)} models are in {folder}")


if __name__ == "__main__":
    main()
