//! SVMRegressor and SVMClassifier.

use std::ops::Range;

use assay_numerics::ml::post::{PostTransform, transform};
use assay_numerics::ml::svm::{
    Kernel, SupportVectors, couple, decision, kernels, pair_probability,
};

use super::labels::{Labels, best};
use super::post::{post_transform, transcendentals};
use super::rows::{as_f32, check_features, check_len};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, TensorFact};
use crate::tensor::Out;

/// Is the largest exponent of a polynomial kernel.
const MAX_DEGREE: f32 = 64.0;

/// Is the largest number of classes: pairs of them are counted.
const MAX_CLASSES: usize = 1024;

/// Holds support vectors and the kernel they are compared with.
struct Machine {
    kernel: Kernel,
    vectors: SupportVectors,
}

impl Machine {
    fn read(cx: &NodeCx<'_>, count: usize) -> Result<Self, OpError> {
        let vectors = cx.floats("support_vectors")?.unwrap_or_default();
        let features = vectors.len() / count.max(1);
        if features == 0 {
            return Err(OpError::Attribute {
                name: "support_vectors",
                why: "holds less than one number per support vector",
            });
        }
        check_len("support_vectors", vectors.len(), features * count)?;
        Ok(Machine {
            kernel: kernel(cx)?,
            vectors: SupportVectors::new(&vectors, count),
        })
    }

    fn cost(&self, x: &TensorFact, decisions: u64) -> Result<Cost, OpError> {
        let rows = check_features(x, self.vectors.features())? as u64;
        let vectors = self.vectors.count() as u64;
        let features = self.vectors.features() as u64;
        let macs = vectors.saturating_mul(features.saturating_add(decisions));
        let degree = match self.kernel {
            Kernel::Poly { degree, .. } => u64::from(degree),
            _ => 0,
        };
        Ok(Cost {
            macs_f64: rows.saturating_mul(macs.saturating_add(vectors.saturating_mul(degree))),
            transcendentals: match self.kernel {
                Kernel::Rbf { .. } | Kernel::Sigmoid { .. } => rows.saturating_mul(vectors),
                _ => 0,
            },
            bytes_read: vectors.saturating_mul(features).saturating_mul(4),
            elements: x.count(),
            ..Cost::default()
        })
    }
}

fn kernel(cx: &NodeCx<'_>) -> Result<Kernel, OpError> {
    let parameters = cx.floats("kernel_params")?.unwrap_or_default();
    let (gamma, coef0, degree) = match parameters[..] {
        [] => (0.0, 0.0, 0.0),
        [gamma, coef0, degree] => (gamma, coef0, degree),
        _ => {
            return Err(OpError::Length {
                name: "kernel_params",
                want: 3,
                got: parameters.len(),
            });
        }
    };
    match cx.string_or("kernel_type", "LINEAR")?.as_str() {
        "LINEAR" => Ok(Kernel::Linear),
        "RBF" => Ok(Kernel::Rbf { gamma }),
        "SIGMOID" => Ok(Kernel::Sigmoid { gamma, coef0 }),
        "POLY" if degree.fract() == 0.0 && (0.0..=MAX_DEGREE).contains(&degree) => {
            Ok(Kernel::Poly {
                gamma,
                coef0,
                degree: degree as u32,
            })
        }
        "POLY" => Err(OpError::Unsupported {
            what: format!("degree {degree} of a polynomial kernel (whole numbers to {MAX_DEGREE})"),
        }),
        _ => Err(OpError::Attribute {
            name: "kernel_type",
            why: "must be LINEAR, POLY, RBF or SIGMOID",
        }),
    }
}

struct Regressor {
    machine: Machine,
    coefficients: Vec<f32>,
    rho: f32,
    one_class: bool,
}

impl Op for Regressor {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = check_features(cx.tensor(0)?, self.machine.vectors.features())?;
        Ok(vec![Fact::tensor(DType::F32, [rows, 1])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let mut cost = self.machine.cost(cx.input(0)?, 1)?;
        cost += cx.traffic();
        Ok(cost)
    }

    // Spec: N-16
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = as_f32(ins.get(0)?)?;
        let vectors = &self.machine.vectors;
        let mut values = vec![0.0; vectors.count()];
        let rows = x.chunks_exact(vectors.features());
        for (x, out) in rows.zip(outs[0].as_mut::<f32>()?) {
            kernels(cx.engine(), self.machine.kernel, vectors, x, &mut values);
            let score = decision(&[(&self.coefficients, &values)], self.rho);
            *out = match (self.one_class, score > 0.0) {
                (false, _) => score,
                (true, true) => 1.0,
                (true, false) => -1.0,
            };
        }
        Ok(())
    }
}

/// Compares every pair of classes: a class's vectors, and its coefficients against the others.
struct Pairwise {
    machine: Machine,
    /// Holds `classes - 1` rows of one coefficient per support vector.
    coefficients: Vec<f32>,
    /// Names the vectors of each class.
    of_class: Vec<Range<usize>>,
    rho: Vec<f32>,
    /// Holds the two coefficients of each pair's probability, when there are probabilities.
    probability: Option<Vec<(f32, f32)>>,
    labels: Labels,
    post: PostTransform,
}

impl Pairwise {
    fn classes(&self) -> usize {
        self.of_class.len()
    }

    /// Returns the number of scores of a row.
    fn columns(&self) -> usize {
        match (self.classes(), &self.probability) {
            (2, _) => 2,
            (classes, Some(_)) => classes,
            (classes, None) => classes * (classes - 1) / 2,
        }
    }

    /// Computes the decision of every pair from the kernels of a row, and counts its votes.
    fn decide(&self, values: &[f32], decisions: &mut [f32], votes: &mut [f32]) {
        votes.fill(0.0);
        let mut decisions = decisions.iter_mut().zip(&self.rho);
        let count = self.machine.vectors.count();
        for i in 0..self.classes() {
            for j in i + 1..self.classes() {
                let part = |row: usize, class: &Range<usize>| {
                    let first = row * count;
                    let weights = &self.coefficients[first + class.start..first + class.end];
                    (weights, &values[class.clone()])
                };
                let parts = [part(j - 1, &self.of_class[i]), part(i, &self.of_class[j])];
                if let Some((score, rho)) = decisions.next() {
                    *score = decision(&parts, *rho);
                    votes[if *score > 0.0 { i } else { j }] += 1.0;
                }
            }
        }
    }

    fn write_scores(&self, decisions: &[f32], pairs: &mut [f32], out: &mut [f32]) {
        let classes = self.classes();
        if let Some(probability) = &self.probability {
            let mut known = decisions.iter().zip(probability);
            for i in 0..classes {
                for j in i + 1..classes {
                    if let Some((score, (a, b))) = known.next() {
                        let p = pair_probability(*score, *a, *b);
                        pairs[i * classes + j] = p;
                        pairs[j * classes + i] = 1.0 - p;
                    }
                }
            }
            couple(pairs, out);
        } else if let ([out0, out1], [score]) = (&mut *out, decisions) {
            // Spec: N-17. One score for two classes stands for the second one.
            let margin = matches!(self.post, PostTransform::None | PostTransform::Logistic);
            *out0 = if margin { -score } else { 1.0 - score };
            *out1 = *score;
        } else {
            out.copy_from_slice(decisions);
        }
    }

    fn post(&self) -> PostTransform {
        let made_up = self.probability.is_none() && self.classes() == 2;
        if made_up && self.post != PostTransform::Logistic {
            PostTransform::None
        } else {
            self.post
        }
    }
}

impl Op for Pairwise {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rows = check_features(cx.tensor(0)?, self.machine.vectors.features())?;
        Ok(vec![
            Fact::tensor(self.labels.dtype(), [rows]),
            Fact::tensor(DType::F32, [rows, self.columns()]),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let classes = self.classes() as u64;
        let mut cost = self.machine.cost(x, classes)?;
        cost += cx.traffic();
        let rows = cx.output(0)?.count();
        let pairs = classes.saturating_mul(classes);
        cost.transcendentals = cost
            .transcendentals
            .saturating_add(transcendentals(self.post, cx.output(1)?.count()));
        if self.probability.is_some() {
            cost.transcendentals = cost
                .transcendentals
                .saturating_add(rows.saturating_mul(pairs));
            // Coupling: at most 100 rounds of two passes over all pairs.
            let rounds = rows.saturating_mul(pairs).saturating_mul(200);
            cost.macs_f64 = cost.macs_f64.saturating_add(rounds.saturating_mul(4));
        }
        Ok(cost)
    }

    // Spec: N-16
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let [labels, scores] = outs else {
            return Err(OpError::MissingInput { input: 1 });
        };
        let x = as_f32(ins.get(0)?)?;
        let vectors = &self.machine.vectors;
        let classes = self.classes();
        let mut values = vec![0.0; vectors.count()];
        let mut decisions = vec![0.0; self.rho.len()];
        let mut votes = vec![0.0; classes];
        let mut pairs = vec![0.0; classes * classes];
        let mut chosen = Vec::with_capacity(x.len() / vectors.features());
        let scores = scores.as_mut::<f32>()?;
        let rows = x.chunks_exact(vectors.features());
        for (x, out) in rows.zip(scores.chunks_exact_mut(self.columns())) {
            kernels(cx.engine(), self.machine.kernel, vectors, x, &mut values);
            self.decide(&values, &mut decisions, &mut votes);
            chosen.push(best(&votes));
            self.write_scores(&decisions, &mut pairs, out);
        }
        transform(cx.engine(), self.post(), self.columns(), scores);
        self.labels.write(labels, chosen.into_iter())
    }
}

/// Builds SVMRegressor.
pub(super) fn regressor(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    if post_transform(cx)? != PostTransform::None {
        return Err(OpError::Unsupported {
            what: "post_transform of SVMRegressor".into(),
        });
    }
    let coefficients = cx.floats("coefficients")?.unwrap_or_default();
    let supports = cx.int_or("n_supports", 0)?;
    let rho = cx.floats("rho")?.unwrap_or_default();
    let [rho] = rho[..] else {
        return Err(OpError::Length {
            name: "rho",
            want: 1,
            got: rho.len(),
        });
    };
    let count = usize::try_from(supports).map_err(|_| OpError::Value {
        what: "n_supports is negative",
        got: supports,
    })?;
    let one_class = cx.flag("one_class", false)?;
    if count == 0 {
        // Without support vectors the coefficients are those of a linear model: one vector.
        cx.ignore("support_vectors");
        cx.ignore("kernel_type");
        cx.ignore("kernel_params");
        if coefficients.is_empty() {
            return Err(OpError::Attribute {
                name: "coefficients",
                why: "is missing",
            });
        }
        return Ok(Box::new(Regressor {
            machine: Machine {
                kernel: Kernel::Linear,
                vectors: SupportVectors::new(&coefficients, 1),
            },
            coefficients: vec![1.0],
            rho,
            one_class,
        }));
    }
    check_len("coefficients", coefficients.len(), count)?;
    Ok(Box::new(Regressor {
        machine: Machine::read(cx, count)?,
        coefficients,
        rho,
        one_class,
    }))
}

/// Builds SVMClassifier.
pub(super) fn classifier(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 2)?;
    let labels = Labels::read(cx, "classlabels_ints", "classlabels_strings")?;
    let classes = labels.len();
    if !(2..=MAX_CLASSES).contains(&classes) {
        return Err(OpError::Value {
            what: "a classifier needs 2 to 1024 classes",
            got: classes as i64,
        });
    }
    let counts = cx.ints("vectors_per_class")?.unwrap_or_default();
    if counts.is_empty() {
        return Err(OpError::Unsupported {
            what: "SVMClassifier without vectors_per_class (a linear model)".into(),
        });
    }
    check_len("vectors_per_class", counts.len(), classes)?;
    let mut of_class = Vec::with_capacity(classes);
    let mut next = 0usize;
    for count in counts {
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| next.checked_add(count))
            .ok_or(OpError::Value {
                what: "vectors_per_class holds a number out of range",
                got: count,
            })?;
        of_class.push(next..end);
        next = end;
    }
    let machine = Machine::read(cx, next)?;
    let coefficients = cx.floats("coefficients")?.unwrap_or_default();
    check_len("coefficients", coefficients.len(), (classes - 1) * next)?;
    let pairs = classes * (classes - 1) / 2;
    let rho = cx.floats("rho")?.unwrap_or_default();
    check_len("rho", rho.len(), pairs)?;
    let a = cx.floats("prob_a")?.unwrap_or_default();
    let b = cx.floats("prob_b")?.unwrap_or_default();
    check_len("prob_b", b.len(), a.len())?;
    let probability = if a.is_empty() {
        None
    } else {
        check_len("prob_a", a.len(), pairs)?;
        Some(a.into_iter().zip(b).collect())
    };
    Ok(Box::new(Pairwise {
        machine,
        coefficients,
        of_class,
        rho,
        probability,
        labels,
        post: post_transform(cx)?,
    }))
}
