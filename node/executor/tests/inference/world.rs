//! The chain of these tests: one model, a registry that names it, contracts that call it.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, I256, TxKind, U256, address, hex, keccak256};
use alloy_sol_types::SolCall;
use assay_executor::{Executor, SimulationRules};
use assay_precompile::abi::IInference;
use assay_precompile::registry::Record;
use assay_precompile::{Host, ModelSource};
use assay_runtime::bundle::Bundle;
use assay_runtime::manifest::{Column, Dim, Feature, FeatureSchema, Format, Manifest, Port};
use assay_runtime::numerics::Engine;
use assay_runtime::onnx::proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use assay_runtime::{DType, Limits};
use assay_types::{Account, AssayParams, ChainSpec, Header, StateView};
use prost::Message as _;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::inspector::NoOpInspector;

pub(crate) const PRECOMPILE: Address = address!("0x0000000000000000000000000000000000000a11");
pub(crate) const REGISTRY: Address = address!("0x0000000000000000000000000000000000000a12");
pub(crate) const SENDER: Address = Address::repeat_byte(0x11);
/// Forwards its calldata to the precompile and returns or reverts with the answer.
pub(crate) const FORWARDER: Address = Address::repeat_byte(0x22);
/// Forwards its calldata to the precompile, then reverts.
pub(crate) const REVERTER: Address = Address::repeat_byte(0x33);
/// Delegates to the precompile.
pub(crate) const DELEGATE: Address = Address::repeat_byte(0x44);
/// Calls the forwarder twice and stops.
pub(crate) const TWICE: Address = Address::repeat_byte(0x55);
/// Calls the precompile [`CALLS`] times in a transaction, each time with another last feature.
pub(crate) const MANY: Address = Address::repeat_byte(0x3a);
pub(crate) const CALLS: u16 = 1_100;

pub(crate) fn port(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
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
pub(crate) fn bundle() -> Bundle {
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

pub(crate) struct Models(pub(crate) Option<(B256, Bytes)>);

impl ModelSource for Models {
    fn bundle(&self, model: B256) -> std::io::Result<Option<bytes::Bytes>> {
        let found = self.0.as_ref().filter(|(id, _)| *id == model);
        Ok(found.map(|(_, bytes)| bytes.0.clone()))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) accounts: BTreeMap<Address, Account>,
    pub(crate) codes: BTreeMap<B256, Bytes>,
    pub(crate) record: (U256, U256),
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

pub(crate) struct Chain {
    pub(crate) executor: Executor,
    pub(crate) view: View,
    pub(crate) model: B256,
    pub(crate) size_bytes: u64,
}

pub(crate) fn forward(opcode: &str, after: &str) -> Vec<u8> {
    // calldatacopy(0, 0, calldatasize); call(gas, precompile, [0,] 0, calldatasize, 0, 0)
    let value = if opcode == "f1" { "6000" } else { "" };
    let code = format!("365f5f37 5f5f365f{value}610a115a{opcode} {after}").replace(' ', "");
    hex::decode(code).unwrap()
}

pub(crate) fn chain(held: bool) -> Chain {
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
        (MANY, many()),
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
pub(crate) fn passing(call: &[u8]) -> Vec<u8> {
    let mut code = call.to_vec();
    code.extend(hex::decode("3d5f5f3e").unwrap());
    let target = code.len() + 3 + 3;
    code.extend([0x60, target as u8, 0x57]);
    code.extend(hex::decode("3d5ffd5b3d5ff3").unwrap());
    code
}

pub(crate) fn twice() -> Vec<u8> {
    // Two static calls with the calldata, then stop.
    hex::decode("365f5f375f5f365f610a115afa505f5f365f610a115afa5000").unwrap()
}

/// Returns the last feature of the calls of [`MANY`], whose counter goes down to 1.
pub(crate) fn last_feature(counter: u16) -> I256 {
    I256::try_from(counter).unwrap() << 60
}

fn many() -> Vec<u8> {
    // The counter, a copy of the calldata, then: last feature, static call, one less, again until zero.
    let code = format!(
        "61{CALLS:04x} 365f5f37 5b 80603c1b 6020360352 5f5f365f610a115afa50 60019003 80600757 00"
    );
    hex::decode(code.replace(' ', "")).unwrap()
}

pub(crate) fn header(number: u64) -> Header {
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

pub(crate) fn units(value: i64) -> I256 {
    I256::try_from(value).unwrap() * I256::try_from(10u128.pow(18)).unwrap()
}

pub(crate) fn predict(chain: &Chain) -> Vec<u8> {
    let features = vec![units(3), units(4)];
    IInference::predictCall {
        model: chain.model,
        features,
    }
    .abi_encode()
}

impl Chain {
    pub(crate) fn call_with(
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

    pub(crate) fn call(&self, to: Address, data: Vec<u8>) -> ExecutionResult {
        self.call_with(to, data, 9, 10_000_000)
    }

    pub(crate) fn revert_of(&self, to: Address, data: Vec<u8>) -> Vec<u8> {
        match self.call(to, data) {
            ExecutionResult::Revert { output, .. } => output.to_vec(),
            other => panic!("must revert: {other:?}"),
        }
    }
}
