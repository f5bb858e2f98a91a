//! The model parity list: exported estimators answer as onnxruntime does.

use assay_tests::cases::CaseSet;
use assay_tests::parity::{self, PARITY};

/// What must agree: models, ensembles of 100 or more trees, pipelines with encoders.
const MODELS: usize = 40;
const ENSEMBLES: usize = 15;
const PIPELINES: usize = 10;

#[test]
#[ignore = "trains 80 models in Python (two minutes): run with scripts/parity"]
fn exported_models_agree_with_onnxruntime() -> eyre::Result<()> {
    let set = CaseSet::open(PARITY)?;
    let rows = parity::run(&set, "")?;
    let differing: Vec<&str> = rows
        .iter()
        .filter(|row| row.result.is_ok() && !row.agrees())
        .map(|row| row.entry.case.name.as_str())
        .collect();
    assert!(
        differing.is_empty(),
        "differ from onnxruntime: {}",
        differing.join(", ")
    );
    let agreeing = || rows.iter().filter(|row| row.agrees());
    assert!(agreeing().count() >= MODELS);
    assert!(agreeing().filter(|row| row.entry.trees >= 100).count() >= ENSEMBLES);
    assert!(agreeing().filter(|row| row.entry.encoders).count() >= PIPELINES);
    Ok(())
}
