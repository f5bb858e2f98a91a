//! Arithmetic of the classic models of ai.onnx.ml: post-transforms, support vectors, scaling.
//!
//! Linear models need nothing of their own: they are one [`crate::gemm`] and a post-transform.

pub mod post;
pub mod scale;
pub mod svm;
