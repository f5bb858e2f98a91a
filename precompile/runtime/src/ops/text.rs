//! StringConcat, StringSplit, StringNormalizer: operators on text.
//!
//! Case changes follow Unicode without a locale (Spec: N-34), so that every machine agrees.

use super::moves::product;
use super::select::{exactly, tensor_in};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, Values, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::limits::Limits;
use crate::tensor::{Out, Tensor, Value};

/// Refuses more text in one output than the limit.
fn check_bytes(limits: &Limits, bytes: usize) -> Result<(), OpError> {
    let (limit, got) = (limits.text_bytes, bytes as u64);
    if got > limit {
        return Err(OpError::Limit {
            kind: LimitKind::TextBytes,
            limit,
            got,
        });
    }
    Ok(())
}

fn check_text_type(dtype: DType) -> Result<(), OpError> {
    match dtype {
        DType::Str => Ok(()),
        got => Err(OpError::Type {
            what: "strings",
            got,
        }),
    }
}

/// Joins two strings, broadcast against each other.
struct StringConcat;

/// Finds the element of a broadcast input that belongs to an output position.
fn source(at: usize, out: &[usize], shape: &[usize]) -> usize {
    let (mut rest, mut step, mut found) = (at, 1, 0);
    let mut dims = shape.iter().rev();
    for &size in out.iter().rev() {
        let Some(&dim) = dims.next() else { break };
        if dim != 1 {
            found += rest % size * step;
        }
        step *= dim;
        rest /= size;
    }
    found
}

impl Op for StringConcat {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        check_text_type(a.dtype)?;
        check_text_type(b.dtype)?;
        Ok(vec![Fact::tensor(
            DType::Str,
            broadcast(&a.shape, &b.shape)?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        // Every text is a buffer of its own.
        Ok(Cost {
            elements: cx.output(0)?.count().saturating_mul(16),
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let (left, right) = (a.as_slice::<String>()?, b.as_slice::<String>()?);
        let shape = outs[0].shape;
        let out = outs[0].as_mut::<String>()?;
        let mut bytes = 0usize;
        for (at, out) in out.iter_mut().enumerate() {
            let (a, b) = (
                &left[source(at, shape, a.shape)],
                &right[source(at, shape, b.shape)],
            );
            // A chain of these doubles its text every time: count before copying.
            bytes = bytes.saturating_add(a.len()).saturating_add(b.len());
            check_bytes(cx.limits(), bytes)?;
            *out = [a.as_str(), b.as_str()].concat();
        }
        Ok(())
    }
}

/// Cuts every string into pieces; the longest list decides the new last dimension.
struct StringSplit {
    delimiter: Option<String>,
    most: Option<usize>,
}

impl StringSplit {
    fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let most = self.most.unwrap_or(usize::MAX);
        match &self.delimiter {
            Some(delimiter) => text
                .splitn(most.saturating_add(1), delimiter.as_str())
                .collect(),
            None => split_white(text, most),
        }
    }
}

/// Splits at runs of white space, at most `most` times; the rest keeps its inner spaces.
fn split_white(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if pieces.len() == most {
            pieces.push(rest.trim_end());
            break;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after.trim_start();
    }
    pieces
}

impl Op for StringSplit {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        check_text_type(fact.dtype)?;
        Ok(vec![
            Fact::Unknown,
            Fact::tensor(DType::I64, fact.shape.clone()),
        ])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        // The text's length is not part of its shape; the run pays for it.
        Err(OpError::Unknown { input: 0 })
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let input = tensor_in(ins, 0)?;
        cx.spend(input.data().size_bytes() as u64)?;
        let mut lists: Vec<Vec<&str>> = Vec::with_capacity(input.data().len());
        let mut pieces = 0usize;
        for text in input.as_slice::<String>()? {
            lists.push(self.pieces(text));
            // A piece can be one byte long, but its handle never is.
            pieces = pieces.saturating_add(lists.last().map_or(0, Vec::len));
            check_bytes(cx.limits(), pieces.saturating_mul(DType::Str.size_bytes()))?;
        }
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        let mut shape = input.shape().to_vec();
        shape.push(longest);
        let fact = exactly(DType::Str, &shape);
        cx.spend(fact.size_bytes() / 4)?;
        let mut out = cx.allocate(&fact)?;
        let texts = out.out().data;
        if let crate::tensor::Data::Str(texts) = texts {
            for (row, list) in texts.chunks_exact_mut(longest.max(1)).zip(&lists) {
                for (text, piece) in row.iter_mut().zip(list) {
                    *text = (*piece).to_owned();
                }
            }
        }
        let counts = lists.iter().map(|list| list.len() as i64).collect();
        Ok(vec![
            out.into(),
            Tensor::from_vec(input.shape(), counts)?.into(),
        ])
    }
}

/// Says what happens to the case of letters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
    Keep,
}

impl Case {
    // Spec: N-34
    fn apply(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Keep => text.to_owned(),
        }
    }
}

/// Removes stop words and changes the case of a list `[n]` or `[1, n]` of strings.
struct StringNormalizer {
    case: Case,
    sensitive: bool,
    stops: Vec<String>,
}

impl StringNormalizer {
    fn is_stop(&self, text: &str) -> bool {
        if self.sensitive {
            return self.stops.iter().any(|stop| stop == text);
        }
        let text = text.to_lowercase();
        self.stops.iter().any(|stop| stop.to_lowercase() == text)
    }
}

impl Op for StringNormalizer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        check_text_type(fact.dtype)?;
        let shape = match fact.shape.as_slice() {
            [n] => vec![(*n).max(1)],
            [1, n] => vec![1, (*n).max(1)],
            other => {
                return Err(OpError::Shape {
                    why: "needs a list of strings, [n] or [1, n]",
                    shapes: vec![other.to_vec()],
                });
            }
        };
        Ok(vec![Fact::at_most(DType::Str, shape)])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        Err(OpError::Unknown { input: 0 })
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let input = tensor_in(ins, 0)?;
        let bytes = input.data().size_bytes() as u64;
        let words = (self.stops.len() as u64).saturating_add(1);
        cx.spend(bytes.saturating_mul(words))?;
        let kept = input
            .as_slice::<String>()?
            .iter()
            .filter(|text| !self.is_stop(text));
        let mut list: Vec<String> = kept.map(|text| self.case.apply(text)).collect();
        // Changing the case can lengthen a letter, never by more than its threefold.
        check_bytes(cx.limits(), list.iter().map(String::len).sum())?;
        if list.is_empty() {
            list.push(String::new());
        }
        let mut shape = input.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = list.len();
        }
        debug_assert_eq!(product(&shape), list.len());
        Ok(vec![Tensor::from_vec(shape, list)?.into()])
    }
}

fn string_concat(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(StringConcat))
}

fn string_split(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 2)?;
    let delimiter = cx
        .string("delimiter")?
        .filter(|delimiter| !delimiter.is_empty());
    // A negative count means that there is no bound.
    let most = cx
        .int("maxsplit")?
        .and_then(|most| usize::try_from(most).ok());
    Ok(Box::new(StringSplit { delimiter, most }))
}

fn string_normalizer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let case = match cx.string_or("case_change_action", "NONE")?.as_str() {
        "LOWER" => Case::Lower,
        "UPPER" => Case::Upper,
        "NONE" => Case::Keep,
        _ => {
            let why = "must be LOWER, UPPER or NONE";
            return Err(OpError::Attribute {
                name: "case_change_action",
                why,
            });
        }
    };
    // Locales differ between machines, and Unicode's own rules do not need one.
    cx.ignore("locale");
    let sensitive = cx.flag("is_case_sensitive", false)?;
    let stops = cx.strings("stopwords")?.unwrap_or_default();
    Ok(Box::new(StringNormalizer {
        case,
        sensitive,
        stops,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("StringConcat", 20, string_concat),
    Entry::onnx("StringSplit", 20, string_split),
    Entry::onnx("StringNormalizer", 10, string_normalizer),
];
