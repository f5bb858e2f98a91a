//! Lists of ids held in as few bytes as they need, and finding a node by its ids.

use crate::error::OpError;

/// Lists integers, in half the memory as long as all fit 32 bits.
#[derive(Debug, PartialEq)]
pub(super) enum Ints {
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
}

impl Default for Ints {
    fn default() -> Self {
        Ints::Narrow(Vec::new())
    }
}

impl FromIterator<i64> for Ints {
    fn from_iter<I: IntoIterator<Item = i64>>(ints: I) -> Self {
        let mut rest = ints.into_iter();
        let mut narrow = Vec::with_capacity(rest.size_hint().0);
        while let Some(int) = rest.next() {
            match i32::try_from(int) {
                Ok(int) => narrow.push(int),
                Err(_) => {
                    let before = narrow.into_iter().map(i64::from);
                    return Ints::Wide(before.chain([int]).chain(rest).collect());
                }
            }
        }
        Ints::Narrow(narrow)
    }
}

impl Ints {
    /// Returns the number of integers.
    pub(super) fn len(&self) -> usize {
        match self {
            Ints::Narrow(ints) => ints.len(),
            Ints::Wide(ints) => ints.len(),
        }
    }

    /// Says whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns one of them.
    ///
    /// # Panics
    /// Panics when there are not so many.
    pub(super) fn get(&self, at: usize) -> i64 {
        match self {
            Ints::Narrow(ints) => i64::from(ints[at]),
            Ints::Wide(ints) => ints[at],
        }
    }

    /// Walks them.
    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|at| self.get(at))
    }
}

/// Finds the place of a node by the ids of its tree and of itself.
pub(super) struct Index<'a> {
    trees: &'a Ints,
    nodes: &'a Ints,
    /// Lists the places in the order of their ids; `None` where they are listed so.
    order: Option<Vec<u32>>,
}

impl<'a> Index<'a> {
    /// Orders two lists of the same length; refuses ids that occur twice.
    pub(super) fn new(trees: &'a Ints, nodes: &'a Ints) -> Result<Self, OpError> {
        let mut index = Index {
            trees,
            nodes,
            order: None,
        };
        let count = nodes.len();
        if (1..count).all(|at| index.ids(at - 1) < index.ids(at)) {
            return Ok(index);
        }
        let last = u32::try_from(count).map_err(|_| OpError::Value {
            what: "there are too many nodes",
            got: count as i64,
        })?;
        let mut order: Vec<u32> = (0..last).collect();
        order.sort_by_key(|&at| index.ids(at as usize));
        let twice = order.windows(2).find_map(|pair| {
            let [a, b] = [pair[0], pair[1]].map(|at| index.ids(at as usize));
            (a == b).then_some(a.1)
        });
        if let Some(got) = twice {
            return Err(OpError::Value {
                what: "a node id occurs twice in its tree",
                got,
            });
        }
        index.order = Some(order);
        Ok(index)
    }

    /// Finds a node.
    pub(super) fn find(&self, ids: (i64, i64)) -> Option<usize> {
        let place = |at: usize| match &self.order {
            None => at,
            Some(order) => order[at] as usize,
        };
        let (mut first, mut end) = (0, self.nodes.len());
        while first < end {
            let middle = first + (end - first) / 2;
            match self.ids(place(middle)).cmp(&ids) {
                std::cmp::Ordering::Less => first = middle + 1,
                std::cmp::Ordering::Greater => end = middle,
                std::cmp::Ordering::Equal => return Some(place(middle)),
            }
        }
        None
    }

    fn ids(&self, place: usize) -> (i64, i64) {
        (self.trees.get(place), self.nodes.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(list: &[i64]) -> Ints {
        list.iter().copied().collect()
    }

    #[test]
    fn integers_of_any_width_are_kept() {
        let narrow = [0, -1, i64::from(i32::MIN), i64::from(i32::MAX)];
        assert!(matches!(ints(&narrow), Ints::Narrow(_)));
        assert_eq!(ints(&narrow).iter().collect::<Vec<_>>(), narrow);
        let wide = [1, i64::MIN, 2, i64::MAX];
        assert!(matches!(ints(&wide), Ints::Wide(_)));
        assert_eq!(ints(&wide).iter().collect::<Vec<_>>(), wide);
        assert!(Ints::default().is_empty());
    }

    #[test]
    fn nodes_are_found_in_any_order_of_their_ids() {
        for trees in [[0, 0, 1, 1], [1, 0, 1, 0], [i64::MAX, 3, 3, -9]] {
            let nodes = [0, 7, 9, 8];
            let (trees, nodes) = (ints(&trees), ints(&nodes));
            let index = Index::new(&trees, &nodes).expect("ids differ");
            for at in 0..4 {
                assert_eq!(index.find((trees.get(at), nodes.get(at))), Some(at));
            }
            assert_eq!(index.find((0, 5)), None);
        }
    }

    #[test]
    fn a_node_id_that_occurs_twice_in_its_tree_is_refused() {
        let (trees, nodes) = (ints(&[1, 0, 1]), ints(&[4, 4, 4]));
        assert!(matches!(
            Index::new(&trees, &nodes),
            Err(OpError::Value { got: 4, .. })
        ));
        assert!(Index::new(&ints(&[1, 0]), &ints(&[4, 4])).is_ok());
    }
}
