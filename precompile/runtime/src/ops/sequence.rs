//! Sequences of tensors and optional values.

use super::moves::concat::{check_joins, listed, place_part, take_part};
use super::moves::size_from;
use super::select::{exactly, tensor_in};
use super::stack::Stack;
use super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, RunCx, Subgraph, Values, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::tensor::{Tensor, Value};

/// Names an operator on sequences and optional values that needs no more than its attributes.
#[derive(Clone, Copy)]
enum Kind {
    Construct,
    Empty,
    At,
    Insert,
    Erase,
    Length,
    Split { axis: i64, keep: bool },
    Concat { axis: i64, stack: bool },
    Optional,
    HasElement,
    GetElement,
}

/// Works on sequences and optional values.
struct Sequence {
    kind: Kind,
}

/// Borrows a sequence among the inputs, looking through an optional value.
fn sequence_in<'a>(ins: &[Option<&'a Value>], input: usize) -> Result<&'a [Value], OpError> {
    match ins.get(input).copied().flatten() {
        None => Err(OpError::MissingInput { input }),
        Some(Value::Sequence(values)) => Ok(values),
        Some(other) => Err(OpError::Kind {
            input,
            expected: "sequence",
            got: other.kind(),
        }),
    }
}

/// Copies values after paying for it and checking the bytes against the limit.
fn copied(cx: &mut RunCx<'_>, values: &[Value]) -> Result<Vec<Value>, OpError> {
    let bytes = values.iter().fold(0u64, |sum, value| {
        sum.saturating_add(value.size_bytes() as u64)
    });
    pay(cx, bytes.saturating_add(64 * values.len() as u64))?;
    Ok(values.to_vec())
}

/// Pays for moving bytes; refuses more than may be alive at once.
fn pay(cx: &mut RunCx<'_>, bytes: u64) -> Result<(), OpError> {
    let limit = cx.limits().live_bytes;
    if bytes > limit {
        return Err(OpError::Limit {
            kind: LimitKind::LiveBytes,
            limit,
            got: bytes,
        });
    }
    cx.spend(bytes / 4)
}

/// Resolves a position in a sequence; `more` allows the position after the last.
fn position(
    ins: &[Option<&Value>],
    input: usize,
    len: usize,
    more: usize,
) -> Result<usize, OpError> {
    let list = tensor_in(ins, input)?.view().to_i64s()?;
    let &[index] = list.as_slice() else {
        let got = list.len() as i64;
        return Err(OpError::Value {
            what: "a position must be one integer; elements",
            got,
        });
    };
    let size = len as i64;
    let at = if index < 0 {
        index.saturating_add(size)
    } else {
        index
    };
    if at < 0 || at >= size + more as i64 {
        return Err(OpError::Index { index, dim: len });
    }
    Ok(at as usize)
}

/// Refuses elements of different types in one sequence.
fn check_same_type(values: &[Value]) -> Result<(), OpError> {
    let mut types = values.iter().enumerate().map(|(input, value)| match value {
        Value::Tensor(tensor) => Ok(tensor.dtype()),
        other => Err(OpError::Kind {
            input,
            expected: "tensor",
            got: other.kind(),
        }),
    });
    let Some(first) = types.next().transpose()? else {
        return Ok(());
    };
    for dtype in types {
        let got = dtype?;
        if got != first {
            return Err(OpError::ElementType {
                expected: first,
                got,
            });
        }
    }
    Ok(())
}

impl Op for Sequence {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![match self.kind {
            Kind::Construct | Kind::Empty | Kind::Insert | Kind::Erase | Kind::Split { .. } => {
                Fact::Sequence
            }
            Kind::Length => Fact::tensor(DType::I64, []),
            Kind::HasElement => Fact::tensor(DType::Bool, []),
            Kind::Optional => Fact::Optional,
            Kind::GetElement => match cx.fact(0)? {
                Fact::Optional => Fact::Unknown,
                other => other.clone(),
            },
            Kind::At | Kind::Concat { .. } => Fact::Unknown,
        }])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        match self.kind {
            Kind::Empty | Kind::Length | Kind::HasElement => Ok(Cost::default()),
            Kind::Construct | Kind::Split { .. } | Kind::Optional => {
                let traffic = cx.traffic();
                Ok(Cost {
                    bytes_written: traffic.bytes_read,
                    ..traffic
                })
            }
            // How much a sequence holds is known only when the model runs; it pays there.
            _ => Err(OpError::Unknown { input: 0 }),
        }
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let value = match self.kind {
            Kind::Construct => {
                let given = ins
                    .iter()
                    .enumerate()
                    .map(|(input, value)| value.cloned().ok_or(OpError::MissingInput { input }));
                let values = given.collect::<Result<Vec<_>, _>>()?;
                check_same_type(&values)?;
                Value::Sequence(values)
            }
            Kind::Empty => Value::Sequence(Vec::new()),
            Kind::At => {
                let values = sequence_in(ins, 0)?;
                let at = position(ins, 1, values.len(), 0)?;
                let mut found = copied(cx, &values[at..=at])?;
                found.swap_remove(0)
            }
            Kind::Insert => insert(cx, ins)?,
            Kind::Erase => {
                let values = sequence_in(ins, 0)?;
                let last = ins.get(1).copied().flatten().is_none();
                let at = match values.len().checked_sub(1) {
                    Some(at) if last => at,
                    _ => position(ins, 1, values.len(), 0)?,
                };
                let mut values = copied(cx, values)?;
                values.remove(at);
                Value::Sequence(values)
            }
            Kind::Length => Tensor::scalar(sequence_in(ins, 0)?.len() as i64).into(),
            Kind::Split { axis, keep } => split(cx, ins, axis, keep)?,
            Kind::Concat { axis, stack } => concat(cx, sequence_in(ins, 0)?, axis, stack)?.into(),
            Kind::Optional => match ins.first().copied().flatten() {
                Some(Value::Optional(_)) => {
                    return Err(OpError::Kind {
                        input: 0,
                        expected: "tensor",
                        got: "optional",
                    });
                }
                other => Value::Optional(other.cloned().map(Box::new)),
            },
            Kind::HasElement => {
                let absent = matches!(ins.first(), None | Some(None | Some(Value::Optional(None))));
                Tensor::scalar(!absent).into()
            }
            Kind::GetElement => match ins.first().copied().flatten() {
                None | Some(Value::Optional(None)) => {
                    return Err(OpError::MissingInput { input: 0 });
                }
                Some(Value::Optional(Some(inner))) => inner.as_ref().clone(),
                Some(other) => other.clone(),
            },
        };
        Ok(vec![value])
    }
}

fn insert(cx: &mut RunCx<'_>, ins: &[Option<&Value>]) -> Result<Value, OpError> {
    let values = sequence_in(ins, 0)?;
    let tensor = tensor_in(ins, 1)?;
    let at = match ins.get(2).copied().flatten() {
        None => values.len(),
        Some(_) => position(ins, 2, values.len(), 1)?,
    };
    let mut values = copied(cx, values)?;
    values.insert(at, tensor.clone().into());
    check_same_type(&values)?;
    Ok(Value::Sequence(values))
}

fn split(
    cx: &mut RunCx<'_>,
    ins: &[Option<&Value>],
    axis: i64,
    keep: bool,
) -> Result<Value, OpError> {
    let input = tensor_in(ins, 0)?;
    let axis = axis_in(axis, input.shape().len())?;
    let dim = input.shape()[axis];
    let given = ins.get(1).copied().flatten().is_some();
    let parts = match given {
        false => vec![1; dim],
        true => {
            let split = tensor_in(ins, 1)?;
            let list = split.view().to_i64s()?;
            match (split.shape(), list.as_slice()) {
                ([], &[size]) => chunks(dim, size)?,
                _ => listed(&list, dim)?,
            }
        }
    };
    pay(
        cx,
        input.data().size_bytes() as u64 + 64 * parts.len() as u64,
    )?;
    let mut at = 0;
    let mut values = Vec::with_capacity(parts.len());
    for size in parts {
        let mut shape = input.shape().to_vec();
        shape[axis] = size;
        let mut part = cx.allocate(&exactly(input.dtype(), &shape))?;
        take_part(&mut part.out(), input.view(), axis, at)?;
        at += size;
        // Without a list of sizes each part is one slice, whose axis may go.
        if !keep && !given {
            shape.remove(axis);
            part = part.reshaped(shape)?;
        }
        values.push(part.into());
    }
    Ok(Value::Sequence(values))
}

/// Cuts a dimension into pieces of one size, the last of which may be smaller.
fn chunks(dim: usize, size: i64) -> Result<Vec<usize>, OpError> {
    let size = match size_from(size, "a part must be positive")? {
        0 => {
            return Err(OpError::Value {
                what: "a part must be positive",
                got: 0,
            });
        }
        size => size,
    };
    let mut parts = vec![size; dim / size];
    if !dim.is_multiple_of(size) {
        parts.push(dim % size);
    }
    Ok(parts)
}

fn concat(cx: &mut RunCx<'_>, values: &[Value], axis: i64, stack: bool) -> Result<Tensor, OpError> {
    if stack {
        let mut stacked = Stack::default();
        for value in copied(cx, values)? {
            stacked.push(value, cx)?;
        }
        return stacked.finish(cx, axis, false, &Fact::Unknown);
    }
    check_same_type(values)?;
    let tensors: Vec<&Tensor> = values.iter().filter_map(Value::as_tensor).collect();
    let first = tensors.first().ok_or(OpError::Value {
        what: "an empty sequence cannot be joined; elements",
        got: 0,
    })?;
    let axis = axis_in(axis, first.shape().len())?;
    let mut shape = first.shape().to_vec();
    for tensor in &tensors[1..] {
        check_joins(&shape, tensor.shape(), axis)?;
        shape[axis] = shape[axis].saturating_add(tensor.shape()[axis]);
    }
    let fact = exactly(first.dtype(), &shape);
    pay(cx, fact.size_bytes())?;
    let mut out = cx.allocate(&fact)?;
    let mut at = 0;
    for tensor in tensors {
        place_part(&mut out.out(), tensor.view(), axis, at)?;
        at += tensor.shape()[axis];
    }
    Ok(out)
}

/// Runs a graph on every element of a sequence.
struct SequenceMap {
    body: Subgraph,
    inputs: usize,
}

impl Op for SequenceMap {
    fn infer(&self, _: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::Sequence; self.body.outputs()])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        Err(OpError::Unknown { input: 0 })
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let length = sequence_in(ins, 0)?.len();
        let mut outputs = vec![Vec::with_capacity(length); self.body.outputs()];
        for at in 0..length {
            cx.spend(64)?;
            let mut formal = Vec::with_capacity(self.inputs);
            for input in 0..self.inputs {
                formal.push(match ins.get(input).copied().flatten() {
                    None => return Err(OpError::MissingInput { input }),
                    Some(Value::Sequence(values)) => values.get(at).ok_or(OpError::Index {
                        index: at as i64,
                        dim: values.len(),
                    })?,
                    Some(other) => other,
                });
            }
            let results = cx.run_graph(&self.body, &formal, ins)?;
            for (list, value) in outputs.iter_mut().zip(results) {
                list.push(value);
            }
        }
        Ok(outputs.into_iter().map(Value::Sequence).collect())
    }
}

fn simple(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let (kind, inputs) = match cx.op_type() {
        "SequenceConstruct" => (Kind::Construct, 1..=usize::MAX),
        "SequenceEmpty" => {
            cx.ignore("dtype");
            (Kind::Empty, 0..=0)
        }
        "SequenceAt" => (Kind::At, 2..=2),
        "SequenceInsert" => (Kind::Insert, 2..=3),
        "SequenceErase" => (Kind::Erase, 1..=2),
        "SequenceLength" => (Kind::Length, 1..=1),
        "SplitToSequence" => {
            let (axis, keep) = (cx.int_or("axis", 0)?, cx.flag("keepdims", true)?);
            (Kind::Split { axis, keep }, 1..=2)
        }
        "ConcatFromSequence" => {
            let axis = cx.int("axis")?;
            let axis = axis.ok_or(OpError::Attribute {
                name: "axis",
                why: "is missing",
            })?;
            (
                Kind::Concat {
                    axis,
                    stack: cx.flag("new_axis", false)?,
                },
                1..=1,
            )
        }
        "Optional" => {
            cx.ignore("type");
            (Kind::Optional, 0..=1)
        }
        "OptionalHasElement" => (Kind::HasElement, 0..=1),
        "OptionalGetElement" => (Kind::GetElement, 1..=1),
        other => {
            return Err(OpError::Unsupported {
                what: other.to_owned(),
            });
        }
    };
    cx.arity(inputs, 1)?;
    Ok(Box::new(Sequence { kind }))
}

fn sequence_map(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=usize::MAX, usize::MAX)?;
    let missing = OpError::Attribute {
        name: "body",
        why: "is missing",
    };
    let body = cx.subgraph("body")?.ok_or(missing)?;
    if body.formal_inputs() != cx.inputs() || body.outputs() < cx.outputs() {
        let why = "must take the node's inputs and give its outputs";
        return Err(OpError::Attribute { name: "body", why });
    }
    Ok(Box::new(SequenceMap {
        body,
        inputs: cx.inputs(),
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("SequenceConstruct", 11, simple),
    Entry::onnx("SequenceEmpty", 11, simple),
    Entry::onnx("SequenceAt", 11, simple),
    Entry::onnx("SequenceInsert", 11, simple),
    Entry::onnx("SequenceErase", 11, simple),
    Entry::onnx("SequenceLength", 11, simple),
    Entry::onnx("SplitToSequence", 11, simple),
    Entry::onnx("ConcatFromSequence", 11, simple),
    Entry::onnx("Optional", 15, simple),
    Entry::onnx("OptionalHasElement", 15, simple),
    Entry::onnx("OptionalGetElement", 15, simple),
    Entry::onnx("SequenceMap", 17, sequence_map),
];
