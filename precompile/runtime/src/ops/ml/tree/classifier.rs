//! TreeEnsembleClassifier: a label and scores per class.
//!
//! A model of two classes may have one column of weights only. Its score s stands for the second
//! class, and the first one's is made up: 1 - s where no weight is negative, else -s.

use assay_numerics::ml::post::{PostTransform, transform};
use assay_numerics::tree::Aggregate;

use super::forest::Forest;
use super::lists::{Lists, Names};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::ml::labels::{Labels, best};
use crate::ops::ml::post::{post_transform, transcendentals};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::Out;

const NAMES: Names = Names {
    trees: "class_treeids",
    nodes: "class_nodeids",
    ids: "class_ids",
    weights: "class_weights",
    weights_tensor: "class_weights_as_tensor",
};

/// Says how the scores of the ensemble become those of the classes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    /// One score per class; the largest wins.
    PerClass,
    /// One score for the second of two classes, which wins above one half.
    Probability,
    /// One score for the second of two classes, which wins above zero.
    Margin,
}

struct Classifier {
    forest: Forest,
    labels: Labels,
    scheme: Scheme,
    post: PostTransform,
}

impl Op for Classifier {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = self.forest.check(cx.tensor(0)?)?;
        Ok(vec![
            Fact::tensor(self.labels.dtype(), [rows]),
            Fact::tensor(DType::F32, [rows, self.labels.len()]),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let mut cost = self.forest.cost(cx.input(0)?)?;
        cost += cx.traffic();
        let scores = cx.output(1)?.count();
        cost.elements = cost.elements.saturating_add(scores.saturating_mul(2));
        cost.transcendentals = transcendentals(self.post, scores);
        Ok(cost)
    }

    // Spec: N-13, N-17
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let [labels, scores] = outs else {
            return Err(OpError::MissingInput { input: 1 });
        };
        let scores = scores.as_mut::<f32>()?;
        let x = ins.get(0)?;
        let classes = self.labels.len();
        if self.scheme == Scheme::PerClass {
            self.forest.scores_f32(cx, x, scores)?;
            let chosen = scores.chunks_exact(classes).map(best);
            self.labels.write(labels, chosen)?;
            transform(cx.engine(), self.post, classes, scores);
            return Ok(());
        }
        let mut second = vec![0.0f32; scores.len() / 2];
        self.forest.scores_f32(cx, x, &mut second)?;
        let threshold = match self.scheme {
            Scheme::Probability => 0.5,
            _ => 0.0,
        };
        let chosen = second.iter().map(|score| usize::from(*score > threshold));
        self.labels.write(labels, chosen)?;
        for (pair, second) in scores.chunks_exact_mut(2).zip(second) {
            pair[0] = match self.scheme {
                Scheme::Probability => 1.0 - second,
                _ => -second,
            };
            pair[1] = second;
        }
        transform(cx.engine(), self.post, 2, scores);
        Ok(())
    }
}

/// Builds the operator.
pub(in crate::ops::ml) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 2)?;
    let labels = Labels::read(cx, "classlabels_int64s", "classlabels_strings")?;
    let lists = Lists::read(cx, &NAMES)?;
    if lists.aggregate != Aggregate::Sum {
        return Err(OpError::Unsupported {
            what: "aggregate_function of a classifier".into(),
        });
    }
    let post = post_transform(cx)?;
    let one_column = labels.len() == 2 && lists.ids.iter().all(|id| id == 0);
    let (scheme, post, forest) = if one_column {
        let scheme = single_column_scheme(&lists, post)?;
        // Softmax of a made-up pair is not taken, as in all implementations.
        let post = match post {
            PostTransform::Softmax | PostTransform::SoftmaxZero => PostTransform::None,
            post => post,
        };
        (scheme, post, lists.pack(1, |_| 0)?)
    } else {
        let forest = lists.pack(labels.len(), |id| id)?;
        (Scheme::PerClass, post, forest)
    };
    Ok(Box::new(Classifier {
        forest,
        labels,
        scheme,
        post,
    }))
}

fn single_column_scheme(lists: &Lists, post: PostTransform) -> Result<Scheme, OpError> {
    match post {
        PostTransform::Probit => Err(OpError::Unsupported {
            what: "post_transform PROBIT with one column of weights".into(),
        }),
        PostTransform::Logistic => Ok(Scheme::Margin),
        _ if lists.weights.none_negative() && lists.base.none_negative() => Ok(Scheme::Probability),
        _ => Ok(Scheme::Margin),
    }
}
