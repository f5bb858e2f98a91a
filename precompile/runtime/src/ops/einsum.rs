//! Einsum: sums of products over labelled dimensions.

use assay_numerics::einsum::{Operand, einsum};

use super::dense::{macs, refuse};
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Bounds the labels of one equation: 52 letters and the dimensions of an ellipsis.
const MAX_LABELS: usize = 68;

/// Is one label: a letter, or a dimension of the ellipsis counted from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Dots(usize),
    Letter(char),
}

/// Is one side of an operand's term.
#[derive(Clone, Debug)]
struct Term {
    before: Vec<char>,
    after: Vec<char>,
    dots: bool,
}

/// Sums products.
struct Einsum {
    terms: Vec<Term>,
    output: Option<Term>,
}

/// Is an equation fitted to its operands.
struct Fitted {
    /// Lists the labels of the output, then those summed over.
    labels: Vec<Label>,
    sizes: Vec<usize>,
    outputs: usize,
    /// Gives, per operand, every label's stride.
    strides: Vec<Vec<usize>>,
}

impl Term {
    fn parse(text: &str) -> Result<Term, OpError> {
        let wrong = |what| OpError::Text {
            what,
            got: text.to_owned(),
        };
        let (before, after, dots) = match text.split_once("...") {
            Some((before, after)) => (before, after, true),
            None => (text, "", false),
        };
        let letters = |part: &str| {
            part.chars()
                .map(|c| match c.is_ascii_alphabetic() {
                    true => Ok(c),
                    false => Err(wrong(
                        "an equation has letters, one ellipsis a term and commas",
                    )),
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Term {
            before: letters(before)?,
            after: letters(after)?,
            dots,
        })
    }

    /// Lists the labels for a rank.
    fn labels(&self, rank: usize) -> Option<Vec<Label>> {
        let dots = rank.checked_sub(self.before.len() + self.after.len())?;
        if dots > 0 && !self.dots {
            return None;
        }
        let letters = |list: &[char]| list.iter().map(|c| Label::Letter(*c)).collect::<Vec<_>>();
        let mut labels = letters(&self.before);
        labels.extend((0..dots).map(|i| Label::Dots(dots - 1 - i)));
        labels.extend(letters(&self.after));
        Some(labels)
    }
}

impl Einsum {
    fn parse(equation: &str) -> Result<Einsum, OpError> {
        let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let terms = left.split(',').map(Term::parse).collect::<Result<_, _>>()?;
        Ok(Einsum {
            terms,
            output: right.map(Term::parse).transpose()?,
        })
    }

    fn fit(&self, shapes: &[&[usize]]) -> Result<Fitted, OpError> {
        let wrong = |why| refuse(why, shapes);
        if shapes.len() != self.terms.len() {
            return Err(wrong("the equation has another number of operands"));
        }
        let mut sizes: Vec<(Label, usize)> = Vec::new();
        let mut operands = Vec::new();
        for (term, shape) in self.terms.iter().zip(shapes) {
            let labels = term
                .labels(shape.len())
                .ok_or_else(|| wrong("a term does not fit its operand's rank"))?;
            for (label, &dim) in labels.iter().zip(*shape) {
                match sizes.iter_mut().find(|(known, _)| known == label) {
                    None => sizes.push((*label, dim)),
                    Some((_, size)) if *size == dim || dim == 1 => {}
                    Some((_, size)) if *size == 1 => *size = dim,
                    Some(_) => return Err(wrong("one label has two sizes")),
                }
            }
            operands.push(labels);
        }
        if sizes.len() > MAX_LABELS {
            return Err(wrong("too many labels"));
        }
        let mut labels = self.output_labels(&sizes, &operands)?;
        let known = |label: &Label| sizes.iter().any(|(known, _)| known == label);
        let repeated = labels
            .iter()
            .enumerate()
            .any(|(i, label)| labels[..i].contains(label));
        if repeated || !labels.iter().all(known) {
            return Err(wrong("the output repeats a label or names an unknown one"));
        }
        let outputs = labels.len();
        // Summed labels follow in the order in which the equation first names them.
        labels.extend(
            sizes
                .iter()
                .map(|(label, _)| *label)
                .filter(|l| !labels.contains(l))
                .collect::<Vec<_>>(),
        );
        let size_of = |label: &Label| {
            sizes
                .iter()
                .find(|(known, _)| known == label)
                .map_or(1, |(_, size)| *size)
        };
        let strides = operands
            .iter()
            .zip(shapes)
            .map(|(own, shape)| {
                let mut strides = vec![0; labels.len()];
                let mut stride = 1;
                for (label, &dim) in own.iter().zip(*shape).rev() {
                    if let Some(at) = labels.iter().position(|known| known == label)
                        && dim != 1
                    {
                        // A repeated label walks the diagonal.
                        strides[at] += stride;
                    }
                    stride *= dim;
                }
                strides
            })
            .collect();
        Ok(Fitted {
            sizes: labels.iter().map(size_of).collect(),
            labels,
            outputs,
            strides,
        })
    }

    /// Lists the output's labels: as written, or the ellipsis and the letters that occur once.
    fn output_labels(
        &self,
        sizes: &[(Label, usize)],
        operands: &[Vec<Label>],
    ) -> Result<Vec<Label>, OpError> {
        let mut dots: Vec<Label> = sizes
            .iter()
            .map(|(l, _)| *l)
            .filter(|l| matches!(l, Label::Dots(_)))
            .collect();
        dots.sort_by(|a, b| b.cmp(a));
        if let Some(output) = &self.output {
            let rank =
                output.before.len() + output.after.len() + if output.dots { dots.len() } else { 0 };
            return output.labels(rank).ok_or(OpError::Attribute {
                name: "equation",
                why: "has an output that does not fit",
            });
        }
        let mut letters: Vec<Label> = sizes
            .iter()
            .map(|(l, _)| *l)
            .filter(|l| matches!(l, Label::Letter(_)))
            .collect();
        letters.sort();
        let count = |label: &Label| operands.iter().flatten().filter(|l| *l == label).count();
        letters.retain(|label| count(label) == 1);
        dots.extend(letters);
        Ok(dots)
    }
}

impl Fitted {
    /// Counts the products of the operands.
    fn terms(&self) -> u64 {
        self.sizes
            .iter()
            .fold(1u64, |n, &size| n.saturating_mul(size as u64))
    }
}

impl Op for Einsum {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let first = cx.tensor(0)?;
        want_float(first.dtype)?;
        let mut shapes = Vec::new();
        for input in 0..cx.inputs() {
            let fact = cx.tensor(input)?;
            want_same(first.dtype, fact.dtype)?;
            shapes.push(fact.shape.as_slice());
        }
        let fitted = self.fit(&shapes)?;
        Ok(vec![Fact::tensor(
            first.dtype,
            &fitted.sizes[..fitted.outputs],
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let facts = (0..cx.inputs())
            .map(|i| cx.input(i))
            .collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<&[usize]> = facts.iter().map(|fact| fact.shape.as_slice()).collect();
        let terms = self.fit(&shapes)?.terms();
        // Every product walks its strides one by one: many times a packed multiply-add.
        let count = terms.saturating_mul(facts.len() as u64);
        let elements = count.saturating_mul(8);
        Ok(macs(
            cx.input(0)?.dtype,
            count,
            Cost {
                elements,
                ..cx.traffic()
            },
        ))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let views = (0..ins.len())
            .map(|i| ins.get(i))
            .collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<&[usize]> = views.iter().map(|view| view.shape).collect();
        let fitted = self.fit(&shapes)?;
        debug_assert_eq!(fitted.labels.len(), fitted.sizes.len());
        with_float!(ins.get(0)?.dtype(), T => {
            let data = views.iter().map(|view| T::read(*view)).collect::<Result<Vec<_>, _>>()?;
            let operands: Vec<Operand<'_, T>> = data
                .iter()
                .zip(&fitted.strides)
                .map(|(data, strides)| Operand { data, strides })
                .collect();
            T::write(&mut outs[0], |out| {
                einsum(cx.engine(), &operands, &fitted.sizes, fitted.outputs, out);
                Ok(())
            })
        })
    }
}

fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=64, 1)?;
    let why = "is required";
    let equation = cx.string("equation")?.ok_or(OpError::Attribute {
        name: "equation",
        why,
    })?;
    Ok(Box::new(Einsum::parse(&equation)?))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Einsum", 12, build)];
