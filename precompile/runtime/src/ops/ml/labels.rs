//! Class labels: integers or strings, and the choice of the best class.

use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::NodeCx;
use crate::tensor::Out;

/// Holds the labels of a classifier.
#[derive(Debug)]
pub(super) enum Labels {
    /// Integer labels.
    Ints(Vec<i64>),
    /// String labels.
    Strings(Vec<String>),
}

impl Labels {
    /// Reads the labels; exactly one of the two lists must be there.
    pub(super) fn read(
        cx: &NodeCx<'_>,
        ints: &'static str,
        strings: &'static str,
    ) -> Result<Self, OpError> {
        let numbers = cx.ints(ints)?.filter(|list| !list.is_empty());
        let texts = cx.strings(strings)?.filter(|list| !list.is_empty());
        match (numbers, texts) {
            (Some(list), None) => Ok(Labels::Ints(list)),
            (None, Some(list)) => Ok(Labels::Strings(list)),
            (None, None) => Err(OpError::Attribute {
                name: ints,
                why: "neither integer nor string labels are given",
            }),
            (Some(_), Some(_)) => Err(OpError::Attribute {
                name: ints,
                why: "both integer and string labels are given",
            }),
        }
    }

    /// Returns the number of labels.
    pub(super) fn len(&self) -> usize {
        match self {
            Labels::Ints(list) => list.len(),
            Labels::Strings(list) => list.len(),
        }
    }

    /// Returns the type of the label output.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Labels::Ints(_) => DType::I64,
            Labels::Strings(_) => DType::Str,
        }
    }

    /// Writes the label of the class chosen for each row.
    pub(super) fn write(
        &self,
        out: &mut Out<'_>,
        classes: impl Iterator<Item = usize>,
    ) -> Result<(), OpError> {
        fn put<T: Clone>(
            out: &mut [T],
            list: &[T],
            classes: impl Iterator<Item = usize>,
        ) -> Result<(), OpError> {
            for (out, class) in out.iter_mut().zip(classes) {
                let label = list.get(class).ok_or(OpError::Index {
                    index: class as i64,
                    dim: list.len(),
                })?;
                out.clone_from(label);
            }
            Ok(())
        }
        match self {
            Labels::Ints(list) => put(out.as_mut()?, list, classes),
            Labels::Strings(list) => put(out.as_mut()?, list, classes),
        }
    }
}

/// Finds the largest score, the first of equal ones; NaN never wins.
// Spec: N-17
pub(super) fn best(scores: &[f32]) -> usize {
    let mut best = 0;
    let mut largest = f32::NEG_INFINITY;
    for (class, score) in scores.iter().enumerate() {
        if *score > largest {
            (best, largest) = (class, *score);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn the_first_of_equal_scores_wins_and_nan_never() {
        assert_eq!(best(&[1.0, 2.0, 2.0]), 1);
        assert_eq!(best(&[f32::NAN, -1.0]), 1);
        assert_eq!(best(&[]), 0);
    }
}
