#!/usr/bin/env python3
"""Generate precompile/runtime/src/onnx/{proto,layout}.rs from the descriptors in PyPI onnx.

    python3 -m venv /tmp/onnx-types && /tmp/onnx-types/bin/pip install onnx==1.23.2
    /tmp/onnx-types/bin/python scripts/gen_onnx_types.py && rustfmt precompile/runtime/src/onnx/*.rs

No protoc is involved: the wheel carries the compiled descriptors, and the mapping to prost's
attributes is the short table below. Messages and fields this runtime never reads (training,
device placement, documentation) are left out, so a decoder skips them.
"""

import pathlib
import re

import onnx
from onnx import onnx_ml_pb2

VERSION = "1.23.2"
SKIPPED_MESSAGES = {
    "IntIntListEntryProto", "NodeDeviceConfigurationProto", "ShardingSpecProto", "ShardedDimProto",
    "SimpleShardedDimProto", "TrainingInfoProto", "DeviceConfigurationProto", "TensorAnnotation",
}
SKIPPED_FIELDS = {"doc_string", "denotation"}
KEPT_ENUMS = {"AttributeType", "DataLocation"}
# Recursive or large singular messages live behind a box, so that a node stays small in memory.
BOXED = {
    ("AttributeProto", "t"), ("AttributeProto", "g"), ("AttributeProto", "sparse_tensor"),
    ("AttributeProto", "tp"), ("Sequence", "elem_type"), ("Map", "value_type"),
    ("Optional", "elem_type"),
}
DOCS = {
    "AttributeProto": "Holds one named attribute of a node.",
    "ValueInfoProto": "Declares the name and type of a value.",
    "NodeProto": "Applies one operator to named values.",
    "ModelProto": "Holds a whole model file.",
    "StringStringEntryProto": "Pairs a key with a value.",
    "GraphProto": "Lists nodes, constants, inputs and outputs of a graph.",
    "TensorProto": "Holds a constant tensor.",
    "Segment": "Marks a tensor stored in pieces, which is refused.",
    "SparseTensorProto": "Holds a constant tensor as coordinates and values.",
    "TensorShapeProto": "Lists the dimensions of a tensor type.",
    "Dimension": "Holds one dimension: a number, a name or nothing.",
    "TypeProto": "Describes the type of a value.",
    "Tensor": "Describes a tensor type.",
    "Sequence": "Describes a sequence type.",
    "Map": "Describes a map type.",
    "Optional": "Describes an optional type.",
    "SparseTensor": "Describes a sparse tensor type.",
    "Opaque": "Names an opaque type.",
    "OperatorSetIdProto": "Names an operator set and its version.",
    "FunctionProto": "Defines an operator as a graph over other operators.",
    "AttributeType": "Tells which field of an attribute is in use.",
    "DataLocation": "Tells where the bytes of a tensor are.",
}
SCALARS = {
    1: ("double", "f64", 8), 2: ("float", "f32", 4), 3: ("int64", "i64", 8), 4: ("uint64", "u64", 8),
    5: ("int32", "i32", 4), 9: ("string", "String", 24), 12: ('bytes = "bytes"', "Bytes", 32),
}
KEYWORDS = {"type": "r#type"}


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def camel(name):
    return "".join(part.capitalize() for part in name.lower().split("_"))


def path_from(message, scope):
    """Rust path of a message or enum as seen from inside module `scope` (a list of names)."""
    chain, node = [], message
    while node is not None:
        chain.insert(0, node)
        node = node.containing_type
    modules = [snake(part.name) for part in chain[:-1]]
    if modules == scope:
        return message.name
    if modules[: len(scope)] == scope:
        return "::".join(modules[len(scope):] + [message.name])
    return "::".join(["super"] * len(scope) + modules + [message.name])


def field_lines(message, field, scope):
    name = KEYWORDS.get(field.name, field.name)
    boxed = (message.name, field.name) in BOXED
    label = "repeated" if field.is_repeated else "optional"
    if field.type == field.TYPE_MESSAGE:
        inner, kind = path_from(field.message_type, scope), "message"
        if boxed:
            inner = f"Box<{inner}>"
    elif field.type == field.TYPE_ENUM:
        inner = "i32"
        kind = f'enumeration = "{path_from(field.enum_type, scope)}"'
    else:
        kind, inner, _ = SCALARS[field.type]
    options = [kind, label]
    if boxed:
        options.append("boxed")
    if field.is_repeated and field.type in (1, 2, 3, 4, 5):
        packed = field.GetOptions().packed
        options.append(f'packed = "{str(bool(packed)).lower()}"')
    options.append(f'tag = "{field.number}"')
    outer = f"Vec<{inner}>" if field.is_repeated else f"Option<{inner}>"
    return [f"#[prost({', '.join(options)})]", f"pub {name}: {outer},"]


def kept_fields(message):
    for field in message.fields:
        if field.name in SKIPPED_FIELDS:
            continue
        if field.type == field.TYPE_MESSAGE and field.message_type.name in SKIPPED_MESSAGES:
            continue
        yield field


def emit_message(message, scope, out):
    fields = list(kept_fields(message))
    out.append(f"/// {DOCS[message.name]}")
    out.append("#[derive(Clone, PartialEq, ::prost::Message)]")
    out.append(f"pub struct {message.name} {{")
    inner_module = snake(message.name)
    done = set()
    for field in fields:
        if field.containing_oneof is None:
            out.extend(field_lines(message, field, scope))
            continue
        oneof = field.containing_oneof
        if oneof.name in done:
            continue
        done.add(oneof.name)
        tags = ", ".join(str(f.number) for f in oneof.fields)
        kind = f"{inner_module}::{camel(oneof.name)}"
        out.append(f'#[prost(oneof = "{kind}", tags = "{tags}")]')
        out.append(f"pub {oneof.name}: Option<{kind}>,")
    out.append("}")
    enums = [e for e in message.enum_types if e.name in KEPT_ENUMS]
    if not (message.nested_types or enums or message.oneofs):
        return
    out.append(f"/// Types that belong to [`{message.name}`].")
    out.append(f"pub mod {inner_module} {{")
    if any(f.type == 12 for n in message.nested_types for f in n.fields):
        out.append("use bytes::Bytes;")
    for enum in enums:
        emit_enum(enum, out)
    for nested in message.nested_types:
        emit_message(nested, scope + [inner_module], out)
    for oneof in message.oneofs:
        out.append(f"/// Holds the one alternative of a [`super::{message.name}`] that is set.")
        out.append("#[derive(Clone, PartialEq, ::prost::Oneof)]")
        out.append(f"pub enum {camel(oneof.name)} {{")
        for field in oneof.fields:
            if field.type == field.TYPE_MESSAGE:
                kind, inner = "message", path_from(field.message_type, scope + [inner_module])
            else:
                kind, inner, _ = SCALARS[field.type]
            out.append(f'#[prost({kind}, tag = "{field.number}")] {camel(field.name)}({inner}),')
        out.append("}")
    out.append("}")


def emit_enum(enum, out):
    out.append(f"/// {DOCS[enum.name]}")
    out.append("#[derive(Clone, Copy, Debug, PartialEq, Eq, ::prost::Enumeration)]")
    out.append("#[repr(i32)]")
    out.append(f"pub enum {enum.name} {{")
    for value in enum.values:
        out.append(f"{camel(value.name)} = {value.number},")
    out.append("}")


def all_messages(messages):
    for message in messages:
        if message.name in SKIPPED_MESSAGES:
            continue
        yield message
        yield from all_messages(message.nested_types)


def layout_name(message):
    return (message.containing_type.name if message.containing_type else "") + message.name


def emit_layout(messages):
    every = list(all_messages(messages))
    out = [
        "//! What each field of an ONNX message costs in memory once decoded: the pre-scan's table.",
        "//!",
        f"//! Generated by scripts/gen_onnx_types.py from PyPI onnx {VERSION}; do not edit.",
        "",
        "use super::proto;",
        "",
        "/// Names the messages the decoder builds.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
        "pub(super) enum Message {",
    ]
    out += [f"{layout_name(m)}," for m in every]
    out += [
        "}",
        "/// Says what a field turns into.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq)]",
        "pub(super) enum Field {",
        "/// A message of its own.",
        "Message(Message),",
        "/// Text or bytes in a list: one heap object per element.",
        "Text,",
        "/// A list of fixed-width numbers: the wire width.",
        "Fixed(u8),",
        "/// A list of variable-length integers: their width in memory.",
        "Varint(u8),",
        "/// A single value inside its message, or a field nobody reads.",
        "Plain,",
        "}",
        "impl Message {",
        "/// Returns the size in memory of one decoded object.",
        "pub(super) fn size_bytes(self) -> usize {",
        "match self {",
    ]
    for message in every:
        path = "proto::" + path_from(message, [])
        out.append(f"Self::{layout_name(message)} => size_of::<{path}>(),")
    out += [
        "}",
        "}",
        "/// Tells what the field numbered `tag` holds.",
        "pub(super) fn field(self, tag: u32) -> Field {",
        "match (self, tag) {",
    ]
    for message in every:
        for field in kept_fields(message):
            key = f"(Self::{layout_name(message)}, {field.number})"
            if field.type == field.TYPE_MESSAGE:
                out.append(f"{key} => Field::Message(Self::{layout_name(field.message_type)}),")
            elif field.is_repeated and field.type in (9, 12):
                out.append(f"{key} => Field::Text,")
            elif field.is_repeated:
                kind = "Fixed" if field.type in (1, 2) else "Varint"
                out.append(f"{key} => Field::{kind}({SCALARS[field.type][2]}),")
    out += ["_ => Field::Plain,", "}", "}", "}"]
    return "\n".join(out) + "\n"


def emit_proto(messages):
    out = [
        f"//! The messages of ONNX {VERSION} as prost types; weights share the file's buffer.",
        "//!",
        "//! Generated by scripts/gen_onnx_types.py; do not edit. Field names and numbers are ONNX's.",
        "#![allow(missing_docs)] // The fields are documented by the ONNX specification.",
        "",
        "use bytes::Bytes;",
        "",
    ]
    for message in messages:
        if message.name not in SKIPPED_MESSAGES:
            emit_message(message, [], out)
    return "\n".join(out) + "\n"


def main():
    if onnx.__version__ != VERSION:
        raise SystemExit(f"onnx {VERSION} is needed, found {onnx.__version__}")
    messages = list(onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values())
    folder = pathlib.Path(__file__).resolve().parent.parent / "precompile/runtime/src/onnx"
    (folder / "proto.rs").write_text(emit_proto(messages))
    (folder / "layout.rs").write_text(emit_layout(messages))


if __name__ == "__main__":
    main()
