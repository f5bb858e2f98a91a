//! `eth_`: sending, and the accounts that may.

use std::{collections::BTreeMap, time::Duration};

use alloy_consensus::{Transaction as _, TypedTransaction};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use assay_chain::Refusal;
use assay_dev::{Dev, DevError};
use assay_pool::Admission;
use assay_types::{StateView as _, Transaction};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::{
        block::{decode, receipt_of},
        call::{estimate, scene},
    },
    fees, json,
    json::value,
    method::{Method, heavy, light},
};

/// Longest a call waits for its transaction's block.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Code EIP-7966 gives to a transaction that was taken and is in no block in time.
const NOT_MINED_YET: i32 = 4;

pub(crate) const METHODS: &[Method] = &[
    light("eth_accounts", accounts),
    light("eth_requestAccounts", accounts),
    heavy("eth_sendRawTransaction", send_raw),
    heavy("eth_sendRawTransactionSync", send_raw_sync),
    heavy("eth_sendTransaction", send),
    heavy("eth_sendTransactionSync", send_sync),
    heavy("eth_sendUnsignedTransaction", send),
];

fn accounts(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    value(
        &backend
            .dev
            .as_ref()
            .map(|dev| dev.accounts().addresses())
            .unwrap_or_default(),
    )
}

fn send_raw(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    value(&submit_raw(backend, arguments)?)
}

fn send_raw_sync(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = submit_raw(backend, arguments)?;
    mined_receipt(backend, hash, arguments.optional_number()?)
}

fn submit_raw(backend: &Backend, arguments: &mut Arguments) -> Result<B256, RpcError> {
    let (transaction, sender) = raw(arguments)?;
    submit(backend, transaction, sender)
}

/// Reads a signed transaction and who signed it.
fn raw(arguments: &mut Arguments) -> Result<(Transaction, Address), RpcError> {
    let transaction = decode(&arguments.next::<Bytes>()?)?;
    let sender = json::sender(&transaction)?;
    Ok((transaction, sender))
}

/// Takes a transaction into the pool; in instant mining returns when its block exists.
fn submit(backend: &Backend, transaction: Transaction, sender: Address) -> Result<B256, RpcError> {
    let hash = admit(backend, transaction, sender)?;
    if let Some(dev) = instant(backend) {
        dev.submitted(hash)?;
    }
    Ok(hash)
}

/// Takes signed transactions into the pool, one after the other; in instant mining returns when all
/// have their block, which they share as far as it has room.
pub(crate) fn submit_together(
    backend: &Backend,
    requests: Vec<Result<Arguments, RpcError>>,
) -> Result<Vec<Result<B256, RpcError>>, RpcError> {
    let taken = requests.into_iter().map(|arguments| {
        let (transaction, sender) = raw(&mut arguments?)?;
        admit(backend, transaction, sender)
    });
    let mut taken: Vec<Result<B256, RpcError>> = taken.collect();
    let Some(dev) = instant(backend) else {
        return Ok(taken);
    };
    let hashes: Vec<B256> = taken.iter().flatten().copied().collect();
    let mut refused: BTreeMap<B256, Refusal> =
        dev.submitted_together(&hashes)?.into_iter().collect();
    for outcome in &mut taken {
        let refusal = outcome.as_ref().ok().and_then(|hash| refused.remove(hash));
        if let Some(refusal) = refusal {
            *outcome = Err(DevError::Refused(refusal).into());
        }
    }
    Ok(taken)
}

/// Returns the driver, when it mines as transactions arrive.
fn instant(backend: &Backend) -> Option<&Dev> {
    let dev = backend.dev.as_deref();
    dev.filter(|dev| dev.settings().automine)
}

/// Takes a transaction into the pool.
fn admit(backend: &Backend, transaction: Transaction, sender: Address) -> Result<B256, RpcError> {
    let instant = instant(backend).is_some();
    let judge = |transaction: &Transaction| admission(backend, transaction, sender, instant);
    let hash = backend.pool.admit_judged(transaction, sender, judge)?;
    // Without subscribers nobody listens: that is no failure.
    let _ = backend.admitted.send(hash);
    if instant {
        return Ok(hash);
    }
    if let Some(waiting) = backend.pool.get(hash) {
        if let Some(forward) = backend.forward.get() {
            forward.pass(&waiting.transaction);
        }
        if let Some(preexecution) = &backend.preexecution {
            preexecution.offer(waiting.transaction.clone(), sender);
        }
    }
    Ok(hash)
}

/// Reads what the pool must know of the chain to judge a transaction.
fn admission(
    backend: &Backend,
    transaction: &Transaction,
    sender: Address,
    instant: bool,
) -> Result<Admission, RpcError> {
    let header = backend.next_header();
    let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
    if instant && transaction.max_fee_per_gas() < base_fee {
        // It could not be mined now, and the caller waits for its block.
        return Err(RpcError::server("max fee per gas less than block base fee"));
    }
    Ok(backend.chain.admission(transaction, sender, &header)?)
}

/// Waits for a transaction's block, as long as the client says and at most [`LONGEST_WAIT`].
fn mined_receipt(
    backend: &Backend,
    hash: B256,
    timeout_ms: Option<u64>,
) -> Result<Value, RpcError> {
    let timeout = timeout_ms.map_or(LONGEST_WAIT, Duration::from_millis);
    let find = || receipt_of(backend, hash);
    let found = backend.mined.wait_for(timeout.min(LONGEST_WAIT), find)?;
    found.ok_or_else(|| RpcError {
        code: NOT_MINED_YET,
        message: "transaction was added but is not mined yet".into(),
        data: Some(json!(hash)),
    })
}

fn send(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (transaction, sender) = signed(backend, arguments.next()?)?;
    value(&submit(backend, transaction, sender)?)
}

fn send_sync(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (transaction, sender) = signed(backend, arguments.next()?)?;
    let timeout_ms = arguments.optional_number()?;
    let hash = submit(backend, transaction, sender)?;
    mined_receipt(backend, hash, timeout_ms)
}

/// Completes a request and signs it with a developer's key.
pub(super) fn signed(
    backend: &Backend,
    request: TransactionRequest,
) -> Result<(Transaction, Address), RpcError> {
    let dev = dev(backend)?;
    let sender = match request.from {
        Some(sender) => sender,
        None => *dev.accounts().addresses().first().ok_or_else(no_signer)?,
    };
    let request = filled(
        backend,
        TransactionRequest {
            from: Some(sender),
            ..request
        },
    )?;
    let typed: TypedTransaction = request.build_typed_tx().map_err(|request| {
        RpcError::params(format!(
            "transaction from {:?} is not complete",
            request.from
        ))
    })?;
    Ok((dev.sign(sender, typed)?, sender))
}

/// Returns who holds the keys.
pub(super) fn dev(backend: &Backend) -> Result<&Dev, RpcError> {
    backend.dev.as_deref().ok_or_else(no_signer)
}

fn no_signer() -> RpcError {
    RpcError::server("this node holds no keys: sign the transaction and send it raw")
}

/// Fills in what a request leaves open: nonce, chain id, fees, gas.
pub(super) fn filled(
    backend: &Backend,
    mut request: TransactionRequest,
) -> Result<TransactionRequest, RpcError> {
    let sender = request.from.unwrap_or_default();
    if request.nonce.is_none() {
        let account = backend.at(None)?.state()?.account(sender)?;
        let account = account.unwrap_or_default();
        let waiting = backend.pool.next_nonce(sender).unwrap_or_default();
        request.nonce = Some(waiting.max(account.nonce));
    }
    request.chain_id = Some(request.chain_id.unwrap_or(backend.chain.spec().chain_id));
    request.to = Some(request.to.unwrap_or(TxKind::Create));
    request.input.input = request.input.input.take().or(request.input.data.take());
    if request.gas_price.is_none() {
        let tip = match request.max_priority_fee_per_gas {
            Some(tip) => tip,
            None => fees::suggested_tip(backend)?,
        };
        let base_fee = backend.next_header().base_fee_per_gas.unwrap_or_default();
        let fee = u128::from(base_fee).saturating_mul(2).saturating_add(tip);
        let fee = request.max_fee_per_gas.unwrap_or(fee);
        request.max_fee_per_gas = Some(fee);
        request.max_priority_fee_per_gas = Some(tip.min(fee));
    }
    if request.gas.is_none() {
        let at = backend.pending()?;
        let mut scene = scene(backend, &request, &at, None, None)?;
        let cap = scene.header.gas_limit.min(backend.limits.gas);
        let assay = backend.chain.spec().assay.as_ref();
        scene.message.gas_limit = assay.map_or(cap, |a| cap.min(a.transaction_gas_cap));
        // What a message may cost is checked when it is sent, not while its gas is searched.
        scene.message.gas_price = 0;
        scene.message.gas_priority_fee = scene.message.gas_priority_fee.map(|_| 0);
        request.gas = Some(estimate(backend, &scene)?);
    }
    Ok(request)
}
