//! NonMaxSuppression: the best boxes of each class that do not overlap a better one.

use assay_numerics::boxes::{Bounds, BoxForm};

use super::select::{exactly, tensor_in};
use super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, RunCx, Values};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Tensor, Value};

/// Selects boxes greedily by score.
struct NonMaxSuppression {
    form: BoxForm,
}

/// Holds the sizes of boxes `[batches, boxes, 4]` and scores `[batches, classes, boxes]`.
struct Sizes {
    batches: usize,
    classes: usize,
    boxes: usize,
}

impl Sizes {
    fn new(boxes: &[usize], scores: &[usize]) -> Result<Self, OpError> {
        match (boxes, scores) {
            (&[batches, count, 4], &[b, classes, n]) if b == batches && n == count => Ok(Self {
                batches,
                classes,
                boxes: count,
            }),
            _ => Err(OpError::Shape {
                why: "needs boxes [batches, boxes, 4] and scores [batches, classes, boxes]",
                shapes: vec![boxes.to_vec(), scores.to_vec()],
            }),
        }
    }

    /// Counts the boxes of all classes.
    fn candidates(&self) -> usize {
        self.batches
            .saturating_mul(self.classes)
            .saturating_mul(self.boxes)
    }
}

impl Op for NonMaxSuppression {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let sizes = Sizes::new(&cx.tensor(0)?.shape, &cx.tensor(1)?.shape)?;
        Ok(vec![Fact::at_most(DType::I64, [sizes.candidates(), 3])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let sizes = Sizes::new(&cx.input(0)?.shape, &cx.input(1)?.shape)?;
        let candidates = sizes.candidates() as u64;
        let boxes = sizes.boxes as u64;
        let levels = u64::from(u64::BITS - boxes.leading_zeros());
        // Every box may have to be compared with every better one: about 16 steps each time.
        Ok(Cost {
            elements: candidates.saturating_mul(boxes).saturating_mul(16),
            sort_steps: candidates.saturating_mul(levels),
            ..cx.traffic()
        })
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let (boxes, scores) = (tensor_in(ins, 0)?, tensor_in(ins, 1)?);
        let sizes = Sizes::new(boxes.shape(), scores.shape())?;
        let given = |input: usize| ins.get(input).copied().flatten().is_some();
        let number = |input: usize| -> Result<Option<f32>, OpError> {
            if !given(input) {
                return Ok(None);
            }
            Ok(tensor_in(ins, input)?.as_slice::<f32>()?.first().copied())
        };
        let most = match given(2) {
            true => tensor_in(ins, 2)?
                .view()
                .to_i64s()?
                .first()
                .copied()
                .unwrap_or(0),
            false => 0,
        };
        let most = usize::try_from(most).unwrap_or(0);
        let (overlap, least) = (number(3)?.unwrap_or(0.0), number(4)?);
        let bounds: Vec<Bounds> = boxes
            .as_slice::<f32>()?
            .chunks_exact(4)
            .map(|b| Bounds::new(self.form, [b[0], b[1], b[2], b[3]]))
            .collect();
        let scores = scores.as_slice::<f32>()?;
        let mut chosen = Vec::new();
        for batch in 0..sizes.batches {
            let bounds = &bounds[batch * sizes.boxes..(batch + 1) * sizes.boxes];
            for class in 0..sizes.classes {
                let start = (batch * sizes.classes + class) * sizes.boxes;
                let scores = &scores[start..start + sizes.boxes];
                for at in suppress(scores, bounds, most, overlap, least) {
                    chosen.extend([batch as i64, class as i64, at as i64]);
                }
            }
        }
        let shape = [chosen.len() / 3, 3];
        cx.check(&exactly(DType::I64, &shape))?;
        Ok(vec![Tensor::from_vec(shape, chosen)?.into()])
    }
}

/// Selects at most `most` boxes of one class, the best first; of equal scores the lowest index.
// Spec: N-33
fn suppress(
    scores: &[f32],
    bounds: &[Bounds],
    most: usize,
    overlap: f32,
    least: Option<f32>,
) -> Vec<usize> {
    // A score that is not a number is never selected.
    let enough = |score: f32| !score.is_nan() && least.is_none_or(|least| score > least);
    let mut order: Vec<usize> = (0..scores.len()).filter(|&at| enough(scores[at])).collect();
    order.sort_by(|&a, &b| {
        scores[b]
            .partial_cmp(&scores[a])
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut chosen: Vec<usize> = Vec::new();
    for at in order {
        if chosen.len() >= most {
            break;
        }
        if !chosen
            .iter()
            .any(|&better| bounds[at].overlaps(bounds[better], overlap))
        {
            chosen.push(at);
        }
    }
    chosen
}

fn non_max_suppression(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=5, 1)?;
    let form = if cx.flag("center_point_box", false)? {
        BoxForm::Centre
    } else {
        BoxForm::Corners
    };
    Ok(Box::new(NonMaxSuppression { form }))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("NonMaxSuppression", 10, non_max_suppression)];
