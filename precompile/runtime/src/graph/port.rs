//! What a model declares of its inputs and outputs.

use super::{Dim, Port, PortKind};
use crate::dtype::DType;
use crate::error::LoadError;
use crate::limits::Limits;
use crate::onnx::proto::tensor_shape_proto::dimension;
use crate::onnx::proto::{TypeProto, ValueInfoProto, type_proto};

pub(super) fn import_port(
    info: &ValueInfoProto,
    limits: &Limits,
    inner: bool,
) -> Result<Port, LoadError> {
    let name = info.name().to_owned();
    let refuse = |why| LoadError::Input {
        name: name.clone(),
        why,
    };
    let kind = match info.r#type.as_ref() {
        Some(proto) => import_kind(proto, limits).map_err(refuse)?,
        // Subgraphs may leave the types of their inputs out; the enclosing node gives them.
        None if inner => None,
        None => return Err(refuse("has no type")),
    };
    match kind {
        Some(kind) => Ok(Port { name, kind }),
        None if inner => Ok(Port {
            name,
            kind: PortKind::Optional,
        }),
        None => Err(refuse("has no element type")),
    }
}

pub(super) fn declared_kind(info: &ValueInfoProto, limits: &Limits) -> Option<PortKind> {
    import_kind(info.r#type.as_ref()?, limits).ok().flatten()
}

fn import_kind(proto: &TypeProto, limits: &Limits) -> Result<Option<PortKind>, &'static str> {
    match proto.value.as_ref() {
        Some(type_proto::Value::TensorType(tensor)) => {
            if tensor.elem_type() == 0 {
                return Ok(None);
            }
            let dtype =
                DType::from_onnx(tensor.elem_type()).ok_or("has an unsupported element type")?;
            let Some(shape) = &tensor.shape else {
                return Ok(Some(PortKind::Tensor { dtype, dims: None }));
            };
            if shape.dim.len() as u64 > limits.rank {
                return Err("has too many dimensions");
            }
            let dims = shape
                .dim
                .iter()
                .map(|dim| import_dim(dim.value.as_ref(), limits));
            Ok(Some(PortKind::Tensor {
                dtype,
                dims: Some(dims.collect::<Result<_, _>>()?),
            }))
        }
        Some(type_proto::Value::SequenceType(_)) => Ok(Some(PortKind::Sequence)),
        Some(type_proto::Value::OptionalType(_)) => Ok(Some(PortKind::Optional)),
        Some(type_proto::Value::MapType(_)) => Err("is a map; feed its values as a tensor"),
        Some(_) => Err("is neither a tensor, a sequence nor an optional"),
        None => Ok(None),
    }
}

fn import_dim(value: Option<&dimension::Value>, limits: &Limits) -> Result<Dim, &'static str> {
    match value {
        Some(dimension::Value::DimValue(n)) => match u64::try_from(*n) {
            Ok(n) if n <= limits.elements => Ok(Dim::Fixed(n as usize)),
            // Old exporters write -1 for a free dimension.
            Err(_) if *n == -1 => Ok(Dim::Any),
            _ => Err("has a dimension outside the limits"),
        },
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Ok(Dim::Symbol(name.clone())),
        _ => Ok(Dim::Any),
    }
}
