//! The post_transform attribute that models share.

use assay_numerics::ml::post::PostTransform;

use crate::error::OpError;
use crate::ops::NodeCx;

/// Reads the attribute.
pub(super) fn post_transform(cx: &NodeCx<'_>) -> Result<PostTransform, OpError> {
    match cx.string_or("post_transform", "NONE")?.as_str() {
        "NONE" => Ok(PostTransform::None),
        "LOGISTIC" => Ok(PostTransform::Logistic),
        "SOFTMAX" => Ok(PostTransform::Softmax),
        "SOFTMAX_ZERO" => Ok(PostTransform::SoftmaxZero),
        "PROBIT" => Ok(PostTransform::Probit),
        _ => Err(OpError::Attribute {
            name: "post_transform",
            why: "must be NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT",
        }),
    }
}

/// Counts the transcendentals of transforming `scores` scores.
pub(super) fn transcendentals(post: PostTransform, scores: u64) -> u64 {
    if post == PostTransform::None {
        0
    } else {
        scores.saturating_mul(2)
    }
}
