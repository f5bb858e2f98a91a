//! Inference through a real EVM: a graph is packed, a contract calls it, blocks record it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{
    Address, B256, Bytes, I256, Signature, TxKind, U256, address, hex, keccak256,
};
use alloy_sol_types::{SolCall, SolError};
use assay_executor::{Executor, SimulationRules};
use assay_precompile::abi::IInference;
use assay_precompile::registry::Record;
use assay_precompile::{Host, ModelSource, gas};
use assay_runtime::bundle::Bundle;
use assay_runtime::manifest::{Column, Dim, Feature, FeatureSchema, Format, Manifest, Port};
use assay_runtime::numerics::Engine;
use assay_runtime::onnx::proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use assay_runtime::{DType, Limits};
use assay_types::{Account, AssayParams, ChainSpec, Header, StateView, Transaction};
use prost::Message as _;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::inspector::NoOpInspector;

const PRECOMPILE: Address = address!("0x0000000000000000000000000000000000000a11");
const REGISTRY: Address = address!("0x0000000000000000000000000000000000000a12");
const SENDER: Address = Address::repeat_byte(0x11);
/// Forwards its calldata to the precompile and returns or reverts with the answer.
const FORWARDER: Address = Address::repeat_byte(0x22);
/// Forwards its calldata to the precompile, then reverts.
const REVERTER: Address = Address::repeat_byte(0x33);
/// Delegates to the precompile.
const DELEGATE: Address = Address::repeat_byte(0x44);
/// Calls the forwarder twice and stops.
const TWICE: Address = Address::repeat_byte(0x55);

fn port(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |size: &Option<i64>| Dimension {
        value: Some(match size {
            Some(size) => Value::DimValue(*size),
            None => Value::DimParam("batch".to_owned()),
        }),
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(1),
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
        }),
        ..Default::default()
    }
}

/// Packs y = 2 a - 0.5 b.
fn bundle() -> Bundle {
    let weights: Vec<u8> = [2f32, -0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let graph = GraphProto {
        input: vec![port("x", &[None, Some(2)])],
        output: vec![port("y", &[None, Some(1)])],
        initializer: vec![TensorProto {
            name: Some("w".to_owned()),
            dims: vec![2, 1],
            data_type: Some(1),
            raw_data: Some(weights.into()),
            ..Default::default()
        }],
        node: vec![NodeProto {
            op_type: Some("MatMul".to_owned()),
            input: vec!["x".to_owned(), "w".to_owned()],
            output: vec!["y".to_owned()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(17),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    };
    let tensor = |name: &str, size| Port {
        name: name.to_owned(),
        dtype: DType::F32.onnx(),
        shape: vec![Dim::Name("batch".to_owned()), Dim::Size(size)],
    };
    let feature = |name: &str| Feature {
        name: name.to_owned(),
        unit: None,
        decimals: 18,
        min: None,
        max: None,
        nullable: false,
        categories: Vec::new(),
    };
    let column = Column {
        name: "y".to_owned(),
        class: None,
        unit: None,
        decimals: 18,
        index: 0,
        labels: Vec::new(),
    };
    let manifest = Manifest {
        name: "line".to_owned(),
        version: "1".to_owned(),
        format: Format::Onnx,
        numerics: 1,
        licence: "MIT".to_owned(),
        publisher: SENDER,
        calibrated: None,
        batch: Some("batch".to_owned()),
        inputs: vec![tensor("x", 2)],
        outputs: vec![tensor("y", 1)],
        primary: "y".to_owned(),
        schema: FeatureSchema {
            features: vec![feature("a"), feature("b")],
            columns: vec![column],
        },
        files: Vec::new(),
    };
    Bundle::pack(
        manifest,
        vec![("model.onnx".to_owned(), model.encode_to_vec().into())],
    )
    .unwrap()
}

struct Models(Option<(B256, Bytes)>);

impl ModelSource for Models {
    fn bundle(&self, model: B256) -> std::io::Result<Option<bytes::Bytes>> {
        let found = self.0.as_ref().filter(|(id, _)| *id == model);
        Ok(found.map(|(_, bytes)| bytes.0.clone()))
    }
}

#[derive(Debug, Clone)]
struct View {
    accounts: BTreeMap<Address, Account>,
    codes: BTreeMap<B256, Bytes>,
    record: (U256, U256),
}

impl StateView for View {
    type Error = std::convert::Infallible;

    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
        Ok(self.accounts.get(&address).cloned())
    }

    fn storage(&self, address: Address, key: U256) -> Result<U256, Self::Error> {
        let found = address == REGISTRY && key == self.record.0;
        Ok(if found { self.record.1 } else { U256::ZERO })
    }

    fn code(&self, hash: B256) -> Result<Bytes, Self::Error> {
        Ok(self.codes.get(&hash).cloned().unwrap_or_default())
    }

    fn block_hash(&self, _: u64) -> Result<B256, Self::Error> {
        Ok(B256::ZERO)
    }
}

struct Chain {
    executor: Executor,
    view: View,
    model: B256,
    size_bytes: u64,
}

fn forward(opcode: &str, after: &str) -> Vec<u8> {
    // calldatacopy(0, 0, calldatasize); call(gas, precompile, [0,] 0, calldatasize, 0, 0)
    let value = if opcode == "f1" { "6000" } else { "" };
    let code = format!("365f5f37 5f5f365f{value}610a115a{opcode} {after}").replace(' ', "");
    hex::decode(code).unwrap()
}

fn chain(held: bool) -> Chain {
    let bundle = bundle();
    let model = bundle.model_id().0;
    let mut bytes = Vec::new();
    bundle.write_to(&mut bytes).unwrap();
    let size_bytes = 4_096;
    let word = U256::from(3) | U256::from(5) << 16 | U256::from(size_bytes) << 80;
    let codes = [
        (FORWARDER, passing(&forward("fa", ""))),
        (REVERTER, forward("fa", "5f5ffd")),
        (DELEGATE, passing(&forward("f4", ""))),
        (TWICE, twice()),
        (PRECOMPILE, vec![0xfe]),
        (REGISTRY, vec![0xfe]),
    ];
    let mut view = View {
        accounts: BTreeMap::new(),
        codes: BTreeMap::new(),
        record: (Record::key(model), word),
    };
    for (address, code) in codes {
        let code_hash = keccak256(&code);
        view.codes.insert(code_hash, code.into());
        view.accounts.insert(
            address,
            Account {
                code_hash,
                ..Account::default()
            },
        );
    }
    let balance = U256::from(10).pow(U256::from(20));
    view.accounts.insert(
        SENDER,
        Account {
            balance,
            ..Account::default()
        },
    );
    let config = r#"{"chainId":31337,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,
        "eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,
        "istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"terminalTotalDifficulty":0,
        "terminalTotalDifficultyPassed":true,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,
        "osakaTime":0}"#;
    let spec = ChainSpec::new(
        serde_json::from_str(config).unwrap(),
        Some(AssayParams::default()),
    );
    let models = Models(held.then(|| (model, Bytes::from(bytes))));
    let host = Host::new(Box::new(models), Limits::default(), Engine::single());
    let executor = Executor::new(spec.into()).with_models(Arc::new(host));
    Chain {
        executor,
        view,
        model,
        size_bytes,
    }
}

/// Ends a forwarder: copies the answer and returns or reverts with it.
fn passing(call: &[u8]) -> Vec<u8> {
    let mut code = call.to_vec();
    code.extend(hex::decode("3d5f5f3e").unwrap());
    let target = code.len() + 3 + 3;
    code.extend([0x60, target as u8, 0x57]);
    code.extend(hex::decode("3d5ffd5b3d5ff3").unwrap());
    code
}

fn twice() -> Vec<u8> {
    // Two static calls with the calldata, then stop.
    hex::decode("365f5f375f5f365f610a115afa505f5f365f610a115afa5000").unwrap()
}

fn header(number: u64) -> Header {
    Header {
        number,
        timestamp: number,
        gas_limit: 60_000_000,
        base_fee_per_gas: Some(7),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        withdrawals_root: Some(B256::ZERO),
        ..Header::default()
    }
}

fn units(value: i64) -> I256 {
    I256::try_from(value).unwrap() * I256::try_from(10u128.pow(18)).unwrap()
}

fn predict(chain: &Chain) -> Vec<u8> {
    let features = vec![units(3), units(4)];
    IInference::predictCall {
        model: chain.model,
        features,
    }
    .abi_encode()
}

impl Chain {
    fn call_with(
        &self,
        to: Address,
        data: Vec<u8>,
        height: u64,
        gas_limit: u64,
    ) -> ExecutionResult {
        let message = TxEnv {
            caller: SENDER,
            chain_id: Some(31_337),
            kind: TxKind::Call(to),
            data: data.into(),
            gas_limit,
            gas_price: 7,
            ..TxEnv::default()
        };
        let rules = SimulationRules::CALL;
        let mut simulation =
            self.executor
                .simulation(self.view.clone(), &header(height), rules, NoOpInspector);
        simulation.run(message).unwrap().result
    }

    fn call(&self, to: Address, data: Vec<u8>) -> ExecutionResult {
        self.call_with(to, data, 9, 10_000_000)
    }

    fn revert_of(&self, to: Address, data: Vec<u8>) -> Vec<u8> {
        match self.call(to, data) {
            ExecutionResult::Revert { output, .. } => output.to_vec(),
            other => panic!("must revert: {other:?}"),
        }
    }
}

#[test]
fn a_contract_gets_the_answer_in_the_same_call() {
    let chain = chain(true);
    let output = chain
        .call(FORWARDER, predict(&chain))
        .into_output()
        .unwrap();
    let answer = IInference::predictCall::abi_decode_returns(&output).unwrap();
    // 2 * 3 - 0.5 * 4
    assert_eq!(answer, [units(4)]);
    let direct = chain
        .call(PRECOMPILE, predict(&chain))
        .into_output()
        .unwrap();
    assert_eq!(direct, output);
}

#[test]
fn a_batch_answers_each_row_as_alone() {
    let chain = chain(true);
    let features = vec![units(3), units(4), units(-1), units(0)];
    let call = IInference::predictBatchCall {
        model: chain.model,
        rows: U256::from(2),
        features,
    };
    let output = chain
        .call(FORWARDER, call.abi_encode())
        .into_output()
        .unwrap();
    let answer = IInference::predictBatchCall::abi_decode_returns(&output).unwrap();
    assert_eq!(answer, [units(4), units(-2)]);
}

#[test]
fn the_charge_equals_the_quote_to_the_unit() {
    let chain = chain(true);
    let quote = IInference::quotePredictCall {
        model: chain.model,
        rows: U256::from(1),
    };
    let output = chain
        .call(PRECOMPILE, quote.abi_encode())
        .into_output()
        .unwrap();
    let quote = IInference::quotePredictCall::abi_decode_returns(&output).unwrap();
    assert_eq!(
        quote.coldExtra,
        U256::from(gas::cold(chain.size_bytes) + 2_000)
    );
    // Two calls in one block's transaction: the first cold, the second warm.
    let mut execution = chain
        .executor
        .begin(chain.view.clone(), &header(9), &[], None)
        .unwrap();
    execution
        .transact(&transaction(0, TWICE, predict(&chain)), SENDER)
        .unwrap();
    let records = execution.finish().unwrap().records;
    assert_eq!(records.len(), 2);
    assert_eq!(U256::from(records[0].gas), quote.gas + quote.coldExtra);
    assert_eq!(U256::from(records[1].gas), quote.gas);
}

fn transaction(nonce: u64, to: Address, input: Vec<u8>) -> Transaction {
    let fields = TxLegacy {
        chain_id: Some(31_337),
        nonce,
        gas_price: 7,
        gas_limit: 1_000_000,
        to: TxKind::Call(to),
        input: input.into(),
        ..TxLegacy::default()
    };
    Transaction::Legacy(fields.into_signed(Signature::test_signature()))
}

#[test]
fn a_block_records_every_inference_and_keeps_no_mark_in_its_logs() {
    let chain = chain(true);
    let mut execution = chain
        .executor
        .begin(chain.view.clone(), &header(9), &[], None)
        .unwrap();
    for (nonce, to) in [FORWARDER, REVERTER, FORWARDER].into_iter().enumerate() {
        execution
            .transact(&transaction(nonce as u64, to, predict(&chain)), SENDER)
            .unwrap();
    }
    let outcome = execution.finish().unwrap();
    let found: Vec<_> = outcome
        .records
        .iter()
        .map(|r| (r.transaction_index, r.call_index, r.caller, r.reverted))
        .collect();
    let expected = [
        (0, 0, FORWARDER, false),
        (1, 0, REVERTER, true),
        (2, 0, FORWARDER, false),
    ];
    assert_eq!(found, expected);
    let answer = IInference::predictCall::abi_encode_returns(&vec![units(4)]);
    for record in &outcome.records {
        assert_eq!(record.model_id, chain.model);
        assert_eq!(record.method, IInference::predictCall::SELECTOR);
        assert_eq!(record.input_hash, keccak256(predict(&chain)));
        assert_eq!(record.output_hash, keccak256(&answer));
    }
    assert!(
        outcome
            .receipts
            .iter()
            .all(|receipt| receipt.logs().is_empty())
    );
}

#[test]
fn refusals_are_typed() {
    let chain = chain(true);
    let unknown = B256::repeat_byte(7);
    let call = IInference::predictCall {
        model: unknown,
        features: vec![],
    }
    .abi_encode();
    let expected = IInference::UnknownModel { model: unknown }.abi_encode();
    assert_eq!(chain.revert_of(FORWARDER, call), expected);

    let call = IInference::predictCall {
        model: chain.model,
        features: vec![units(1)],
    };
    let expected = IInference::WrongInputCount {
        expected: U256::from(2),
        got: U256::from(1),
    }
    .abi_encode();
    assert_eq!(chain.revert_of(FORWARDER, call.abi_encode()), expected);

    let call = IInference::predictCall {
        model: chain.model,
        features: vec![units(1), I256::MIN],
    };
    let expected = IInference::MissingNotAllowed {
        index: U256::from(1),
    }
    .abi_encode();
    assert_eq!(chain.revert_of(FORWARDER, call.abi_encode()), expected);

    let expected = IInference::DirectCallOnly {}.abi_encode();
    assert_eq!(chain.revert_of(DELEGATE, predict(&chain)), expected);

    let mut trailing = predict(&chain);
    trailing.push(0);
    let expected = IInference::BadCalldata {}.abi_encode();
    assert_eq!(chain.revert_of(FORWARDER, trailing), expected);
    assert_eq!(chain.revert_of(FORWARDER, vec![1, 2, 3]), expected);
}

#[test]
fn a_model_answers_from_its_activation_height_on() {
    let chain = chain(true);
    let early = chain.call_with(FORWARDER, predict(&chain), 4, 10_000_000);
    let expected = IInference::ModelNotActive { model: chain.model }.abi_encode();
    assert_eq!(early.output().unwrap().to_vec(), expected);
    assert!(!early.is_success());
    assert!(
        chain
            .call_with(FORWARDER, predict(&chain), 5, 10_000_000)
            .is_success()
    );
}

#[test]
fn too_little_gas_answers_no_data_at_any_limit() {
    let chain = chain(true);
    let mut answered = 0;
    for limit in (25_000..60_000).step_by(500) {
        match chain.call_with(PRECOMPILE, predict(&chain), 9, limit) {
            ExecutionResult::Success { .. } => answered += 1,
            ExecutionResult::Halt { .. } => assert_eq!(answered, 0, "limit {limit}"),
            other @ ExecutionResult::Revert { .. } => panic!("limit {limit}: {other:?}"),
        }
    }
    assert!(answered > 0);
}

#[test]
fn absent_bytes_are_this_machines_fault_and_never_a_revert() {
    let chain = chain(false);
    let mut execution = chain
        .executor
        .begin(chain.view.clone(), &header(9), &[], None)
        .unwrap();
    let error = execution
        .transact(&transaction(0, FORWARDER, predict(&chain)), SENDER)
        .unwrap_err();
    assert!(
        error.to_string().contains("are not on this node"),
        "{error}"
    );
}

#[test]
fn a_cold_or_switched_off_cache_changes_nothing() {
    let outcomes: Vec<_> = [None, Some((1 << 20, 0)), Some((0, 0)), Some((1 << 20, 600))]
        .into_iter()
        .map(|caches| {
            let bundle = bundle();
            let mut bytes = Vec::new();
            bundle.write_to(&mut bytes).unwrap();
            let mut chain = chain(true);
            let source = Models(Some((chain.model, bytes.into())));
            let host = Host::new(Box::new(source), Limits::default(), Engine::single());
            let host = match caches {
                Some((loaded, results)) => host.with_caches(loaded, results),
                None => host,
            };
            chain.executor = chain.executor.with_models(Arc::new(host));
            let mut execution = chain
                .executor
                .begin(chain.view.clone(), &header(9), &[], None)
                .unwrap();
            for nonce in 0..6 {
                let features = vec![units(nonce as i64 % 3), units(4)];
                let call = IInference::predictCall {
                    model: chain.model,
                    features,
                }
                .abi_encode();
                execution
                    .transact(&transaction(nonce, FORWARDER, call), SENDER)
                    .unwrap();
            }
            let outcome = execution.finish().unwrap();
            (
                outcome.records,
                outcome.gas_used,
                format!("{:?}", outcome.changes),
            )
        })
        .collect();
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
}
