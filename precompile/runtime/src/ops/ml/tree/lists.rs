//! The node lists of TreeEnsembleRegressor and TreeEnsembleClassifier, turned into trees.

use std::collections::BTreeMap;

use assay_numerics::tree::{Aggregate, Branch, Compare, EnsembleSpec, Node, Weight};

use super::forest::{Forest, FromNumbers, Numbers};
use super::ids::{Index, Ints};
use crate::error::OpError;
use crate::ops::NodeCx;
use crate::ops::ml::rows::check_len;
use crate::tensor::Data;

/// Names the attributes in which the two operators differ.
pub(super) struct Names {
    pub(super) trees: &'static str,
    pub(super) nodes: &'static str,
    pub(super) ids: &'static str,
    pub(super) weights: &'static str,
    pub(super) weights_tensor: &'static str,
}

/// Holds the lists of one node as they are written.
pub(super) struct Lists {
    tree_ids: Ints,
    node_ids: Ints,
    features: Ints,
    modes: Vec<Option<Compare>>,
    values: Numbers,
    true_ids: Ints,
    false_ids: Ints,
    missing: Ints,
    weight_trees: Ints,
    weight_nodes: Ints,
    /// Names the target (or class) of each weight.
    pub(super) ids: Ints,
    /// Lists the weights.
    pub(super) weights: Numbers,
    /// Lists the base values.
    pub(super) base: Numbers,
    /// Says how leaves are combined.
    pub(super) aggregate: Aggregate,
}

/// Reads numbers given as a list of floats or as a tensor.
fn numbers(
    cx: &NodeCx<'_>,
    floats: &'static str,
    tensor: &'static str,
) -> Result<Option<Numbers>, OpError> {
    let given = cx.floats(floats)?.filter(|list| !list.is_empty());
    match (given, cx.tensor(tensor)?) {
        (Some(_), Some(_)) => Err(OpError::Attribute {
            name: tensor,
            why: "the same numbers are given twice",
        }),
        (Some(list), None) => Ok(Some(Numbers::F32(list))),
        (None, None) => Ok(None),
        (None, Some(tensor)) => match tensor.into_parts().1 {
            Data::F32(list) => Ok(Some(Numbers::F32(list))),
            Data::F64(list) => Ok(Some(Numbers::F64(list))),
            other => Err(OpError::Type {
                what: "a float or double tensor",
                got: other.dtype(),
            }),
        },
    }
}

fn required(cx: &NodeCx<'_>, name: &'static str) -> Result<Ints, OpError> {
    cx.ints_into(name)?.ok_or(OpError::Attribute {
        name,
        why: "is missing",
    })
}

/// Reads a node's mode; `None` is a leaf.
fn mode(text: &str) -> Result<Option<Compare>, OpError> {
    Ok(Some(match text {
        "BRANCH_LEQ" => Compare::Leq,
        "BRANCH_LT" => Compare::Lt,
        "BRANCH_GTE" => Compare::Gte,
        "BRANCH_GT" => Compare::Gt,
        "BRANCH_EQ" => Compare::Eq,
        "BRANCH_NEQ" => Compare::Neq,
        "LEAF" => return Ok(None),
        _ => {
            return Err(OpError::Text {
                what: "nodes_modes holds an unknown mode",
                got: text.chars().take(40).collect(),
            });
        }
    }))
}

impl Lists {
    /// Reads the attributes and checks that their lengths agree.
    pub(super) fn read(cx: &NodeCx<'_>, names: &Names) -> Result<Self, OpError> {
        let missing = Numbers::F32(Vec::new());
        let lists = Lists {
            tree_ids: required(cx, "nodes_treeids")?,
            node_ids: required(cx, "nodes_nodeids")?,
            features: required(cx, "nodes_featureids")?,
            modes: cx.strings_as("nodes_modes", mode)?.unwrap_or_default(),
            values: numbers(cx, "nodes_values", "nodes_values_as_tensor")?.unwrap_or(missing),
            true_ids: required(cx, "nodes_truenodeids")?,
            false_ids: required(cx, "nodes_falsenodeids")?,
            missing: cx
                .ints_into("nodes_missing_value_tracks_true")?
                .unwrap_or_default(),
            weight_trees: required(cx, names.trees)?,
            weight_nodes: required(cx, names.nodes)?,
            ids: required(cx, names.ids)?,
            weights: numbers(cx, names.weights, names.weights_tensor)?
                .unwrap_or(Numbers::F32(Vec::new())),
            base: numbers(cx, "base_values", "base_values_as_tensor")?
                .unwrap_or(Numbers::F32(Vec::new())),
            aggregate: aggregate(cx)?,
        };
        cx.ignore("nodes_hitrates");
        cx.ignore("nodes_hitrates_as_tensor");
        cx.release_lists();
        let nodes = lists.node_ids.len();
        check_len("nodes_treeids", lists.tree_ids.len(), nodes)?;
        check_len("nodes_featureids", lists.features.len(), nodes)?;
        check_len("nodes_modes", lists.modes.len(), nodes)?;
        check_len("nodes_values", lists.values.len(), nodes)?;
        check_len("nodes_truenodeids", lists.true_ids.len(), nodes)?;
        check_len("nodes_falsenodeids", lists.false_ids.len(), nodes)?;
        if !lists.missing.is_empty() {
            let name = "nodes_missing_value_tracks_true";
            check_len(name, lists.missing.len(), nodes)?;
        }
        let weights = lists.ids.len();
        check_len(names.trees, lists.weight_trees.len(), weights)?;
        check_len(names.nodes, lists.weight_nodes.len(), weights)?;
        check_len(names.weights, lists.weights.len(), weights)?;
        Ok(lists)
    }

    /// Packs the ensemble in the widest type of its lists; `target_of` turns ids into targets. The lists
    /// are given back before that.
    pub(super) fn pack(
        self,
        targets: usize,
        target_of: impl Fn(i64) -> i64,
    ) -> Result<Forest, OpError> {
        let wide = self.values.is_wide() || self.weights.is_wide() || self.base.is_wide();
        if wide {
            let spec = self.spec::<f64>(targets, target_of)?;
            drop(self);
            Forest::pack(&spec)
        } else {
            let spec = self.spec::<f32>(targets, target_of)?;
            drop(self);
            Forest::pack(&spec)
        }
    }

    fn spec<T: FromNumbers>(
        &self,
        targets: usize,
        target_of: impl Fn(i64) -> i64,
    ) -> Result<EnsembleSpec<T>, OpError> {
        let index = Index::new(&self.tree_ids, &self.node_ids)?;
        let (order, ranges) = self.leaves(&index)?;
        let values = T::list(&self.weights)?;
        let weights = order.iter().map(|&i| {
            let id = self.ids.get(i);
            let target = usize::try_from(target_of(id)).map_err(|_| OpError::Value {
                what: "a target or class id is out of range",
                got: id,
            })?;
            Ok(Weight {
                target,
                value: values[i],
            })
        });
        let weights = weights.collect::<Result<_, OpError>>()?;
        let thresholds = T::list(&self.values)?;
        let mut nodes = Vec::with_capacity(self.node_ids.len());
        for (i, threshold) in thresholds.into_iter().enumerate() {
            nodes.push(self.node(i, &index, threshold, &ranges)?);
        }
        Ok(EnsembleSpec {
            roots: self.roots(&nodes)?,
            nodes,
            weights,
            sets: Vec::new(),
            targets,
            aggregate: self.aggregate,
            base: T::list(&self.base)?,
        })
    }

    /// Orders the weights by leaf, keeping their order within each, and gives where those of each leaf
    /// begin; after the last node stands where all end.
    fn leaves(&self, index: &Index<'_>) -> Result<(Vec<usize>, Vec<u32>), OpError> {
        let mut of_node = Vec::with_capacity(self.ids.len());
        for id in self.weight_trees.iter().zip(self.weight_nodes.iter()) {
            let node = index.find(id).ok_or(OpError::Value {
                what: "a weight names a node that does not exist",
                got: id.1,
            })?;
            if self.modes[node].is_some() {
                return Err(OpError::Value {
                    what: "a weight names a node that is no leaf",
                    got: id.1,
                });
            }
            of_node.push(node);
        }
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_by_key(|&i| of_node[i]);
        let mut starts = vec![0u32; self.node_ids.len() + 1];
        for node in of_node {
            starts[node + 1] += 1;
        }
        for node in 0..self.node_ids.len() {
            starts[node + 1] += starts[node];
        }
        Ok((order, starts))
    }

    fn node<T: FromNumbers>(
        &self,
        i: usize,
        index: &Index<'_>,
        threshold: T,
        starts: &[u32],
    ) -> Result<Node<T>, OpError> {
        let Some(compare) = self.modes[i] else {
            return Ok(Node::Leaf(starts[i] as usize..starts[i + 1] as usize));
        };
        let child = |id: i64| {
            let found = index.find((self.tree_ids.get(i), id));
            found.ok_or(OpError::Value {
                what: "a branch names a child that is not in its tree",
                got: id,
            })
        };
        Ok(Node::Branch(Branch {
            compare,
            feature: usize::try_from(self.features.get(i)).map_err(|_| OpError::Value {
                what: "a feature id is negative",
                got: self.features.get(i),
            })?,
            threshold,
            set: 0,
            missing_true: i < self.missing.len() && self.missing.get(i) != 0,
            on_true: child(self.true_ids.get(i))?,
            on_false: child(self.false_ids.get(i))?,
        }))
    }

    /// Finds the node of each tree that is nobody's child; trees are taken as they first appear.
    fn roots<T>(&self, nodes: &[Node<T>]) -> Result<Vec<usize>, OpError> {
        let mut is_child = vec![false; nodes.len()];
        for node in nodes {
            if let Node::Branch(branch) = node {
                is_child[branch.on_true] = true;
                is_child[branch.on_false] = true;
            }
        }
        let mut trees = Vec::new();
        let mut root_of = BTreeMap::new();
        for (i, tree) in self.tree_ids.iter().enumerate() {
            let root = root_of.entry(tree).or_insert_with(|| {
                trees.push(tree);
                None
            });
            if root.is_none() && !is_child[i] {
                *root = Some(i);
            }
        }
        let root = |tree: &i64| {
            root_of.get(tree).copied().flatten().ok_or(OpError::Value {
                what: "the nodes of a tree form a cycle; the tree's id",
                got: *tree,
            })
        };
        trees.iter().map(root).collect()
    }
}

fn aggregate(cx: &NodeCx<'_>) -> Result<Aggregate, OpError> {
    match cx.string_or("aggregate_function", "SUM")?.as_str() {
        "SUM" => Ok(Aggregate::Sum),
        "AVERAGE" => Ok(Aggregate::Average),
        "MIN" => Ok(Aggregate::Min),
        "MAX" => Ok(Aggregate::Max),
        _ => Err(OpError::Attribute {
            name: "aggregate_function",
            why: "must be SUM, AVERAGE, MIN or MAX",
        }),
    }
}
