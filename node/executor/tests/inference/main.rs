//! Inference through a real EVM: a graph is packed, a contract calls it, blocks record it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod world;

use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, I256, Signature, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use assay_precompile::abi::IInference;
use assay_precompile::{Host, gas};
use assay_runtime::Limits;
use assay_runtime::numerics::Engine;
use assay_types::Transaction;
use revm::context::result::ExecutionResult;

use crate::world::*;

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
        gas_limit: 10_000_000,
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
fn many_calls_of_a_transaction_have_their_own_hashes() {
    let chain = chain(true);
    let mut execution = chain
        .executor
        .begin(chain.view.clone(), &header(9), &[], None)
        .unwrap();
    // More than wait to be hashed at once, then few.
    for (nonce, to) in [MANY, TWICE].into_iter().enumerate() {
        let call = transaction(nonce as u64, to, predict(&chain));
        execution.transact(&call, SENDER).unwrap();
    }
    let records = execution.finish().unwrap().records;
    let counters = (1..=CALLS).rev().map(last_feature);
    let features = counters.chain([units(4), units(4)]);
    assert_eq!(records.len(), usize::from(CALLS) + 2);
    for (record, last) in records.iter().zip(features) {
        let call = IInference::predictCall {
            model: chain.model,
            features: vec![units(3), last],
        }
        .abi_encode();
        let answer = chain.call(PRECOMPILE, call.clone()).into_output().unwrap();
        let found = (record.input_hash, record.output_hash);
        assert_eq!(found, (keccak256(call), keccak256(answer)), "{last}");
    }
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
