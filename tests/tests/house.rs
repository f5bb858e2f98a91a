//! The house: which crate may know which. Read from `cargo metadata`, so no crate can forget it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate with the crates of the house it may use. An arrow that is not here is a mistake of
/// design: think before adding one (docs/architecture.md).
const ARROWS: &[(&str, &[&str])] = &[
    ("assay-numerics", &[]),
    ("assay-runtime", &["assay-numerics"]),
    ("assay-precompile", &["assay-runtime"]),
    ("assay-types", &[]),
    ("assay-executor", &["assay-types", "assay-precompile"]),
    ("assay-state", &["assay-types"]),
    ("assay-pool", &["assay-types"]),
    ("assay-network", &[]),
    (
        "assay-library",
        &[
            "assay-types",
            "assay-state",
            "assay-pool",
            "assay-chain",
            "assay-network",
            "assay-precompile",
        ],
    ),
    (
        "assay-chain",
        &[
            "assay-types",
            "assay-executor",
            "assay-state",
            "assay-pool",
            "assay-precompile",
            "assay-runtime",
        ],
    ),
    (
        "assay-dev",
        &[
            "assay-types",
            "assay-executor",
            "assay-state",
            "assay-pool",
            "assay-chain",
            "assay-precompile",
            "assay-runtime",
        ],
    ),
    (
        "assay-consensus",
        &[
            "assay-types",
            "assay-executor",
            "assay-state",
            "assay-chain",
        ],
    ),
    (
        "assay-rpc",
        &[
            "assay-types",
            "assay-executor",
            "assay-state",
            "assay-pool",
            "assay-chain",
            "assay-dev",
            "assay-precompile",
            "assay-runtime",
        ],
    ),
];

/// Outside crates that only these crates may know.
const ONLY: &[(&str, &[&str])] = &[
    ("candle-core", &["assay-runtime"]),
    ("redb", &["assay-state"]),
    ("libp2p", &["assay-network"]),
    ("arc-malachitebft-app-channel", &["assay-consensus"]),
    (
        "tokio",
        &[
            "assay",
            "assay-rpc",
            "assay-network",
            "assay-library",
            "assay-consensus",
            "assay-tests",
        ],
    ),
];

/// Crates that nothing may import.
const TOPS: &[&str] = &["assay", "assay-tests", "assay-conformance", "assay-benches"];

fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter();
            // Tests may use what they like; the house is what ships.
            let names = dependencies
                .filter(|d| d["kind"].is_null())
                .map(|d| text(&d["name"]));
            (text(&package["name"]), names.collect())
        })
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let arrows = arrows();
    let members: BTreeSet<&String> = arrows.keys().collect();
    let mut wrong = Vec::new();
    for (name, uses) in &arrows {
        let allowed = ARROWS
            .iter()
            .find(|(from, _)| from == name)
            .map(|(_, to)| *to);
        for used in uses.iter().filter(|used| members.contains(used)) {
            let top = TOPS.contains(&used.as_str());
            let fine = match allowed {
                Some(list) => list.contains(&used.as_str()),
                None => TOPS.contains(&name.as_str()),
            };
            if top || !fine {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the house does not have: {}",
        wrong.join(", ")
    );
}

#[test]
fn every_crate_has_its_place() {
    for name in arrows().keys() {
        let placed = TOPS.contains(&name.as_str()) || ARROWS.iter().any(|(from, _)| from == name);
        assert!(
            placed,
            "{name} is not in the house: add it to ARROWS or TOPS"
        );
    }
}

#[test]
fn heavy_guests_stay_in_their_room() {
    for (name, uses) in arrows() {
        for (guest, rooms) in ONLY {
            let fine = !uses.contains(*guest) || rooms.contains(&name.as_str());
            assert!(fine, "{name} uses {guest}, which only {rooms:?} may know");
        }
    }
}

#[test]
fn numerics_depends_on_nothing() {
    assert_eq!(arrows()["assay-numerics"], BTreeSet::new());
}
