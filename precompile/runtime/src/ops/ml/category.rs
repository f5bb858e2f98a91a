//! OneHotEncoder and CategoryMapper: categories as columns, or as other categories.

use std::collections::BTreeMap;

use super::labels::Labels;
use super::rows::{check_len, check_numeric};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::{Data, Out};

/// Counts a search of every element in an ordered map.
pub(super) fn search_cost(cx: &CostCx<'_>, entries: usize) -> Result<Cost, OpError> {
    let steps = u64::from(usize::BITS - entries.leading_zeros()) + 1;
    let cost = cx.traffic();
    let searches = cx.input(0)?.count().saturating_mul(steps);
    Ok(Cost {
        elements: cx.output(0)?.count(),
        sort_steps: searches,
        ..cost
    })
}

/// Finds the place of a category in its list.
enum Index {
    Ints(BTreeMap<i64, usize>),
    Strings(BTreeMap<String, usize>),
}

impl Index {
    fn new(labels: Labels) -> Self {
        // Of equal categories the first counts.
        match labels {
            Labels::Ints(list) => Index::Ints(first_places(list)),
            Labels::Strings(list) => Index::Strings(first_places(list)),
        }
    }
}

/// Maps each value to the place where it first occurs.
pub(super) fn first_places<K: Ord>(list: impl IntoIterator<Item = K>) -> BTreeMap<K, usize> {
    let mut places = BTreeMap::new();
    for (place, key) in list.into_iter().enumerate() {
        places.entry(key).or_insert(place);
    }
    places
}

struct OneHotEncoder {
    index: Index,
    categories: usize,
    /// Gives a row of zeros for an unknown category instead of an error.
    zeros: bool,
}

impl OneHotEncoder {
    fn put(
        &self,
        out: &mut [f32],
        places: impl Iterator<Item = Option<usize>>,
    ) -> Result<(), OpError> {
        out.fill(0.0);
        let rows = out.chunks_exact_mut(self.categories);
        for (row, (out, place)) in rows.zip(places).enumerate() {
            match place.and_then(|place| out.get_mut(place)) {
                Some(hot) => *hot = 1.0,
                None if self.zeros => {}
                None => {
                    return Err(OpError::Value {
                        what: "a category is unknown and zeros is 0; the element's place",
                        got: row as i64,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Op for OneHotEncoder {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        match self.index {
            Index::Ints(_) => check_numeric(x.dtype)?,
            Index::Strings(_) if x.dtype == DType::Str => {}
            Index::Strings(_) => {
                return Err(OpError::ElementType {
                    expected: DType::Str,
                    got: x.dtype,
                });
            }
        }
        let mut shape = x.shape.clone();
        shape.push(self.categories);
        Ok(vec![Fact::tensor(DType::F32, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        search_cost(cx, self.categories)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = outs[0].as_mut::<f32>()?;
        match (&self.index, ins.get(0)?.data) {
            (Index::Strings(index), Data::Str(x)) => {
                self.put(out, x.iter().map(|x| index.get(x).copied()))
            }
            (Index::Ints(index), Data::I64(x)) => {
                self.put(out, x.iter().map(|x| index.get(x).copied()))
            }
            (Index::Ints(index), Data::I32(x)) => {
                let find = |x: &i32| index.get(&i64::from(*x)).copied();
                self.put(out, x.iter().map(find))
            }
            // Spec: N-11. Floats are truncated to integers.
            (Index::Ints(index), Data::F32(x)) => {
                self.put(out, x.iter().map(|x| index.get(&(*x as i64)).copied()))
            }
            (Index::Ints(index), Data::F64(x)) => {
                self.put(out, x.iter().map(|x| index.get(&(*x as i64)).copied()))
            }
            (_, other) => Err(OpError::Type {
                what: "categories of the type of the encoder's list",
                got: other.dtype(),
            }),
        }
    }
}

/// Maps strings to integers and integers to strings, by the type of the input. This is also
/// LabelEncoder before opset 2.
pub(super) struct Mapper {
    strings: Vec<String>,
    ints: Vec<i64>,
    by_string: BTreeMap<String, usize>,
    by_int: BTreeMap<i64, usize>,
    default_string: String,
    default_int: i64,
}

impl Mapper {
    /// Reads the defaults of a node and joins two lists.
    pub(super) fn new(
        cx: &NodeCx<'_>,
        strings: Vec<String>,
        ints: Vec<i64>,
    ) -> Result<Self, OpError> {
        Ok(Mapper {
            by_string: first_places(strings.iter().cloned()),
            by_int: first_places(ints.iter().copied()),
            strings,
            ints,
            default_string: cx.string_or("default_string", "_Unused")?,
            default_int: cx.int_or("default_int64", -1)?,
        })
    }
}

impl Op for Mapper {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let dtype = match x.dtype {
            DType::Str => DType::I64,
            DType::I64 => DType::Str,
            got => {
                return Err(OpError::Type {
                    what: "string or int64 categories",
                    got,
                });
            }
        };
        Ok(vec![Fact::tensor(dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        search_cost(cx, self.strings.len())
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        match ins.get(0)?.data {
            Data::Str(x) => {
                for (x, out) in x.iter().zip(outs[0].as_mut::<i64>()?) {
                    let place = self.by_string.get(x);
                    let found = place.and_then(|place| self.ints.get(*place));
                    *out = found.copied().unwrap_or(self.default_int);
                }
            }
            Data::I64(x) => {
                for (x, out) in x.iter().zip(outs[0].as_mut::<String>()?) {
                    let place = self.by_int.get(x);
                    let found = place.and_then(|place| self.strings.get(*place));
                    out.clone_from(found.unwrap_or(&self.default_string));
                }
            }
            other => {
                return Err(OpError::Type {
                    what: "string or int64 categories",
                    got: other.dtype(),
                });
            }
        }
        Ok(())
    }
}

/// Builds OneHotEncoder.
pub(super) fn one_hot_encoder(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let labels = Labels::read(cx, "cats_int64s", "cats_strings")?;
    Ok(Box::new(OneHotEncoder {
        categories: labels.len(),
        index: Index::new(labels),
        zeros: cx.flag("zeros", true)?,
    }))
}

/// Builds CategoryMapper.
pub(super) fn category_mapper(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let strings = cx.strings("cats_strings")?.unwrap_or_default();
    let ints = cx.ints("cats_int64s")?.unwrap_or_default();
    check_len("cats_int64s", ints.len(), strings.len())?;
    Ok(Box::new(Mapper::new(cx, strings, ints)?))
}
