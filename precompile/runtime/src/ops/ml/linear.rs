//! LinearRegressor and LinearClassifier: one product with packed weights, then a post-transform.

use assay_numerics::gemm::{Epilogue, Matrix, PackedB, Rhs, gemm};
use assay_numerics::ml::post::{PostTransform, transform};

use super::labels::{Labels, best};
use super::post::{post_transform, transcendentals};
use super::rows::{as_f32, check_features, check_len, rows_of};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, TensorFact};
use crate::tensor::{Out, View};

/// Holds the weights of some outputs.
struct Weights {
    packed: PackedB<f32>,
    intercepts: Option<Vec<f32>>,
    features: usize,
    outputs: usize,
}

impl Weights {
    /// Packs `outputs` rows of coefficients.
    fn read(cx: &NodeCx<'_>, outputs: usize) -> Result<Self, OpError> {
        let coefficients = cx.floats("coefficients")?.unwrap_or_default();
        let features = coefficients.len() / outputs.max(1);
        if features == 0 {
            return Err(OpError::Attribute {
                name: "coefficients",
                why: "holds less than one coefficient per output",
            });
        }
        check_len("coefficients", coefficients.len(), features * outputs)?;
        let intercepts = cx.floats("intercepts")?.filter(|list| !list.is_empty());
        if let Some(list) = &intercepts {
            check_len("intercepts", list.len(), outputs)?;
        }
        let rows = Matrix::row_major(&coefficients, outputs, features);
        Ok(Weights {
            packed: PackedB::new(rows.transposed()),
            intercepts,
            features,
            outputs,
        })
    }

    fn cost(&self, x: &TensorFact, scores: u64, post: PostTransform) -> Result<Cost, OpError> {
        let rows = check_features(x, self.features)? as u64;
        let macs = (self.features as u64).saturating_mul(self.outputs as u64);
        Ok(Cost {
            macs_f32: rows.saturating_mul(macs),
            bytes_read: macs.saturating_mul(4),
            elements: x.count().saturating_add(scores.saturating_mul(2)),
            transcendentals: transcendentals(post, scores),
            ..Cost::default()
        })
    }

    // Spec: N-2
    fn scores(&self, cx: &RunCx<'_>, x: View<'_>, out: &mut [f32]) -> Result<(), OpError> {
        let (rows, _) = rows_of(x.shape)?;
        let x = as_f32(x)?;
        let epilogue = Epilogue {
            column_bias: self.intercepts.as_deref(),
            ..Epilogue::default()
        };
        let x = Matrix::row_major(&x, rows, self.features);
        let weights = Rhs::Packed(&self.packed);
        gemm(cx.engine(), x, weights, &epilogue, out, self.outputs);
        Ok(())
    }
}

struct Regressor {
    weights: Weights,
    post: PostTransform,
}

impl Op for Regressor {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = check_features(cx.tensor(0)?, self.weights.features)?;
        Ok(vec![Fact::tensor(DType::F32, [rows, self.weights.outputs])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let scores = cx.output(0)?.count();
        let mut cost = self.weights.cost(cx.input(0)?, scores, self.post)?;
        cost += cx.traffic();
        Ok(cost)
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = outs[0].as_mut::<f32>()?;
        self.weights.scores(cx, ins.get(0)?, out)?;
        transform(cx.engine(), self.post, self.weights.outputs, out);
        Ok(())
    }
}

struct Classifier {
    weights: Weights,
    labels: Labels,
    post: PostTransform,
}

impl Classifier {
    /// Says that the one score stands for the second of two classes.
    fn is_binary(&self) -> bool {
        self.weights.outputs == 1 && self.labels.len() == 2
    }
}

impl Op for Classifier {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = check_features(cx.tensor(0)?, self.weights.features)?;
        Ok(vec![
            Fact::tensor(self.labels.dtype(), [rows]),
            Fact::tensor(DType::F32, [rows, self.labels.len()]),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let scores = cx.output(1)?.count();
        let mut cost = self.weights.cost(cx.input(0)?, scores, self.post)?;
        cost += cx.traffic();
        Ok(cost)
    }

    // Spec: N-17
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let [labels, scores] = outs else {
            return Err(OpError::MissingInput { input: 1 });
        };
        let scores = scores.as_mut::<f32>()?;
        let x = ins.get(0)?;
        let classes = self.labels.len();
        if !self.is_binary() {
            self.weights.scores(cx, x, scores)?;
            let chosen = scores.chunks_exact(classes).map(best);
            self.labels.write(labels, chosen)?;
            transform(cx.engine(), self.post, classes, scores);
            return Ok(());
        }
        let mut second = vec![0.0f32; scores.len() / 2];
        self.weights.scores(cx, x, &mut second)?;
        let chosen = second.iter().map(|score| usize::from(*score > 0.0));
        self.labels.write(labels, chosen)?;
        // Softmax of a made-up pair is not taken, as in all implementations.
        let logistic = self.post == PostTransform::Logistic;
        for (pair, score) in scores.chunks_exact_mut(2).zip(&second) {
            pair[0] = if logistic { -score } else { 1.0 - score };
            pair[1] = *score;
        }
        let post = if logistic {
            self.post
        } else {
            PostTransform::None
        };
        transform(cx.engine(), post, 2, scores);
        Ok(())
    }
}

/// Builds LinearRegressor.
pub(super) fn regressor(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let targets = cx.int_or("targets", 1)?;
    let outputs = usize::try_from(targets)
        .ok()
        .filter(|n| *n > 0)
        .ok_or(OpError::Value {
            what: "targets must be positive",
            got: targets,
        })?;
    Ok(Box::new(Regressor {
        weights: Weights::read(cx, outputs)?,
        post: post_transform(cx)?,
    }))
}

/// Builds LinearClassifier.
pub(super) fn classifier(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 2)?;
    // One-vs-rest or multinomial training makes no difference to the scores.
    cx.ignore("multi_class");
    let labels = Labels::read(cx, "classlabels_ints", "classlabels_strings")?;
    let intercepts = cx.floats("intercepts")?.map_or(0, |list| list.len());
    let outputs = match (intercepts, labels.len()) {
        (1, 2) => 1,
        (_, classes) => classes,
    };
    let post = post_transform(cx)?;
    if outputs == 1 && labels.len() == 2 && post == PostTransform::Probit {
        return Err(OpError::Unsupported {
            what: "post_transform PROBIT with one column of coefficients".into(),
        });
    }
    Ok(Box::new(Classifier {
        weights: Weights::read(cx, outputs)?,
        labels,
        post,
    }))
}
