//! `anvil_`: balances and allowances of tokens, found and set in their contract's storage.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use revm::context::result::ExecutionResult;
use revm_inspectors::access_list::AccessListInspector;
use serde_json::Value;

use crate::{
    Backend, RpcError,
    anvil::dev,
    arguments::Arguments,
    eth::call::scene,
    method::{Method, heavy},
};

/// Selector of `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = hex!("70a08231");
/// Selector of `allowance(address,address)`.
const ALLOWANCE: [u8; 4] = hex!("dd62ed3e");
/// Most slots tried; a getter that reads more is not one of a plain token.
const MAX_SLOTS: usize = 64;

pub(crate) const METHODS: &[Method] = &[
    heavy("anvil_dealERC20", deal),
    heavy("hardhat_dealERC20", deal),
    heavy("anvil_setERC20Balance", deal),
    heavy("anvil_setERC20Allowance", set_allowance),
];

fn deal(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (owner, token): (Address, Address) = (arguments.next()?, arguments.next()?);
    let balance: U256 = arguments.next()?;
    let question = [&BALANCE_OF[..], owner.into_word().as_slice()].concat();
    write(backend, token, question.into(), balance)
}

fn set_allowance(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (owner, spender): (Address, Address) = (arguments.next()?, arguments.next()?);
    let token: Address = arguments.next()?;
    let amount: U256 = arguments.next()?;
    let (owner, spender) = (owner.into_word(), spender.into_word());
    let question = [&ALLOWANCE[..], owner.as_slice(), spender.as_slice()].concat();
    write(backend, token, question.into(), amount)
}

/// Finds the slot that decides a token's answer to a question and writes the wanted answer there.
fn write(
    backend: &Backend,
    token: Address,
    question: Bytes,
    wanted: U256,
) -> Result<Value, RpcError> {
    let request = TransactionRequest::default()
        .to(token)
        .input(question.into());
    let (_, read) = ask(backend, &request, None)?;
    for (contract, slot) in read.into_iter().take(MAX_SLOTS) {
        let mut bent = StateOverride::default();
        bent.entry(contract).or_default().state_diff =
            Some([(slot, B256::from(wanted))].into_iter().collect());
        let (answer, _) = ask(backend, &request, Some(bent))?;
        if answer == Some(wanted) {
            dev(backend)?.set_storage(contract, slot.into(), wanted)?;
            return Ok(Value::Null);
        }
    }
    Err(RpcError::server(format!(
        "no storage slot of {token} decides the answer: it is no plain ERC-20 token"
    )))
}

type Slots = Vec<(Address, B256)>;

/// Calls a token and lists the slots it read.
fn ask(
    backend: &Backend,
    request: &TransactionRequest,
    bent: Option<StateOverride>,
) -> Result<(Option<U256>, Slots), RpcError> {
    let scene = scene(backend, request, &backend.at(None)?, bent, None)?;
    let mut inspector = AccessListInspector::default();
    let result = scene.run_with(backend, scene.message.clone(), &mut inspector)?;
    let answer = match &result.result {
        ExecutionResult::Success { output, .. } => output.data().get(..32).map(U256::from_be_slice),
        _ => None,
    };
    let read = inspector.into_access_list().0.into_iter();
    let mut slots: Slots = read
        .flat_map(|item| {
            let slots = item.storage_keys.into_iter();
            slots.map(move |slot| (item.address, slot))
        })
        .collect();
    slots.sort_unstable();
    Ok((answer, slots))
}
