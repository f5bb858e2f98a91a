//! The ONNX backend node tests: nothing wrong, nothing panics, and coverage never shrinks.

use assay_tests::cases::{CaseSet, ONNX_NODE_TESTS};
use assay_tests::coverage::{self, Outcome, Summary};

/// Cases that must pass; raise it when operators are added.
const PASSED_AT_LEAST: usize = 1_847;

#[test]
fn every_node_test_passes_or_is_refused() -> eyre::Result<()> {
    let set = CaseSet::open(ONNX_NODE_TESTS)?;
    let verdicts = coverage::run(&set, "")?;
    let unsound: Vec<String> = verdicts
        .iter()
        .filter_map(|verdict| match &verdict.outcome {
            Outcome::Wrong(why) | Outcome::Panicked(why) => {
                Some(format!("{}: {why}", verdict.case.name))
            }
            Outcome::Passed | Outcome::Rounded(_) | Outcome::Refused(_) => None,
        })
        .collect();
    assert!(
        unsound.is_empty(),
        "wrong or panicked:\n{}",
        unsound.join("\n")
    );
    let summary = Summary::of(&verdicts);
    assert!(
        summary.passed >= PASSED_AT_LEAST,
        "{summary}; at least {PASSED_AT_LEAST} must pass"
    );
    Ok(())
}
