//! TfIdfVectorizer: counts of n-grams, with gaps, weighted.

use std::collections::BTreeMap;

use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out};

/// Says what is written for an n-gram that occurs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weighting {
    Count,
    Weight,
    CountTimesWeight,
}

/// Holds one node of the tree of n-grams: what may follow, and which n-gram ends here.
struct Grams<K: Ord> {
    next: BTreeMap<K, Grams<K>>,
    ends: Option<usize>,
}

impl<K: Ord + Clone> Grams<K> {
    fn insert(&mut self, gram: &[K], index: usize) {
        let end = gram.iter().fold(self, |node, item| {
            node.next.entry(item.clone()).or_default()
        });
        // Of equal n-grams the first counts.
        end.ends.get_or_insert(index);
    }
}

// Derived, the default would ask one of the keys.
impl<K: Ord> Default for Grams<K> {
    fn default() -> Self {
        Self {
            next: BTreeMap::new(),
            ends: None,
        }
    }
}

/// Holds the n-grams by the type of their items.
enum Pool {
    Texts(Grams<String>),
    Integers(Grams<i64>),
}

struct TfIdfVectorizer {
    pool: Pool,
    weighting: Weighting,
    /// Output column of each n-gram, in the order of the pool.
    columns: Vec<usize>,
    width: usize,
    weights: Option<Vec<f32>>,
    lengths: std::ops::RangeInclusive<usize>,
    skips: usize,
}

impl TfIdfVectorizer {
    /// Splits a shape into rows and their items.
    fn rows(shape: &[usize]) -> Result<(usize, usize), OpError> {
        match *shape {
            [items] => Ok((1, items)),
            [rows, items] => Ok((rows, items)),
            _ => Err(OpError::Shape {
                why: "needs [items] or [rows, items]",
                shapes: vec![shape.to_vec()],
            }),
        }
    }

    /// Counts the n-grams of one row: for every gap between items, from every start.
    fn count<K: Ord>(&self, grams: &Grams<K>, row: &[K], out: &mut [u32]) {
        let mut shortest = *self.lengths.start();
        let longest = *self.lengths.end();
        for gap in 1..=self.skips + 1 {
            for start in 0..row.len() {
                let mut node = grams;
                let items = row.iter().skip(start).step_by(gap).take(longest);
                for (at, item) in items.enumerate() {
                    let Some(next) = node.next.get(item) else {
                        break;
                    };
                    node = next;
                    if let Some(gram) = node.ends
                        && at + 1 >= shortest
                        && let Some(count) = self.columns.get(gram).and_then(|&c| out.get_mut(c))
                    {
                        *count = count.saturating_add(1);
                    }
                }
            }
            // A single item has no gap: it counts once.
            shortest = shortest.max(2);
            if shortest > longest {
                break;
            }
        }
    }

    fn write(&self, counts: &[u32], out: &mut [f32]) {
        for (column, (out, &count)) in out.iter_mut().zip(counts).enumerate() {
            let weight = self.weights.as_ref().map_or(1.0, |weights| weights[column]);
            *out = match self.weighting {
                Weighting::Count => count as f32,
                Weighting::Weight if count > 0 => weight,
                Weighting::Weight => 0.0,
                // Spec: N-34: one rounded product.
                Weighting::CountTimesWeight => {
                    assay_numerics::elementwise::Number::times(count as f32, weight)
                }
            };
        }
    }
}

impl Op for TfIdfVectorizer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let fits = match self.pool {
            Pool::Texts(_) => fact.dtype == DType::Str,
            Pool::Integers(_) => matches!(fact.dtype, DType::I32 | DType::I64),
        };
        if !fits {
            return Err(OpError::Type {
                what: "the item type of the pool",
                got: fact.dtype,
            });
        }
        Self::rows(&fact.shape)?;
        let mut shape = fact.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = self.width;
        }
        Ok(vec![Fact::tensor(DType::F32, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let items = cx.input(0)?.count();
        let steps = items
            .saturating_mul(self.skips as u64 + 1)
            .saturating_mul(*self.lengths.end() as u64)
            .saturating_mul(16);
        Ok(Cost {
            elements: steps.saturating_add(cx.output(0)?.count()),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let (rows, items) = Self::rows(input.shape)?;
        let out = outs[0].as_mut::<f32>()?;
        let mut counts = vec![0u32; self.width];
        for row in 0..rows {
            counts.fill(0);
            let range = row * items..(row + 1) * items;
            match (&self.pool, input.data) {
                (Pool::Texts(grams), Data::Str(list)) => {
                    self.count(grams, &list[range], &mut counts);
                }
                (Pool::Integers(grams), Data::I64(list)) => {
                    self.count(grams, &list[range], &mut counts);
                }
                (Pool::Integers(grams), Data::I32(list)) => {
                    let wide: Vec<i64> = list[range].iter().map(|&x| i64::from(x)).collect();
                    self.count(grams, &wide, &mut counts);
                }
                (_, other) => {
                    return Err(OpError::Type {
                        what: "the item type of the pool",
                        got: other.dtype(),
                    });
                }
            }
            self.write(&counts, &mut out[row * self.width..(row + 1) * self.width]);
        }
        Ok(())
    }
}

/// Builds the tree: `starts` says where the n-grams of each length begin in the pool.
fn grams<K: Ord + Clone>(pool: &[K], starts: &[i64], columns: usize) -> Result<Grams<K>, OpError> {
    let mut tree = Grams::default();
    let mut index = 0;
    let refuse = |why| OpError::Attribute {
        name: "ngram_counts",
        why,
    };
    for (at, &start) in starts.iter().enumerate() {
        let length = at + 1;
        let end = starts.get(at + 1).copied().unwrap_or(pool.len() as i64);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let part = range.and_then(|(start, end)| pool.get(start..end));
        let part = part.ok_or(refuse("does not ascend within the pool"))?;
        if !part.len().is_multiple_of(length) {
            return Err(refuse("does not divide the pool into n-grams"));
        }
        for gram in part.chunks_exact(length) {
            tree.insert(gram, index);
            index += 1;
        }
    }
    if index != columns {
        return Err(OpError::Attribute {
            name: "ngram_indexes",
            why: "must have one entry for each n-gram",
        });
    }
    Ok(tree)
}

/// Longest n-gram; each level of the tree is one more item.
const LENGTH_MAX: i64 = 64;
/// Largest gap between the items of an n-gram.
const SKIPS_MAX: i64 = 1 << 16;

fn tfidf(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let missing = |name| OpError::Attribute {
        name,
        why: "is missing",
    };
    let bounded = |name, min: i64, max: i64| match cx.int(name)? {
        Some(value) if value >= min && value <= max => Ok(value as usize),
        Some(_) => Err(OpError::Attribute {
            name,
            why: "is out of range",
        }),
        None => Err(missing(name)),
    };
    let weighting = match cx.string("mode")?.ok_or(missing("mode"))?.as_str() {
        "TF" => Weighting::Count,
        "IDF" => Weighting::Weight,
        "TFIDF" => Weighting::CountTimesWeight,
        _ => {
            return Err(OpError::Attribute {
                name: "mode",
                why: "must be TF, IDF or TFIDF",
            });
        }
    };
    let (longest, shortest) = (
        bounded("max_gram_length", 1, LENGTH_MAX)?,
        bounded("min_gram_length", 1, LENGTH_MAX)?,
    );
    let starts = cx.ints("ngram_counts")?.ok_or(missing("ngram_counts"))?;
    if starts.len() > LENGTH_MAX as usize {
        return Err(OpError::Attribute {
            name: "ngram_counts",
            why: "is too long",
        });
    }
    let indexes = cx.ints("ngram_indexes")?.ok_or(missing("ngram_indexes"))?;
    let columns = indexes
        .iter()
        .map(|&index| usize::try_from(index).ok().filter(|&i| i < 1 << 28));
    let columns = columns
        .collect::<Option<Vec<_>>>()
        .ok_or(OpError::Attribute {
            name: "ngram_indexes",
            why: "has a column out of range",
        })?;
    let width = columns.iter().max().map_or(0, |last| last + 1);
    let weights = cx.floats("weights")?;
    if weights
        .as_ref()
        .is_some_and(|weights| weights.len() != width)
    {
        return Err(OpError::Attribute {
            name: "weights",
            why: "must have one entry for each column",
        });
    }
    let pool = match (cx.strings("pool_strings")?, cx.ints("pool_int64s")?) {
        (Some(texts), None) => Pool::Texts(grams(&texts, &starts, columns.len())?),
        (None, Some(ints)) => Pool::Integers(grams(&ints, &starts, columns.len())?),
        _ => {
            return Err(OpError::Attribute {
                name: "pool_strings",
                why: "needs exactly one pool",
            });
        }
    };
    let skips = bounded("max_skip_count", 0, SKIPS_MAX)?;
    Ok(Box::new(TfIdfVectorizer {
        pool,
        weighting,
        columns,
        width,
        weights,
        lengths: shortest..=longest,
        skips,
    }))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("TfIdfVectorizer", 9, tfidf)];
