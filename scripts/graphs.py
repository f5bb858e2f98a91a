"""Builds the networks of gen_models.py node by node, as PyTorch's exporter would write them.

Building them directly keeps PyTorch (and its 800 MB) out of the environment, and every weight comes
from a seeded generator or from a file, so two machines write the same bytes.
"""

import json
import struct

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Collects nodes and weights; every method returns the name of the value it makes."""

    def __init__(self, name):
        self.name = name
        self.nodes = []
        self.weights = []
        self.names = {}

    def fresh(self, stem):
        count = self.names[stem] = self.names.get(stem, 0) + 1
        return f"{stem}_{count}"

    def weight(self, array, stem="weight", dtype=np.float32):
        name = self.fresh(stem)
        self.weights.append(numpy_helper.from_array(np.asarray(array, dtype, order="C"), name))
        return name

    def ints(self, *values):
        return self.weight(np.array(values, np.int64), "shape", np.int64)

    def scalar(self, value):
        return self.weight(np.array(value, np.float32), "scalar")

    def op(self, op_type, *inputs, output=None, **attributes):
        output = output or self.fresh(op_type.lower())
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [output], f"/{output}", **attributes)
        )
        return output

    def linear(self, x, weight, bias):
        """Multiplies by a weight of shape (outputs, inputs), as PyTorch stores it."""
        return self.op("Add", self.op("MatMul", x, self.weight(weight.T)), self.weight(bias))

    def gemm(self, x, weight, bias, output=None):
        names = (self.weight(weight), self.weight(bias))
        return self.op("Gemm", x, *names, output=output, alpha=1.0, beta=1.0, transB=1)

    def model(self, inputs, outputs):
        def infos(values):
            return [helper.make_tensor_value_info(n, t, s) for n, t, s in values]

        graph = helper.make_graph(
            self.nodes, self.name, infos(inputs), infos(outputs), initializer=self.weights
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="assay")


def he(rng, outputs, *fan):
    scale = np.sqrt(2.0 / np.prod(fan))
    return (rng.standard_normal((outputs, *fan)) * scale).astype(np.float32)


def small(rng, *shape):
    return (rng.standard_normal(shape) * 0.05).astype(np.float32)


def mlp(widths=(30, 64, 64, 1), seed=1):
    """Stacks Gemm and Relu: the network a PyTorch user exports for tabular data."""
    rng = np.random.default_rng(seed)
    graph = Graph("mlp")
    x = "input"
    for i, (fan, outputs) in enumerate(zip(widths, widths[1:])):
        last = i == len(widths) - 2
        x = graph.gemm(x, he(rng, outputs, fan), small(rng, outputs), "output" if last else None)
        if not last:
            x = graph.op("Relu", x)
    f32 = TensorProto.FLOAT
    return graph.model([("input", f32, ["batch", widths[0]])], [("output", f32, ["batch", widths[-1]])])


def lstm(steps=24, features=8, hidden=32, seed=2):
    """Runs a batch-first LSTM over a window and maps its last state to one number."""
    rng = np.random.default_rng(seed)
    graph = Graph("lstm")
    bound = 1.0 / np.sqrt(hidden)

    def uniform(*shape):
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    x = graph.op("Transpose", "input", perm=[1, 0, 2])
    weights = [
        graph.weight(uniform(1, 4 * hidden, features)),
        graph.weight(uniform(1, 4 * hidden, hidden)),
        graph.weight(uniform(1, 8 * hidden)),
    ]
    y = graph.op("LSTM", x, *weights, hidden_size=hidden)
    y = graph.op("Squeeze", y, graph.ints(1))
    y = graph.op("Gather", y, graph.weight(np.array(-1), "index", np.int64), axis=0)
    graph.gemm(y, uniform(1, hidden), uniform(1), "output")
    f32 = TensorProto.FLOAT
    return graph.model([("input", f32, ["batch", steps, features])], [("output", f32, ["batch", 1])])


def resnet18(fold=True, classes=1000, seed=3):
    """Builds ResNet-18; `fold` merges BatchNorm into the convolutions as PyTorch's exporter does."""
    rng = np.random.default_rng(seed)
    graph = Graph("resnet18")

    def conv(x, inputs, outputs, size, stride, relu):
        weight = he(rng, outputs, inputs, size, size)
        gamma = rng.uniform(0.4, 0.9, outputs)
        beta, mean = rng.standard_normal((2, outputs)) * 0.1
        var = rng.uniform(0.6, 1.4, outputs)
        shape = dict(
            kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4,
            dilations=[1, 1], group=1,
        )
        if fold:
            scale = gamma / np.sqrt(var + 1e-5)
            folded = weight * scale[:, None, None, None]
            x = graph.op("Conv", x, graph.weight(folded), graph.weight(beta - mean * scale), **shape)
        else:
            x = graph.op("Conv", x, graph.weight(weight), **shape)
            norm = [graph.weight(v) for v in (gamma, beta, mean, var)]
            x = graph.op("BatchNormalization", x, *norm, epsilon=1e-5)
        return graph.op("Relu", x) if relu else x

    x = conv("input", 3, 64, 7, 2, True)
    x = graph.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    width = 64
    for outputs, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        y = conv(x, width, outputs, 3, stride, True)
        y = conv(y, outputs, outputs, 3, 1, False)
        if (width, stride) != (outputs, 1):
            x = conv(x, width, outputs, 1, stride, False)
        x = graph.op("Relu", graph.op("Add", y, x))
        width = outputs
    x = graph.op("Flatten", graph.op("GlobalAveragePool", x), axis=1)
    graph.gemm(x, he(rng, classes, width), small(rng, classes), "output")
    f32 = TensorProto.FLOAT
    return graph.model(
        [("input", f32, ["batch", 3, "height", "width"])], [("output", f32, ["batch", classes])]
    )


def read_safetensors(path):
    """Reads the tensors of a safetensors file: a length, a JSON header and the bytes."""
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(body[begin:end], kinds[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def bert(tensors, config):
    """Builds a BERT encoder from its checkpoint: token ids in, the last hidden state out."""
    graph = Graph("bert")
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    eps = config["layer_norm_eps"]

    def norm(x, prefix, output=None):
        names = [graph.weight(tensors[f"{prefix}.LayerNorm.{part}"]) for part in ("weight", "bias")]
        return graph.op("LayerNormalization", x, *names, output=output, axis=-1, epsilon=eps)

    def dense(x, prefix):
        return graph.linear(x, tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"])

    def split(x, perm):
        x = graph.op("Reshape", x, graph.ints(0, 0, heads, hidden // heads))
        return graph.op("Transpose", x, perm=perm)

    def gelu(x):
        erf = graph.op("Erf", graph.op("Div", x, graph.scalar(np.sqrt(2.0))))
        x = graph.op("Mul", x, graph.op("Add", erf, graph.scalar(1.0)))
        return graph.op("Mul", x, graph.scalar(0.5))

    word = graph.op("Gather", graph.weight(tensors["embeddings.word_embeddings.weight"]), "input_ids")
    kind = graph.op(
        "Gather", graph.weight(tensors["embeddings.token_type_embeddings.weight"]), "token_type_ids"
    )
    length = graph.op("Gather", graph.op("Shape", "input_ids"), graph.ints(1), axis=0)
    position = graph.op(
        "Slice", graph.weight(tensors["embeddings.position_embeddings.weight"]),
        graph.ints(0), length, graph.ints(0),
    )
    x = norm(graph.op("Add", graph.op("Add", word, kind), position), "embeddings")

    # 0 where a token counts and a huge negative number where it is padding.
    mask = graph.op("Cast", graph.op("Unsqueeze", "attention_mask", graph.ints(1, 2)), to=1)
    mask = graph.op("Mul", graph.op("Sub", graph.scalar(1.0), mask), graph.scalar(-3.4028235e38))

    layers = config["num_hidden_layers"]
    for i in range(layers):
        prefix = f"encoder.layer.{i}"
        query = split(dense(x, f"{prefix}.attention.self.query"), [0, 2, 1, 3])
        key = split(dense(x, f"{prefix}.attention.self.key"), [0, 2, 3, 1])
        value = split(dense(x, f"{prefix}.attention.self.value"), [0, 2, 1, 3])
        scale = graph.scalar(np.sqrt(hidden // heads))
        scores = graph.op("Div", graph.op("MatMul", query, key), scale)
        scores = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
        y = graph.op("Transpose", graph.op("MatMul", scores, value), perm=[0, 2, 1, 3])
        y = graph.op("Reshape", y, graph.ints(0, 0, hidden))
        y = graph.op("Add", dense(y, f"{prefix}.attention.output.dense"), x)
        x = norm(y, f"{prefix}.attention.output")
        y = dense(gelu(dense(x, f"{prefix}.intermediate.dense")), f"{prefix}.output.dense")
        last = "last_hidden_state" if i == layers - 1 else None
        x = norm(graph.op("Add", y, x), f"{prefix}.output", last)

    i64 = TensorProto.INT64
    ids = [(n, i64, ["batch", "tokens"]) for n in ("input_ids", "attention_mask", "token_type_ids")]
    return graph.model(ids, [("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", hidden])])
