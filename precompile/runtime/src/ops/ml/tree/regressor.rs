//! TreeEnsembleRegressor: one score per target.

use assay_numerics::ml::post::{PostTransform, transform};

use super::forest::Forest;
use super::lists::{Lists, Names};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::ml::post::{post_transform, transcendentals};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::Out;

const NAMES: Names = Names {
    trees: "target_treeids",
    nodes: "target_nodeids",
    ids: "target_ids",
    weights: "target_weights",
    weights_tensor: "target_weights_as_tensor",
};

struct Regressor {
    forest: Forest,
    post: PostTransform,
}

impl Op for Regressor {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = self.forest.check(cx.tensor(0)?)?;
        Ok(vec![Fact::tensor(
            DType::F32,
            [rows, self.forest.targets()],
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let mut cost = self.forest.cost(cx.input(0)?)?;
        cost += cx.traffic();
        cost.transcendentals = transcendentals(self.post, cx.output(0)?.count());
        Ok(cost)
    }

    // Spec: N-13, N-17
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = outs[0].as_mut::<f32>()?;
        self.forest.scores_f32(cx, ins.get(0)?, out)?;
        transform(cx.engine(), self.post, self.forest.targets(), out);
        Ok(())
    }
}

/// Builds the operator.
pub(in crate::ops::ml) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let targets = cx.int("n_targets")?.ok_or(OpError::Attribute {
        name: "n_targets",
        why: "is missing",
    })?;
    let targets = usize::try_from(targets)
        .ok()
        .filter(|n| *n > 0)
        .ok_or(OpError::Value {
            what: "n_targets must be positive",
            got: targets,
        })?;
    let forest = Lists::read(cx, &NAMES)?.pack(targets, |id| id)?;
    Ok(Box::new(Regressor {
        forest,
        post: post_transform(cx)?,
    }))
}
