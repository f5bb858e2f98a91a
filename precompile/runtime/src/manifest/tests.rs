//! Rules of the manifest: one spelling, known members, members that agree.

use super::*;
use alloy_primitives::I256;
use proptest::prelude::*;

/// Builds a manifest that obeys every rule.
pub(crate) fn sample() -> Manifest {
    let feature = |name: &str, nullable| Feature {
        name: name.to_owned(),
        unit: Some("USD".to_owned()),
        decimals: 18,
        min: Some(I256::ZERO),
        max: Some(I256::MAX),
        nullable,
        categories: vec![],
    };
    let home = Feature {
        unit: None,
        decimals: 0,
        min: None,
        max: None,
        categories: vec![
            Category {
                code: 0,
                label: "own".to_owned(),
            },
            Category {
                code: 1,
                label: "rent".to_owned(),
            },
        ],
        ..feature("home", false)
    };
    let column = Column {
        name: "default".to_owned(),
        class: Some("1".to_owned()),
        unit: Some("probability".to_owned()),
        decimals: 18,
        index: 1,
        labels: vec![],
    };
    let batch = || Dim::Name("rows".to_owned());
    let port = |name: &str, dtype, shape| Port {
        name: name.to_owned(),
        dtype,
        shape,
    };
    Manifest {
        name: "acme/credit".to_owned(),
        version: "1.2.0".to_owned(),
        format: Format::Onnx,
        numerics: 1,
        licence: "MIT".to_owned(),
        publisher: Address::repeat_byte(0xab),
        calibrated: Some(false),
        batch: Some("rows".to_owned()),
        inputs: vec![
            port("amounts", 1, vec![batch(), Dim::Size(2)]),
            port("home", 8, vec![batch(), Dim::Size(1)]),
        ],
        outputs: vec![
            port("label", 7, vec![batch()]),
            port("probabilities", 1, vec![batch(), Dim::Size(2)]),
        ],
        primary: "probabilities".to_owned(),
        schema: FeatureSchema {
            features: vec![feature("income", false), feature("debt", true), home],
            columns: vec![column],
        },
        files: vec![FileEntry {
            name: "model.onnx".to_owned(),
            size_bytes: 9,
            blake3: [7; 32],
        }],
    }
}

fn error(change: impl FnOnce(&mut Manifest)) -> ManifestError {
    let mut manifest = sample();
    change(&mut manifest);
    Manifest::parse(&manifest.encode()).expect_err("must be refused")
}

fn contradiction(change: impl FnOnce(&mut Manifest)) -> Contradiction {
    match error(change) {
        ManifestError::Contradiction(found) => found,
        other => panic!("not a contradiction: {other}"),
    }
}

#[test]
fn parses_what_it_encoded() {
    assert_eq!(Manifest::parse(&sample().encode()), Ok(sample()));
}

#[test]
fn spelling_and_hashes_are_frozen() {
    let bytes = sample().encode();
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    assert!(text.starts_with(r#"{"batch":"rows","calibrated":false,"files":[{"blake3":"0707"#));
    // Both hashes were computed by an independent JSON writer and keccak256.
    assert_eq!(
        sample().model_id().to_string(),
        "0xd0f960f3133d6c897e17bfb17bbbb540725caedc5bf52cd9ccb4f13aeec3c673"
    );
    assert_eq!(
        sample().schema.hash().to_string(),
        "0xff00bd68bf4e11c6dde0bad3a803707b0987cfca8f700a2fac6e8a0b5899813d"
    );
}

#[test]
fn schema_hash_covers_the_schema_member_and_nothing_else() {
    let bytes = sample().encode();
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    let (_, after) = text.split_once("\"schema\":").expect("has a schema");
    let (schema, _) = after.split_once(",\"version\":").expect("version is last");
    assert_eq!(
        sample().schema.hash(),
        crate::identity::SchemaHash::of_schema(schema.as_bytes())
    );
    let mut renamed = sample();
    renamed.name = "acme/other".to_owned();
    assert_eq!(renamed.schema.hash(), sample().schema.hash());
    assert_ne!(renamed.model_id(), sample().model_id());
}

#[test]
fn permuted_features_are_another_schema() {
    let mut permuted = sample();
    permuted.schema.features.swap(0, 1);
    assert!(Manifest::parse(&permuted.encode()).is_ok());
    assert_ne!(permuted.schema.hash(), sample().schema.hash());
}

#[test]
fn refuses_unknown_and_missing_members() {
    let text = String::from_utf8(sample().encode()).expect("UTF-8");
    let parse = |text: &str| Manifest::parse(text.as_bytes()).expect_err("must be refused");
    let more = text.replacen(r#""dtype":1,"#, r#""dtype":1,"extra":0,"#, 1);
    assert_eq!(
        parse(&more),
        ManifestError::Unknown {
            path: "inputs[0].extra".to_owned()
        }
    );
    let last = text.replacen(r#""version":"1.2.0"}"#, r#""version":"1.2.0","z":0}"#, 1);
    assert_eq!(
        parse(&last),
        ManifestError::Unknown {
            path: "z".to_owned()
        }
    );
    let less = text.replacen(r#""licence":"MIT","#, "", 1);
    assert_eq!(
        parse(&less),
        ManifestError::Missing {
            path: "licence".to_owned()
        }
    );
}

#[test]
fn refuses_other_spellings() {
    let text = String::from_utf8(sample().encode()).expect("UTF-8");
    for (from, to) in [
        ("\"numerics\":1", "\"numerics\": 1"),
        ("\"numerics\":1", "\"numerics\":1.0"),
        ("\"min\":\"0\"", "\"min\":\"-0\""),
        ("\"min\":\"0\"", "\"min\":\"00\""),
        ("\"min\":\"0\"", "\"min\":\"+0\""),
        ("0xabab", "0xABab"),
        ("0xabab", "abab"),
    ] {
        assert!(
            Manifest::parse(text.replacen(from, to, 1).as_bytes()).is_err(),
            "{to}"
        );
    }
}

#[test]
fn refuses_oversized_manifests_before_parsing() {
    let bytes = vec![b'['; MANIFEST_BYTES_MAX + 1];
    let expected = ManifestError::TooLarge {
        found: MANIFEST_BYTES_MAX + 1,
        limit: MANIFEST_BYTES_MAX,
    };
    assert_eq!(Manifest::parse(&bytes), Err(expected));
}

#[test]
fn refuses_repeated_names() {
    for refused in [
        error(|m| m.files.push(m.files[0].clone())),
        error(|m| m.inputs[1].name = "amounts".to_owned()),
        error(|m| m.schema.features[1].name = "income".to_owned()),
        error(|m| m.schema.features[2].categories[1].code = 0),
        error(|m| m.schema.features[2].categories[1].label = "own".to_owned()),
        error(|m| m.schema.features[0].max = Some(I256::MINUS_ONE)),
    ] {
        assert!(matches!(refused, ManifestError::Order { .. }), "{refused}");
    }
}

#[test]
fn refuses_file_names_that_are_paths() {
    for name in ["../model.onnx", "a/b", ".hidden", "a b", "é"] {
        let file = FileEntry {
            name: name.to_owned(),
            size_bytes: 0,
            blake3: [0; 32],
        };
        let refused = error(|m| {
            m.files.push(file);
            m.files.sort_by(|a, b| a.name.cmp(&b.name));
        });
        assert!(
            matches!(refused, ManifestError::BadText { .. }),
            "{name}: {refused}"
        );
    }
}

#[test]
fn refuses_members_that_contradict_each_other() {
    use Contradiction as C;
    assert!(matches!(
        contradiction(|m| m.primary.push('x')),
        C::PrimaryUnknown { .. }
    ));
    assert!(matches!(
        contradiction(|m| m.batch = Some("n".into())),
        C::BatchNotFirst { .. }
    ));
    let model = contradiction(|m| m.files[0].name = "graph".into());
    assert_eq!(model, C::MainFileMissing { name: "model.onnx" });
    assert!(matches!(
        contradiction(|m| m.schema.columns.clear()),
        C::HalfSchema { .. }
    ));
    let open = contradiction(|m| m.inputs[0].shape[1] = Dim::Name("w".into()));
    assert!(matches!(open, C::OpenRow { .. }));
    let wrap = contradiction(|m| {
        m.inputs[0].shape = vec![
            Dim::Name("rows".into()),
            Dim::Size(1 << 40),
            Dim::Size(1 << 40),
        ]
    });
    assert!(matches!(wrap, C::OpenRow { .. }));
    let count = contradiction(|m| m.inputs[0].shape[1] = Dim::Size(5));
    assert_eq!(
        count,
        C::FeatureCount {
            features: 3,
            elements: 6
        }
    );
    let integer = contradiction(|m| m.inputs[0].dtype = 7);
    assert!(matches!(integer, C::NullableInteger { dtype: 7, .. }));
    let codes = contradiction(|m| m.schema.features[2].categories.clear());
    assert!(matches!(codes, C::StringWithoutCategories { .. }));
    let labels = contradiction(|m| m.schema.columns[0].labels.push("a".into()));
    assert!(matches!(labels, C::LabelsMisplaced { .. }));
}

proptest! {
    #[test]
    fn what_parses_encodes_to_the_same_bytes(at in 0usize..4000, byte in any::<u8>()) {
        let mut bytes = sample().encode();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }

    #[test]
    fn any_names_survive(name in "[^\\p{Cc}]{1,20}", unit in "[^\\p{Cc}]{1,20}") {
        let mut manifest = sample();
        manifest.name = name;
        manifest.schema.features[0].unit = Some(unit);
        prop_assert_eq!(Manifest::parse(&manifest.encode()), Ok(manifest));
    }
}
