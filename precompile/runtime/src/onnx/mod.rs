//! Reading ONNX files: the message types and the bounded decoder.

pub mod decode;
pub(crate) mod inline;
mod layout;
pub(crate) mod lists;
pub mod proto;
pub mod tensor;
pub(crate) mod weights;
mod wire;
