//! Lists on the wire are the lists that decoding gives, whatever was damaged.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::onnx::decode::{DecodeLimits, check};
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};

const COUNT: usize = 3000;

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

fn ensemble() -> NodeProto {
    let count = COUNT as i64;
    let ints = (0..count).map(|i| (i - 20) << (i % 50)).collect();
    let strings = (0..COUNT).map(|i| format!("mode {i}").into());
    NodeProto {
        domain: Some("ai.onnx.ml".to_owned()),
        op_type: Some("TreeEnsembleRegressor".to_owned()),
        attribute: vec![
            AttributeProto {
                ints,
                ..attribute("ids", AttributeType::Ints)
            },
            AttributeProto {
                i: Some(7),
                ..attribute("targets", AttributeType::Int)
            },
            AttributeProto {
                floats: (0..COUNT).map(|i| i as f32 - 0.5).collect(),
                ..attribute("values", AttributeType::Floats)
            },
            AttributeProto {
                strings: strings.collect(),
                ..attribute("modes", AttributeType::Strings)
            },
        ],
        ..Default::default()
    }
}

fn model(node: Vec<NodeProto>) -> ModelProto {
    let graph = GraphProto {
        node,
        name: Some("graph".to_owned()),
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        producer_name: Some("somebody".to_owned()),
        ..Default::default()
    }
}

#[test]
fn long_lists_read_from_the_wire_are_what_decoding_gives() {
    let want = model(vec![NodeProto::default(), ensemble()]);
    let file = Bytes::from(want.encode_to_vec());
    check(&file, &DecodeLimits::default()).expect("sound");
    let (rest, lists) = take_lists(file, usize::MAX).expect("cut");
    assert_eq!(lists.keys().copied().collect::<Vec<_>>(), [1]);
    let cut = &lists[&1];
    assert_eq!(cut.keys().copied().collect::<Vec<_>>(), [0, 2, 3]);
    let attributes = &ensemble().attribute;
    assert_eq!(cut[&0].ints().collect::<Vec<_>>(), attributes[0].ints);
    assert_eq!(cut[&0].ints().size_hint(), (COUNT, Some(COUNT)));
    assert_eq!(cut[&2].floats().collect::<Vec<_>>(), attributes[2].floats);
    assert_eq!(cut[&3].strings().collect::<Vec<_>>(), attributes[3].strings);
    assert_eq!(cut[&3].longest_text(), "mode 2999".len());
    let mut short = want;
    for attribute in &mut short.graph.as_mut().expect("graph").node[1].attribute {
        attribute.ints.clear();
        attribute.floats.clear();
        attribute.strings.clear();
    }
    assert_eq!(ModelProto::decode(rest).expect("decodes"), short);
}

/// Wraps an attribute's bytes into a model of one ensemble.
fn with_attribute(attribute: &[u8]) -> Bytes {
    let mut wrapped = NodeProto {
        attribute: Vec::new(),
        ..ensemble()
    }
    .encode_to_vec();
    for (tag, outside) in [
        (NODE_ATTRIBUTE, None),
        (GRAPH_NODE, Some(Vec::new())),
        (MODEL_GRAPH, Some(Vec::new())),
    ] {
        let value = match &outside {
            None => attribute.to_vec(),
            Some(_) => wrapped.clone(),
        };
        let mut message = outside.unwrap_or(wrapped);
        prost::encoding::encode_key(
            tag,
            prost::encoding::WireType::LengthDelimited,
            &mut message,
        );
        prost::encoding::encode_varint(value.len() as u64, &mut message);
        message.extend_from_slice(&value);
        wrapped = message;
    }
    wrapped.into()
}

#[test]
fn packed_lists_and_mixed_ones_are_read_in_their_order() {
    let mut bytes = attribute("ids", AttributeType::Ints).encode_to_vec();
    prost::encoding::int64::encode(INTS, &-3, &mut bytes);
    prost::encoding::int64::encode_packed(INTS, &vec![1 << 60; LONG_BYTES], &mut bytes);
    prost::encoding::int64::encode(INTS, &5, &mut bytes);
    prost::encoding::float::encode_packed(FLOATS, &[1.5, -0.0], &mut bytes);
    let want = AttributeProto::decode(&bytes[..]).expect("decodes");
    let (_, lists) = take_lists(with_attribute(&bytes), usize::MAX).expect("cut");
    let list = &lists[&0][&0];
    assert_eq!(list.ints().collect::<Vec<_>>(), want.ints);
    assert_eq!(list.floats().collect::<Vec<_>>(), want.floats);
}

#[test]
fn lists_that_the_decoder_refuses_stay_for_it_to_refuse() {
    let good = vec![0; LONG_BYTES];
    let bad: [(u32, &[u8]); 3] = [
        (FLOATS, &good[..LONG_BYTES - 1]),
        (INTS, &[0xff; LONG_BYTES]),
        (INTS, &[&good[..], &[0x80]].concat()),
    ];
    for (tag, value) in bad {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(value.len() as u64, &mut bytes);
        bytes.extend_from_slice(value);
        // Long enough to be cut out, whatever stands in it.
        prost::encoding::float::encode_packed(FLOATS, &[0.0; LONG_BYTES], &mut bytes);
        let file = with_attribute(&bytes);
        let (rest, lists) = take_lists(file.clone(), usize::MAX).expect("walks");
        assert!(lists.is_empty(), "tag {tag}");
        assert_eq!(rest, file);
        assert!(ModelProto::decode(rest).is_err(), "tag {tag}");
    }
}

#[test]
fn lists_that_would_grow_beyond_the_limit_are_refused() {
    let mut node = ensemble();
    node.attribute[0].ints = vec![1; COUNT];
    node.attribute[3].name = Some("nodes_modes".to_owned());
    let packed = model(vec![node.clone()]).encode_to_vec();
    // An integer of one byte and its key become eight; modes and floats do not grow.
    let growth = 6 * COUNT;
    let refused = |limit| take_lists(packed.clone().into(), limit).err();
    assert_eq!(refused(growth), None);
    let found = match refused(growth / 2) {
        Some(DecodeError::TooMany { bound, found, .. }) => (bound, found <= growth),
        other => panic!("{other:?}"),
    };
    assert_eq!(found, (Bound::ListBytes, true));
    node.attribute[3].name = Some("classlabels_strings".to_owned());
    let labels = model(vec![node]).encode_to_vec();
    assert!(take_lists(labels.into(), growth + 30 * COUNT).is_err());
}

#[test]
fn files_of_other_models_stay_whole() {
    let mut other = ensemble();
    other.op_type = Some("LinearRegressor".to_owned());
    let file = Bytes::from(model(vec![other]).encode_to_vec());
    let (rest, lists) = take_lists(file.clone(), usize::MAX).expect("walks");
    assert!(lists.is_empty());
    assert_eq!(rest.as_ptr(), file.as_ptr());
    let mut called = model(vec![ensemble()]);
    called.functions.push(Default::default());
    let (_, lists) = take_lists(called.encode_to_vec().into(), usize::MAX).expect("walks");
    assert!(lists.is_empty());
}

/// Puts the lists that were cut out back in their places.
fn whole(rest: Bytes, lists: &BTreeMap<usize, NodeLists>) -> Option<ModelProto> {
    let mut model = ModelProto::decode(rest).ok()?;
    let graph = model.graph.as_mut()?;
    for (node, lists) in lists {
        for (attribute, list) in lists {
            let attribute = &mut graph.node[*node].attribute[*attribute];
            attribute.ints = list.ints().collect();
            attribute.floats = list.floats().collect();
            attribute.strings = list.strings().map(Bytes::copy_from_slice).collect();
        }
    }
    Some(model)
}

proptest! {
    #[test]
    fn damaged_files_mean_the_same_with_their_lists_cut_out(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), head in any::<bool>(),
    ) {
        let mut file = model(vec![NodeProto::default(), ensemble()]).encode_to_vec();
        // Half of the damage hits keys and lengths, of which the first bytes have most.
        let at = at.index(if head { 200 } else { file.len() });
        file[at] = byte;
        let file = Bytes::from(file);
        if check(&file, &DecodeLimits::default()).is_ok() {
            let want = ModelProto::decode(file.clone()).ok();
            let (rest, lists) = take_lists(file, usize::MAX).expect("a sound file is walked");
            let got = whole(rest, &lists);
            prop_assert_eq!(format!("{got:?}"), format!("{want:?}"));
        }
    }
}
