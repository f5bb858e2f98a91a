//! `assay_`: what convinces verifiers elsewhere: receipts of records, and the sets that follow one another.

use alloy_eips::{BlockId, BlockNumberOrTag, eip7685::Requests};
use alloy_primitives::{B256, Bytes};
use assay_types::{
    Decision, Domain, InferenceReceipt, StateView as _, digest::set_hash, validators::set_at,
};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy},
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_getReceipt", receipt),
    heavy("assay_getSetUpdate", set_update),
];

/// Cuts the receipt of a transaction's call; null when there is no such transaction or call.
fn receipt(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let transaction: B256 = arguments.hash()?;
    let call = arguments.optional_number()?.unwrap_or_default();
    let reader = backend.chain.reader()?;
    let Some(place) = reader.place(transaction)? else {
        return Ok(Value::Null);
    };
    let at = At::mined(reader, place.number);
    let records = at.reader.records(at.number)?;
    let index = records.iter().position(|record| {
        record.transaction_index == place.index && u64::from(record.call_index) == call
    });
    let Some(index) = index.and_then(|index| u32::try_from(index).ok()) else {
        return Ok(Value::Null);
    };
    let requests = Requests::new(at.reader.requests(at.number)?);
    let decision = decision(backend, &at)?;
    let set = set_hash(&decision.validators);
    let cut = InferenceReceipt::cut(&records, index, &requests, decision);
    let receipt = cut.ok_or_else(|| RpcError::internal("a block with records commits to none"))?;
    let domain = Domain {
        genesis_hash: at.reader.hash(0)?.unwrap_or_default(),
        chain_id: backend.chain.spec().chain_id,
    };
    let proven = receipt.verify(&domain, set).map_err(RpcError::internal)?;
    Ok(json!({
        "blockNumber": quantity(at.number),
        "id": proven.id,
        "genesisHash": domain.genesis_hash,
        "chainId": quantity(domain.chain_id),
        "setHash": set,
        "signedPower": quantity(proven.signed),
        "totalPower": quantity(proven.total),
        "receipt": receipt.to_json().map_err(RpcError::internal)?,
        "abi": Bytes::from(receipt.encode()),
    }))
}

/// Gives the proof that a block is the last of its set; null when the set stays.
fn set_update(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let block = arguments.optional()?;
    // Proofs outlive the blocks they were cut from.
    let (reader, number) = match block {
        Some(BlockId::Number(BlockNumberOrTag::Number(number)))
            if number <= backend.chain.head().header.number =>
        {
            (backend.chain.reader()?, number)
        }
        block => {
            let at = backend.at(block)?;
            (at.reader, at.number)
        }
    };
    match reader.set_update(number)? {
        Some(update) => update.to_json().map_err(RpcError::internal),
        None => Ok(Value::Null),
    }
}

/// Gathers what proves that a block was decided.
fn decision(backend: &Backend, at: &At) -> Result<Decision, RpcError> {
    let certificate = at.reader.certificate(at.number)?;
    let params = backend.chain.spec().assay.as_ref();
    let (Some(certificate), Some(params)) = (certificate, params) else {
        return Err(RpcError::server(format!(
            "block {} has no certificate here: nobody votes on this chain, or this node began after it",
            at.number
        )));
    };
    let state = at.reader.state(at.number)?;
    let validators = set_at(at.number, |slot| state.storage(params.validator_set, slot))?;
    Ok(Decision::new(&at.header()?, &certificate, validators))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, I256, U256, b256};
    use alloy_sol_types::SolCall as _;
    use assay_chain::{Chain, Models, snapshot};
    use assay_dev::{
        Accounts, DEFAULT_MNEMONIC, Dev, DevGenesis, FromPool, dev_params, pin_examples,
    };
    use assay_pool::Pool;
    use assay_precompile::abi::IInference;
    use assay_runtime::Limits;
    use assay_state::{ModelStore, Store};
    use assay_types::{
        Certificate, Genesis, SetUpdate,
        certificate::SIGNATURE_BYTES,
        contracts::{array_slot, validators},
        digest::{Ballot, Validator as Member},
    };

    use super::*;
    use crate::CallLimits;

    alloy_sol_types::sol! {
        struct Change { address account; uint64 power; bytes32 x; bytes32 y; }
        function changeByAdmin(Change[] changes);
    }

    const VOLATILITY: B256 =
        b256!("a750e69ad44be5dee05ed66bcb3004b1259d6dabf9d707bf664e98edf7fefee9");

    /// A chain whose one validator is the first developer account, and that mines nothing by itself.
    struct Voted {
        backend: Backend,
        validator: Address,
        domain: Domain,
        genesis: Genesis,
    }

    impl Voted {
        fn start() -> Self {
            let accounts = Accounts::derive(DEFAULT_MNEMONIC, 1).unwrap();
            let account = accounts.addresses()[0];
            let models = Models::new(ModelStore::in_memory(), Limits::default(), dev_params());
            let mut validator = accounts.validator().unwrap();
            validator.account = account;
            let genesis = DevGenesis {
                accounts: [(account, U256::MAX >> 1)].into(),
                models: pin_examples(&models).unwrap(),
                validator: Some(validator),
                ..DevGenesis::default()
            };
            let genesis = genesis.build().unwrap();
            let chain = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
            let domain = Domain {
                genesis_hash: chain.head().hash,
                chain_id: chain.spec().chain_id,
            };
            let chain = Arc::new(chain.with_models(Arc::new(models)));
            let dev = Dev::new(chain, Arc::new(Pool::default()), accounts);
            dev.configure(|settings| settings.automine = false);
            Self {
                backend: Backend::with_dev(Arc::new(dev), CallLimits::default()),
                validator: account,
                domain,
                genesis,
            }
        }

        fn ask_model(&self) -> Value {
            let features = [21_000, 19_000, 17_000, -12_000, 9_000_i64];
            let call = IInference::predictCall {
                model: VOLATILITY,
                features: features.map(|f| I256::try_from(f).unwrap()).to_vec(),
            };
            let data = Bytes::from(call.abi_encode());
            let to = dev_params().inference;
            let transaction = json!([{"from": self.validator, "to": to, "data": data}]);
            self.backend
                .call("eth_sendTransaction", Some(transaction))
                .unwrap()
        }

        /// Builds a block of what waits and commits it as the validators' network does.
        fn decide(&self, round: u32) {
            let (chain, dev) = (&self.backend.chain, self.backend.dev.as_ref().unwrap());
            let base_fee = dev.pending_header().base_fee_per_gas;
            let mut waiting = FromPool::new(dev.pool(), base_fee);
            let executed = chain.build(&dev.attributes(), &mut waiting).unwrap();
            let (height, block_hash) = (executed.block.header().number, executed.block.hash());
            let digest = self
                .domain
                .vote(Ballot::Precommit, height, round, Some(block_hash));
            let signature = dev.accounts().sign_hash(self.validator, digest).unwrap();
            let signature: [u8; SIGNATURE_BYTES] = signature.as_bytes();
            let certificate = Certificate {
                height,
                round,
                block_hash,
                signatures: vec![signature],
            };
            chain.commit_decided(&executed, &certificate).unwrap();
            dev.pool().settle(executed.block.transactions());
        }

        /// Gives the validator another power, which it takes up with the next epoch.
        fn change_power(&self, from: u64, to: u64) {
            let dev = self.backend.dev.as_ref().unwrap();
            let contract = dev_params().validator_set;
            let member =
                U256::from_be_bytes(self.validator.into_word().0) | U256::from(from) << 160;
            dev.set_storage(contract, array_slot(validators::MEMBERS), member)
                .unwrap();
            dev.set_storage(contract, U256::from(validators::POWER), U256::from(from))
                .unwrap();
            let change = changeByAdminCall {
                changes: vec![Change {
                    account: self.validator,
                    power: to,
                    x: B256::ZERO,
                    y: B256::ZERO,
                }],
            };
            let data = Bytes::from(change.abi_encode());
            let transaction = json!([{"from": self.validator, "to": contract, "data": data}]);
            self.backend
                .call("eth_sendTransaction", Some(transaction))
                .unwrap();
        }

        fn hash_of_set(&self, power: u64) -> B256 {
            set_hash(&[Member {
                account: self.validator,
                power,
            }])
        }

        fn ask(&self, method: &str, block: &str) -> Value {
            self.backend.call(method, Some(json!([block]))).unwrap()
        }

        fn receipt(&self, transaction: &Value, call: &str) -> Result<Value, RpcError> {
            let params = json!([transaction, call]);
            self.backend.call("assay_getReceipt", Some(params))
        }
    }

    #[test]
    fn receipt_of_a_decided_block_verifies_against_its_validators() {
        let node = Voted::start();
        let first = node.ask_model();
        node.decide(0);
        let second = node.ask_model();
        node.decide(3);
        let set = node.hash_of_set(1);
        for (height, transaction) in [(1, first), (2, second)] {
            let answer = node.receipt(&transaction, "0x0").unwrap();
            let abi: Bytes = serde_json::from_value(answer["abi"].clone()).unwrap();
            let receipt = InferenceReceipt::decode(&abi).unwrap();
            let text = answer["receipt"].to_string();
            assert_eq!(InferenceReceipt::from_json(&text).unwrap(), receipt);
            let proven = receipt.verify(&node.domain, set).unwrap();
            assert_eq!((proven.height, proven.signed, proven.total), (height, 1, 1));
            assert_eq!(receipt.record.model_id, VOLATILITY);
        }
    }

    #[test]
    fn last_block_of_a_set_proves_the_next() {
        let node = Voted::start();
        node.change_power(10, 12);
        let power = |block| node.ask("assay_getValidators", block)["totalPower"].clone();
        node.decide(0);
        node.decide(0);
        // The set of block 1 gives way after it.
        assert_eq!((power("0x0"), power("0x1")), (json!("0xa"), json!("0xc")));
        let update = node.ask("assay_getSetUpdate", "0x1");
        assert_eq!(update["nextSetHash"], json!(node.hash_of_set(12)));
        assert_eq!(update["decision"]["validators"][0]["power"], "0xa");
        assert_eq!(update["requestsBefore"].as_array().unwrap().len(), 1);
        let mut read = SetUpdate::from_json(&update.to_string()).unwrap();
        let (old, new) = (node.hash_of_set(10), node.hash_of_set(12));
        assert_eq!(read.verify(&node.domain, old).unwrap().height, 1);
        assert!(read.verify(&node.domain, new).is_err());
        read.next_set_hash = old;
        assert!(read.verify(&node.domain, old).is_err());
        assert_eq!(node.ask("assay_getSetUpdate", "0x2"), Value::Null);
    }

    #[test]
    fn what_was_before_a_snapshot_is_pruned_history() {
        let node = Voted::start();
        for _ in 0..300 {
            node.decide(0);
        }
        let mut file = Vec::new();
        snapshot::take(&node.backend.chain, &mut file).unwrap();
        let store = Store::in_memory().unwrap();
        snapshot::restore(&node.genesis, &store, file.as_slice(), |_| {}).unwrap();
        let chain = Arc::new(Chain::open(&node.genesis, store).unwrap());
        let pool = Arc::new(Pool::default());
        let after = Backend::new(chain, pool, CallLimits::default());
        let ask = |method, params| after.call(method, Some(params));
        for (method, params) in [
            ("eth_getBlockByNumber", json!(["0x2c", false])),
            ("assay_getCertificate", json!(["0x2c"])),
            (
                "eth_getLogs",
                json!([{"fromBlock": "0x2c", "toBlock": "0x40"}]),
            ),
        ] {
            let error = ask(method, params).unwrap_err();
            assert_eq!(error.code, 4444, "{method}: {error}");
            assert!(error.message.ends_with("blocks from 45 on"), "{error}");
        }
        assert!(ask("eth_getBlockByNumber", json!(["0x0", false])).is_ok());
        let block = json!(["0x2d", true]);
        let same = |method, params: &Value| {
            let before = node.backend.call(method, Some(params.clone())).unwrap();
            assert_eq!(ask(method, params.clone()).unwrap(), before, "{method}");
        };
        same("eth_getBlockByNumber", &block);
        same("eth_getBlockReceipts", &json!(["0x2d"]));
        same("eth_getLogs", &json!([{"fromBlock": "0x2d"}]));
        let fees = ask("eth_feeHistory", json!(["0x400", "latest", []])).unwrap();
        assert_eq!(fees["oldestBlock"], "0x2d");
    }

    #[test]
    fn no_receipt_without_such_a_call_or_without_votes() {
        let node = Voted::start();
        let asked = node.ask_model();
        node.decide(0);
        assert_eq!(node.receipt(&asked, "0x1").unwrap(), Value::Null);
        let unknown = json!(B256::repeat_byte(1));
        assert_eq!(node.receipt(&unknown, "0x0").unwrap(), Value::Null);
        let later = node.ask_model();
        // A developer's block, which nobody voted on.
        node.backend.call("evm_mine", None).unwrap();
        let error = node.receipt(&later, "0x0").unwrap_err();
        assert!(
            error.message.contains("block 2 has no certificate here"),
            "{error}"
        );
    }
}
