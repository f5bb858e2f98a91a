//! Running a chain of elementwise nodes piece by piece.

use assay_numerics::Engine;
use assay_numerics::elementwise::{Link, Operand, chain};

use crate::dtype::DType;
use crate::error::OpError;
use crate::graph::{Graph, Node};
use crate::ops::{Ins, Pass};
use crate::plan::{Arg, MAX_LINKS, Step};
use crate::tensor::{Data, View};

/// Runs a step's node and the elementwise ones that go on where it ends.
pub(super) fn run_chain<'a>(
    engine: &Engine,
    graph: &'a Graph,
    step: &Step,
    node: &'a Node,
    ins: &[Option<View<'a>>],
    other: impl Fn(&Option<Arg>) -> Option<&'a Data>,
    written: &mut [Data],
) -> Result<(), OpError> {
    let Some(Data::F32(out)) = written.first_mut() else {
        return Err(OpError::MissingInput { input: 0 });
    };
    let (a, b) = (
        Ins(ins).get(0)?.data,
        Ins(ins).optional(1).map(|view| view.data),
    );
    let mut links = [Link::Map(&copy); MAX_LINKS];
    // The value that runs through is the input that is as long as the output.
    let second = b.is_some_and(|_| a.len() != out.len());
    let (x, rest) = if second {
        (b.unwrap_or(a), Some(a))
    } else {
        (a, b)
    };
    links[0] = link_of(node, rest, second, out.len())?;
    for (link, next) in links[1..].iter_mut().zip(&step.chain) {
        let node = &graph.nodes[next.node as usize];
        *link = link_of(node, other(&next.other), next.second, out.len())?;
    }
    let links = &links[..(step.chain.len() + 1).min(MAX_LINKS)];
    chain(engine, floats(x)?, links, out);
    Ok(())
}

fn copy(_: &Engine, x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
}

fn floats(data: &Data) -> Result<&[f32], OpError> {
    match data {
        Data::F32(numbers) => Ok(numbers),
        other => Err(OpError::ElementType {
            expected: DType::F32,
            got: other.dtype(),
        }),
    }
}

/// Says what a node of a chain does to the value that runs through.
fn link_of<'a>(
    node: &'a Node,
    other: Option<&'a Data>,
    second: bool,
    len: usize,
) -> Result<Link<'a>, OpError> {
    let op = match node.op.pass() {
        Some(Pass::Map(map)) => return Ok(Link::Map(map)),
        Some(Pass::Combine(op)) => op,
        None => unreachable!("invariant: a chain has elementwise nodes only"),
    };
    let numbers = floats(other.ok_or(OpError::MissingInput { input: 1 })?)?;
    let operand = match numbers {
        [one] if len != 1 => Operand::One(*one),
        each => Operand::Each(each),
    };
    Ok(match second {
        false => Link::First(op, operand),
        true => Link::Second(op, operand),
    })
}
