//! The life of a model through the real node: uploaded, registered, attested, active, called.

mod evidence;
mod preexecution;

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, I256, U256, address, keccak256};
use alloy_sol_types::SolCall as _;
use assay_chain::{Chain, Models};
use assay_dev::{Accounts, DEFAULT_MNEMONIC, Dev, DevGenesis, dev_params, pin_examples};
use assay_pool::Pool;
use assay_precompile::abi::IInference;
use assay_runtime::{
    Limits,
    bundle::{Bundle, HEADER_BYTES},
};
use assay_state::{ModelStore, Store};
use assay_types::contracts::IModelRegistry;
use serde_json::{Value, json};

use crate::{Backend, CallLimits, RpcError};

const ALICE: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const BOB: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub(super) const VOLATILITY: &[u8] =
    include_bytes!("../../../../precompile/runtime/models/volatility.assay");

pub(super) fn backend() -> Backend {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 2).unwrap();
    let ether = U256::from(10_u64.pow(18));
    let models = Models::new(ModelStore::in_memory(), Limits::default(), dev_params());
    let rich = accounts.addresses().into_iter();
    let genesis = DevGenesis {
        accounts: rich.map(|a| (a, ether * U256::from(100))).collect(),
        models: pin_examples(&models).unwrap(),
        example_contract: true,
        validator: accounts.validator(),
        ..DevGenesis::default()
    };
    let genesis = genesis.build().unwrap();
    let chain = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
    let chain = Arc::new(chain.with_models(Arc::new(models)));
    let dev = Dev::new(chain, Arc::new(Pool::default()), accounts);
    Backend::with_dev(Arc::new(dev), CallLimits::default()).accept_uploads(true)
}

pub(super) fn call(backend: &Backend, method: &str, params: Value) -> Value {
    backend.call(method, Some(params)).unwrap()
}

pub(super) fn refused(backend: &Backend, method: &str, params: Value) -> RpcError {
    backend.call(method, Some(params)).unwrap_err()
}

/// A model nobody registered yet, with its bundle's bytes.
struct Fresh {
    bundle: Bundle,
    bytes: Vec<u8>,
}

impl Fresh {
    fn of(publisher: Address) -> Self {
        let example = Bundle::read(VOLATILITY.into(), u64::MAX).unwrap();
        let mut manifest = example.manifest().clone();
        manifest.publisher = publisher;
        manifest.name = "fresh".to_owned();
        let files = manifest.files.iter().map(|file| {
            let bytes = example.file(&file.name).unwrap().clone();
            (file.name.clone(), bytes)
        });
        let bundle = Bundle::pack(manifest.clone(), files.collect()).unwrap();
        let mut bytes = Vec::new();
        bundle.write_to(&mut bytes).unwrap();
        Self { bundle, bytes }
    }

    fn id(&self) -> B256 {
        self.bundle.model_id().0
    }

    fn files(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES + self.bundle.manifest_bytes().len()..]
    }

    fn begin(&self, backend: &Backend) -> Value {
        let manifest = Bytes::from(self.bundle.manifest_bytes().clone());
        call(backend, "assay_beginUpload", json!([manifest]))
    }

    fn put(&self, backend: &Backend, from: usize, to: usize) -> Value {
        let chunk = Bytes::copy_from_slice(&self.files()[from..to]);
        let offset = format!("{from:#x}");
        call(backend, "assay_putChunk", json!([self.id(), offset, chunk]))
    }

    fn upload(&self, backend: &Backend) {
        self.begin(backend);
        let half = self.files().len() / 2;
        self.put(backend, 0, half);
        self.put(backend, half, self.files().len());
        let done = call(backend, "assay_commitUpload", json!([self.id()]));
        assert_eq!(done["held"], true);
    }

    fn registration(&self, from: Address) -> Value {
        let held = assay_chain::Held {
            id: self.id(),
            manifest: self.bundle.manifest().clone(),
        };
        let summary = held.summary();
        let deposit = U256::from(summary.size) * U256::from(10_u64.pow(10));
        let register = IModelRegistry::registerCall {
            manifest: self.bundle.manifest_bytes().clone().into(),
            summary,
        };
        let input = Bytes::from(register.abi_encode());
        let registry = dev_params().model_registry;
        json!([{"from": from, "to": registry, "value": deposit, "input": input}])
    }

    fn register(&self, backend: &Backend) {
        call(backend, "eth_sendTransaction", self.registration(ALICE));
    }

    fn status(&self, backend: &Backend) -> Value {
        call(backend, "assay_getModel", json!([self.id()]))["status"].clone()
    }
}

pub(super) fn predict(id: B256) -> Value {
    let features = [21_000, 19_000, 17_000, -12_000, 9_000];
    let input = IInference::predictCall {
        model: id,
        features: features
            .map(|value: i64| I256::try_from(value).unwrap())
            .to_vec(),
    };
    json!({"from": ALICE, "to": dev_params().inference, "input": Bytes::from(input.abi_encode())})
}

fn predicted(backend: &Backend, id: B256) -> String {
    let answer = call(backend, "eth_call", json!([predict(id), "latest"]));
    let answer: Bytes = serde_json::from_value(answer).unwrap();
    IInference::predictCall::abi_decode_returns(&answer).unwrap()[0].to_string()
}

#[test]
fn uploaded_then_registered_model_is_active_when_the_registration_returns() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    fresh.upload(&backend);
    assert_eq!(fresh.status(&backend), "unknown");
    let error = refused(&backend, "eth_call", json!([predict(fresh.id()), "latest"]));
    assert_eq!(error.code, 3);
    fresh.register(&backend);
    let model = call(&backend, "assay_getModel", json!(["fresh"]));
    assert_eq!(
        (&model["status"], &model["registered"]),
        (&json!("active"), &json!(true))
    );
    assert_eq!(model["holders"].as_array().unwrap().len(), 1);
    // The same graph as the example's, so the same bits.
    let example = Bundle::read(VOLATILITY.into(), u64::MAX)
        .unwrap()
        .model_id()
        .0;
    assert_eq!(
        predicted(&backend, fresh.id()),
        predicted(&backend, example)
    );
}

#[test]
fn registered_then_uploaded_model_is_active_when_the_upload_ends() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    fresh.register(&backend);
    assert_eq!(
        refused(&backend, "eth_call", json!([predict(fresh.id()), "latest"])).code,
        3
    );
    fresh.upload(&backend);
    assert_eq!(fresh.status(&backend), "active");
    assert!(!predicted(&backend, fresh.id()).is_empty());
}

#[test]
fn attestation_waits_for_a_block_when_mining_is_not_instant() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    fresh.upload(&backend);
    call(&backend, "evm_setAutomine", json!([false]));
    fresh.register(&backend);
    call(&backend, "evm_mine", json!([]));
    assert_eq!(fresh.status(&backend), "pending");
    call(&backend, "evm_mine", json!([]));
    assert_eq!(fresh.status(&backend), "active");
}

#[test]
fn developer_s_nonces_are_his_own() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    fresh.upload(&backend);
    fresh.register(&backend);
    let nonce = call(
        &backend,
        "eth_getTransactionCount",
        json!([ALICE, "latest"]),
    );
    assert_eq!(nonce, "0x1");
}

#[test]
fn only_the_publisher_registers_and_only_for_the_deposit() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    let error = refused(&backend, "eth_sendTransaction", fresh.registration(BOB));
    let data = error.data.unwrap();
    assert!(
        data.as_str()
            .unwrap()
            .starts_with(&selector::<IModelRegistry::NotPublisher>())
    );
    let mut cheap = fresh.registration(ALICE);
    cheap[0]["value"] = json!("0x1");
    let error = refused(&backend, "eth_sendTransaction", cheap);
    let data = error.data.unwrap();
    assert!(
        data.as_str()
            .unwrap()
            .starts_with(&selector::<IModelRegistry::WrongDeposit>())
    );
    fresh.register(&backend);
    let error = refused(&backend, "eth_sendTransaction", fresh.registration(ALICE));
    let data = error.data.unwrap();
    assert!(
        data.as_str()
            .unwrap()
            .starts_with(&selector::<IModelRegistry::AlreadyRegistered>())
    );
}

fn selector<E: alloy_sol_types::SolError>() -> String {
    alloy_primitives::hex::encode_prefixed(E::SELECTOR)
}

#[test]
fn upload_goes_on_where_it_stopped_and_refuses_what_does_not_follow() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    assert_eq!(fresh.begin(&backend)["received"], "0x0");
    fresh.put(&backend, 0, 100);
    assert_eq!(fresh.begin(&backend)["received"], "0x64");
    let error = refused(
        &backend,
        "assay_putChunk",
        json!([fresh.id(), "0x0", "0x00"]),
    );
    let data = error.data.unwrap();
    assert_eq!(
        (&data["error"], &data["wanted"]),
        (&json!("WrongOffset"), &json!("0x64"))
    );
    let error = refused(&backend, "assay_commitUpload", json!([fresh.id()]));
    assert_eq!(error.data.unwrap()["error"], "Incomplete");
    assert_eq!(
        call(&backend, "assay_cancelUpload", json!([fresh.id()])),
        true
    );
    assert_eq!(
        call(&backend, "assay_getUpload", json!([fresh.id()])),
        Value::Null
    );
}

#[test]
fn wrong_bytes_are_refused_before_they_are_held() {
    let (backend, fresh) = (backend(), Fresh::of(ALICE));
    fresh.begin(&backend);
    let mut wrong = fresh.files().to_vec();
    wrong[10] ^= 1;
    let chunk = Bytes::from(wrong);
    let error = refused(
        &backend,
        "assay_putChunk",
        json!([fresh.id(), "0x0", chunk]),
    );
    assert_eq!(error.data.unwrap()["error"], "WrongHash");
    fresh.upload(&backend);
}

#[test]
fn uploads_are_the_operator_s_alone() {
    let (backend, fresh) = (backend().accept_uploads(false), Fresh::of(ALICE));
    let manifest = Bytes::from(fresh.bundle.manifest_bytes().clone());
    let error = refused(&backend, "assay_beginUpload", json!([manifest]));
    assert!(
        error.message.contains("--allow-upload"),
        "{}",
        error.message
    );
}

#[test]
fn downloaded_chunks_are_the_bundle() {
    let backend = backend();
    let mut bytes = Vec::new();
    loop {
        let offset = format!("{:#x}", bytes.len());
        let params = json!(["volatility", offset, "0x1000"]);
        let chunk = call(&backend, "assay_downloadModel", params);
        let data: Bytes = serde_json::from_value(chunk["data"].clone()).unwrap();
        if data.is_empty() {
            break;
        }
        bytes.extend_from_slice(&data);
    }
    assert_eq!(bytes, VOLATILITY);
}

#[test]
fn infer_answers_what_a_contract_gets_and_a_record_costs_the_quote() {
    let backend = backend();
    let asked = json!({"rows": [["21000", 19000, 17000, -12000, 9000]]});
    let answer = call(&backend, "assay_infer", json!(["volatility", asked]));
    let id: B256 = serde_json::from_value(answer["id"].clone()).unwrap();
    assert_eq!(answer["rows"][0][0], predicted(&backend, id));
    let hash = call(&backend, "eth_sendTransaction", json!([predict(id)]));
    let records = call(&backend, "assay_getInferences", json!([hash]));
    let by_block = call(&backend, "assay_getInferences", json!(["latest"]));
    assert_eq!(records, by_block);
    let quote = call(&backend, "assay_quote", json!([id]));
    assert_eq!(records[0]["gas"], quote["total"]);
    assert_eq!(
        (&records[0]["modelName"], &records[0]["method"]),
        (&json!("volatility@1"), &json!("predict"))
    );
}

#[test]
fn infer_names_the_row_and_the_limit() {
    let backend = backend();
    let short = json!({"rows": [[1, 2, 3, 4, 5], [1]]});
    let error = refused(&backend, "assay_infer", json!(["volatility", short]));
    assert_eq!(error.data.unwrap()["field"], "rows[1]");
    let error = refused(&backend, "assay_infer", json!(["nothing", {"rows": []}]));
    assert!(error.message.contains("nothing"), "{}", error.message);
    let text = json!({"rows": [["x"]]});
    let error = refused(&backend, "assay_infer", json!(["volatility", text]));
    assert!(error.message.contains("rows[0][0]"), "{}", error.message);
}

#[test]
fn list_names_every_model_with_its_gas() {
    let list = call(&backend(), "assay_listModels", json!([]));
    let list = list.as_array().unwrap().clone();
    assert_eq!(list.len(), 4);
    for model in list {
        assert_eq!(
            (&model["status"], &model["held"]),
            (&json!("active"), &json!(true))
        );
        assert!(model["gas"]["predict"].is_string(), "{model}");
    }
}

#[test]
fn first_block_seals_the_genesis_hash() {
    let backend = backend();
    let slot = |number: &str| {
        let params = json!([dev_params().validator_set, "0x3", number]);
        call(&backend, "eth_getStorageAt", params)
    };
    assert_eq!(slot("latest"), json!(B256::ZERO));
    call(&backend, "evm_mine", json!([]));
    let genesis = call(&backend, "eth_getBlockByNumber", json!(["0x0", false]));
    assert_eq!(slot("latest"), genesis["hash"]);
    let status = call(&backend, "assay_status", json!([]));
    assert_eq!(status["genesisHash"], genesis["hash"]);
}

#[test]
fn validators_are_the_node_alone() {
    let set = call(&backend(), "assay_getValidators", json!([]));
    assert_eq!(set["validators"].as_array().unwrap().len(), 1);
    assert_eq!(set["totalPower"], "0x1");
}

#[test]
fn model_given_at_start_of_an_old_chain_goes_through_the_registry() {
    let (backend, fresh) = (backend(), Fresh::of(BOB));
    call(&backend, "evm_mine", json!([]));
    let dev = backend.dev.as_ref().unwrap();
    let held = backend
        .chain
        .models()
        .unwrap()
        .add(fresh.bytes.clone().into())
        .unwrap();
    dev.publish(&held).unwrap();
    dev.publish(&held).unwrap();
    assert_eq!(fresh.status(&backend), "active");
    let model = call(&backend, "assay_getModel", json!([fresh.id()]));
    assert_eq!(model["holders"].as_array().unwrap().len(), 1);
}

#[test]
fn example_contract_answers_from_its_model() {
    let backend = backend();
    // quote(uint256,int256[5]) of 1e18 and the row of `predict`.
    let selector = &alloy_primitives::keccak256("quote(uint256,int256[5])")[..4];
    let mut input = selector.to_vec();
    input.extend(U256::from(10_u64.pow(18)).to_be_bytes::<32>());
    for feature in [21_000_i64, 19_000, 17_000, -12_000, 9_000] {
        input.extend(I256::try_from(feature).unwrap().to_be_bytes::<32>());
    }
    let request = json!({"to": assay_dev::EXAMPLE_CONTRACT, "input": Bytes::from(input)});
    let answer = call(&backend, "eth_call", json!([request, "latest"]));
    let answer: U256 = answer.as_str().unwrap().parse().unwrap();
    let example = Bundle::read(VOLATILITY.into(), u64::MAX)
        .unwrap()
        .model_id()
        .0;
    let volatility: U256 = predicted(&backend, example).parse().unwrap();
    let one = U256::from(10_u64.pow(18));
    assert_eq!(
        answer,
        volatility * U256::from(797_884_560_802_865_356_u64) / one
    );
}

fn example_id() -> B256 {
    Bundle::read(VOLATILITY.into(), u64::MAX)
        .unwrap()
        .model_id()
        .0
}

#[test]
fn traced_inference_has_the_bytes_its_record_hashes_and_they_come_again() {
    let backend = backend();
    let hash = call(
        &backend,
        "eth_sendTransaction",
        json!([predict(example_id())]),
    );
    let record = &call(&backend, "assay_getInferences", json!([hash]))[0];
    let traced = call(&backend, "assay_traceInference", json!([hash]));
    let bytes = |name: &str| serde_json::from_value::<Bytes>(traced[name].clone()).unwrap();
    let (input, output) = (bytes("input"), bytes("output"));
    assert_eq!(json!(keccak256(&input)), record["inputHash"]);
    assert_eq!(json!(keccak256(&output)), record["outputHash"]);
    // Without a chain, the same bits.
    let host = backend.chain.models().unwrap().host();
    let again = assay_precompile::recompute::recompute(host.as_ref(), &input, u64::MAX).unwrap();
    assert_eq!(again, output);
    let second = call(&backend, "assay_traceInference", json!([hash, "0x1"]));
    assert!(second.is_null());
}
