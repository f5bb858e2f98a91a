//! TreeEnsemble (ai.onnx.ml 5): inner nodes and leaves in lists of their own, sets, any float type.

use assay_numerics::cast::cast;
use assay_numerics::half::F16;
use assay_numerics::ml::post::{PostTransform, transform};
use assay_numerics::tree::{Aggregate, Branch, Compare, EnsembleSpec, Node, Weight};

use super::forest::{Forest, FromNumbers, Numbers};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::ml::post::transcendentals;
use crate::ops::ml::rows::check_len;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, TensorFact};
use crate::tensor::{Data, Out, Tensor, View};

struct TreeEnsemble {
    forest: Forest,
    /// The element type of the input, the attributes and the output.
    dtype: DType,
    post: PostTransform,
}

impl TreeEnsemble {
    /// Checks the input; halves are computed as the floats they widen to.
    fn check(&self, x: &TensorFact) -> Result<usize, OpError> {
        if x.dtype != self.dtype {
            return Err(OpError::ElementType {
                expected: self.dtype,
                got: x.dtype,
            });
        }
        let dtype = self.forest.dtype();
        self.forest.check(&TensorFact { dtype, ..x.clone() })
    }
}

impl Op for TreeEnsemble {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = self.check(cx.tensor(0)?)?;
        Ok(vec![Fact::tensor(
            self.dtype,
            [rows, self.forest.targets()],
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let dtype = self.forest.dtype();
        let x = TensorFact {
            dtype,
            ..cx.input(0)?.clone()
        };
        let mut cost = self.forest.cost(&x)?;
        cost += cx.traffic();
        cost.transcendentals = transcendentals(self.post, cx.output(0)?.count());
        Ok(cost)
    }

    // Spec: N-13, N-10, N-17
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let targets = self.forest.targets();
        match &mut *outs[0].data {
            Data::F64(out) => self.forest.scores_f64(cx, x, out),
            Data::F32(out) => {
                self.forest.scores_f32(cx, x, out)?;
                transform(cx.engine(), self.post, targets, out);
                Ok(())
            }
            Data::F16(out) => {
                let halves = x.as_slice::<F16>()?;
                let mut wide = vec![0.0f32; halves.len()];
                cast(halves, &mut wide);
                let data = Data::F32(wide);
                let x = View {
                    shape: x.shape,
                    data: &data,
                };
                let mut scores = vec![0.0f32; out.len()];
                self.forest.scores_f32(cx, x, &mut scores)?;
                transform(cx.engine(), self.post, targets, &mut scores);
                cast(&scores, out);
                Ok(())
            }
            other => Err(OpError::Type {
                what: "float features",
                got: other.dtype(),
            }),
        }
    }
}

/// Holds the attributes as they are written.
struct Lists {
    features: Vec<i64>,
    modes: Vec<Compare>,
    splits: Numbers,
    missing: Vec<i64>,
    true_ids: Vec<i64>,
    true_leafs: Vec<i64>,
    false_ids: Vec<i64>,
    false_leafs: Vec<i64>,
    leaf_targets: Vec<i64>,
    leaf_weights: Numbers,
    roots: Vec<i64>,
    members: Option<Numbers>,
    targets: usize,
    aggregate: Aggregate,
}

/// Builds the operator.
pub(in crate::ops::ml) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let required = |name| {
        cx.tensor(name)?.ok_or(OpError::Attribute {
            name,
            why: "is missing",
        })
    };
    let splits = required("nodes_splits")?;
    let dtype = splits.dtype();
    let same = |tensor: Tensor| {
        if tensor.dtype() == dtype {
            widen(tensor)
        } else {
            Err(OpError::ElementType {
                expected: dtype,
                got: tensor.dtype(),
            })
        }
    };
    let modes = match required("nodes_modes")?.into_parts().1 {
        Data::U8(modes) => modes.into_iter().map(mode).collect::<Result<_, _>>()?,
        other => {
            return Err(OpError::ElementType {
                expected: DType::U8,
                got: other.dtype(),
            });
        }
    };
    let ints = |name| {
        cx.ints(name)?.ok_or(OpError::Attribute {
            name,
            why: "is missing",
        })
    };
    let targets = cx.int_or("n_targets", 1)?;
    let lists = Lists {
        features: ints("nodes_featureids")?,
        modes,
        splits: same(splits)?,
        missing: cx
            .ints("nodes_missing_value_tracks_true")?
            .unwrap_or_default(),
        true_ids: ints("nodes_truenodeids")?,
        true_leafs: ints("nodes_trueleafs")?,
        false_ids: ints("nodes_falsenodeids")?,
        false_leafs: ints("nodes_falseleafs")?,
        leaf_targets: ints("leaf_targetids")?,
        leaf_weights: same(required("leaf_weights")?)?,
        roots: ints("tree_roots")?,
        members: cx.tensor("membership_values")?.map(same).transpose()?,
        targets: usize::try_from(targets)
            .ok()
            .filter(|n| *n > 0)
            .ok_or(OpError::Value {
                what: "n_targets must be positive",
                got: targets,
            })?,
        aggregate: aggregate(cx.int_or("aggregate_function", 1)?)?,
    };
    cx.ignore("nodes_hitrates");
    let post = post_transform(cx.int_or("post_transform", 0)?)?;
    if dtype == DType::F64 && post != PostTransform::None {
        return Err(OpError::Unsupported {
            what: "post_transform of double scores".into(),
        });
    }
    lists.check()?;
    let forest = if lists.splits.is_wide() {
        Forest::pack(&lists.spec::<f64>()?)?
    } else {
        Forest::pack(&lists.spec::<f32>()?)?
    };
    Ok(Box::new(TreeEnsemble {
        forest,
        dtype,
        post,
    }))
}

/// Reads a tensor of float, double or half numbers; halves become floats.
fn widen(tensor: Tensor) -> Result<Numbers, OpError> {
    match tensor.into_parts().1 {
        Data::F32(values) => Ok(Numbers::F32(values)),
        Data::F64(values) => Ok(Numbers::F64(values)),
        Data::F16(values) => {
            let mut wide = vec![0.0; values.len()];
            cast(&values, &mut wide);
            Ok(Numbers::F32(wide))
        }
        other => Err(OpError::Type {
            what: "float, double or half numbers",
            got: other.dtype(),
        }),
    }
}

fn mode(code: u8) -> Result<Compare, OpError> {
    Ok(match code {
        0 => Compare::Leq,
        1 => Compare::Lt,
        2 => Compare::Gte,
        3 => Compare::Gt,
        4 => Compare::Eq,
        5 => Compare::Neq,
        6 => Compare::Member,
        _ => {
            return Err(OpError::Value {
                what: "nodes_modes holds an unknown mode",
                got: code.into(),
            });
        }
    })
}

fn aggregate(code: i64) -> Result<Aggregate, OpError> {
    match code {
        0 => Ok(Aggregate::Average),
        1 => Ok(Aggregate::Sum),
        2 => Ok(Aggregate::Min),
        3 => Ok(Aggregate::Max),
        got => Err(OpError::Value {
            what: "unknown aggregate_function",
            got,
        }),
    }
}

fn post_transform(code: i64) -> Result<PostTransform, OpError> {
    match code {
        0 => Ok(PostTransform::None),
        1 => Ok(PostTransform::Softmax),
        2 => Ok(PostTransform::Logistic),
        3 => Ok(PostTransform::SoftmaxZero),
        4 => Ok(PostTransform::Probit),
        got => Err(OpError::Value {
            what: "unknown post_transform",
            got,
        }),
    }
}

fn index(what: &'static str, got: i64) -> Result<usize, OpError> {
    usize::try_from(got).map_err(|_| OpError::Value { what, got })
}

impl Lists {
    fn check(&self) -> Result<(), OpError> {
        let nodes = self.modes.len();
        check_len("nodes_featureids", self.features.len(), nodes)?;
        check_len("nodes_splits", self.splits.len(), nodes)?;
        check_len("nodes_truenodeids", self.true_ids.len(), nodes)?;
        check_len("nodes_trueleafs", self.true_leafs.len(), nodes)?;
        check_len("nodes_falsenodeids", self.false_ids.len(), nodes)?;
        check_len("nodes_falseleafs", self.false_leafs.len(), nodes)?;
        if !self.missing.is_empty() {
            let name = "nodes_missing_value_tracks_true";
            check_len(name, self.missing.len(), nodes)?;
        }
        check_len(
            "leaf_weights",
            self.leaf_weights.len(),
            self.leaf_targets.len(),
        )
    }

    fn spec<T: FromNumbers>(&self) -> Result<EnsembleSpec<T>, OpError> {
        let values = T::list(&self.leaf_weights)?;
        let weights = self.leaf_targets.iter().zip(values).map(|(id, value)| {
            let target = index("leaf_targetids holds a negative target", *id)?;
            Ok(Weight { target, value })
        });
        let weights = weights.collect::<Result<Vec<_>, OpError>>()?;
        let (sets, set_of) = self.sets::<T>()?;
        let splits = T::list(&self.splits)?;
        let mut nodes = Vec::with_capacity(self.modes.len() * 2 + 1);
        // Leaves follow the inner nodes; each mention of a leaf makes one.
        let mut leaves = Vec::new();
        for (i, compare) in self.modes.iter().enumerate() {
            let mut child = |id: i64, is_leaf: i64| -> Result<usize, OpError> {
                let id = index("a branch names a negative child", id)?;
                if is_leaf == 0 {
                    return Ok(id);
                }
                leaves.push(Node::Leaf(id..id.saturating_add(1)));
                Ok(self.modes.len() + leaves.len() - 1)
            };
            nodes.push(Node::Branch(Branch {
                compare: *compare,
                feature: index("a feature id is negative", self.features[i])?,
                threshold: splits[i],
                set: set_of[i],
                missing_true: self.missing.get(i).is_some_and(|flag| *flag != 0),
                on_true: child(self.true_ids[i], self.true_leafs[i])?,
                on_false: child(self.false_ids[i], self.false_leafs[i])?,
            }));
        }
        nodes.extend(leaves);
        let roots = self.roots.iter().map(|id| index("a root is negative", *id));
        Ok(EnsembleSpec {
            nodes,
            roots: roots.collect::<Result<_, _>>()?,
            weights,
            sets,
            targets: self.targets,
            aggregate: self.aggregate,
            base: Vec::new(),
        })
    }

    /// Cuts the values of all MEMBER nodes, in node order, at the NaNs between them.
    fn sets<T: FromNumbers>(&self) -> Result<(Vec<Vec<T>>, Vec<usize>), OpError> {
        let mut sets = Vec::new();
        if let Some(members) = &self.members {
            let mut set = Vec::new();
            for value in T::list(members)? {
                if value.is_nan() {
                    sets.push(std::mem::take(&mut set));
                } else {
                    set.push(value);
                }
            }
            if !set.is_empty() {
                sets.push(set);
            }
        }
        let mut next = 0;
        let set_of = self.modes.iter().map(|compare| {
            let set = next;
            next += usize::from(*compare == Compare::Member);
            set
        });
        let set_of: Vec<usize> = set_of.collect();
        check_len("membership_values", sets.len(), next)?;
        Ok((sets, set_of))
    }
}
