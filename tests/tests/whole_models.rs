//! Whole models answer as onnxruntime does: networks, tree ensembles, an LSTM, an encoder.

use assay_runtime::numerics::Engine;
use assay_runtime::{Limits, Model, Value};
use assay_tests::cases::{CaseSet, MODELS};
use assay_tests::compare::floats;
use assay_tests::coverage::kind;
use eyre::{Context as _, ensure, eyre};

/// The models compared, and the largest relative difference allowed to each: the tree ensembles add
/// the same leaves in another order, the networks round long sums in another order. onnxruntime's
/// own answers differ by as much between machines.
const TOLERANCES: &[(&str, f64)] = &[
    ("mlp", 1e-5),
    ("xgb-500", 1e-5),
    ("lgbm-500", 1e-5),
    ("lstm", 1e-5),
    ("minilm", 2e-5),
    ("resnet18", 2e-5),
];

/// Returns the largest difference, relative to the largest magnitude of the answer: single elements
/// near zero have no relative precision in either runtime.
fn difference(got: &Value, want: &Value) -> eyre::Result<f64> {
    let read = |value: &Value| {
        let tensor = value.as_tensor().ok_or_else(|| eyre!("not a tensor"))?;
        let numbers = floats(tensor.data()).ok_or_else(|| eyre!("not floats"))?;
        Ok::<_, eyre::Report>((tensor.shape().to_vec(), numbers))
    };
    let ((got_shape, got), (want_shape, want)) = (read(got)?, read(want)?);
    ensure!(
        got_shape == want_shape,
        "{got_shape:?} beside {want_shape:?}"
    );
    let largest = |numbers: &mut dyn Iterator<Item = f64>| {
        numbers.fold(0.0, |a: f64, b| if b > a { b } else { a })
    };
    let scale = largest(&mut want.iter().map(|x| x.abs()));
    let apart = largest(&mut got.iter().zip(&want).map(|(a, b)| (a - b).abs()));
    ensure!(
        got.iter().all(|x| x.is_finite()) && scale > 0.0,
        "the answer is not finite"
    );
    Ok(apart / scale)
}

#[test]
fn whole_models_agree_with_onnxruntime() -> eyre::Result<()> {
    let set = CaseSet::open(MODELS)?;
    for &(name, tolerance) in TOLERANCES {
        let case = set.cases.iter().find(|case| case.name == name);
        let case = case.ok_or_else(|| eyre!("no model {name}"))?;
        let model = Model::from_onnx(set.model(case)?, &Limits::default())
            .wrap_err_with(|| name.to_owned())?;
        let kinds: Vec<_> = model.inputs().iter().map(|port| kind(&port.kind)).collect();
        let inputs = set.inputs(case, &kinds)?;
        let got = model.run(&Engine::single(), &inputs)?;
        let want = set.outputs(
            case,
            &got.iter()
                .map(assay_tests::cases::Kind::of)
                .collect::<Vec<_>>(),
        )?;
        ensure!(got.len() == want.len(), "{name}: {} outputs", got.len());
        for (got, want) in got.iter().zip(&want) {
            let apart = difference(got, want).wrap_err_with(|| name.to_owned())?;
            println!("{name}: {apart:.2e}, allowed {tolerance:.0e}");
            assert!(
                apart <= tolerance,
                "{name}: {apart:e} exceeds {tolerance:e}"
            );
        }
    }
    Ok(())
}
