//! `eth_`: calls, gas estimates, access lists.

use std::fmt::Debug;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U256;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use assay_executor::{EvmContext, SimulationRules};
use assay_state::StateError;
use assay_types::{Header, Overlay, StateView};
use revm::{
    Inspector,
    context::{
        TxEnv,
        result::{ExecutionResult, HaltReason, ResultAndState},
    },
    inspector::NoOpInspector,
};
use revm_inspectors::access_list::AccessListInspector;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::message::{bend, bend_header, is_transfer, message},
    json::{quantity, value},
    method::{Method, medium},
    resolve::At,
};

/// Gas a plain transfer costs.
const TRANSFER_GAS: u64 = 21_000;
/// Gas a callee is given with value, on top of what it is sent.
const CALL_STIPEND: u64 = 2_300;
/// An estimate may lie this many thousandths above the least gas that works, as geth's does.
const ESTIMATE_SLACK_PER_MILLE: u64 = 15;
/// Runs after which an access list is taken as it is.
const MAX_ACCESS_LIST_RUNS: usize = 16;

pub(crate) const METHODS: &[Method] = &[
    medium("eth_call", call),
    medium("eth_estimateGas", estimate_gas),
    medium("eth_createAccessList", create_access_list),
];

/// One message and all it runs on.
pub(crate) struct Scene<V> {
    pub(crate) header: Header,
    pub(crate) state: Overlay<V>,
    pub(crate) message: TxEnv,
}

/// Reads the arguments of a call: request, block, changes to state and block.
pub(crate) fn scene(
    backend: &Backend,
    request: &TransactionRequest,
    at: &At,
    state: Option<StateOverride>,
    block: Option<&BlockOverrides>,
) -> Result<Scene<assay_state::StateSnapshot>, RpcError> {
    let mut header = at.header()?;
    bend_header(&mut header, block);
    let state = bend(at.state()?, state)?;
    let message = message(backend, request, &state, &header)?;
    if message.gas_price == 0 {
        // Nobody pays, so the message sees no base fee either.
        header.base_fee_per_gas = header.base_fee_per_gas.map(|_| 0);
    }
    Ok(Scene {
        header,
        state,
        message,
    })
}

impl<V: StateView<Error = StateError> + Debug> Scene<V> {
    /// Runs the message and throws its effects away.
    pub(crate) fn run(&self, backend: &Backend) -> Result<ExecutionResult, RpcError> {
        Ok(self
            .run_with(backend, self.message.clone(), NoOpInspector)?
            .result)
    }

    /// Runs a message in place of the scene's own, under an inspector.
    pub(crate) fn run_with<'a, I>(
        &'a self,
        backend: &Backend,
        message: TxEnv,
        inspector: I,
    ) -> Result<ResultAndState, RpcError>
    where
        I: Inspector<EvmContext<&'a Overlay<V>>>,
    {
        let executor = backend.chain.executor();
        let rules = SimulationRules::CALL;
        let mut simulation = executor.simulation(&self.state, &self.header, rules, inspector);
        Ok(simulation.run(message)?)
    }

    fn run_with_gas(&self, backend: &Backend, gas: u64) -> Result<ExecutionResult, RpcError> {
        let message = TxEnv {
            gas_limit: gas,
            ..self.message.clone()
        };
        Ok(self.run_with(backend, message, NoOpInspector)?.result)
    }
}

fn call(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let state: Option<StateOverride> = arguments.optional()?;
    let block: Option<BlockOverrides> = arguments.optional()?;
    let scene = scene(backend, &request, &at, state, block.as_ref())?;
    match scene.run(backend)? {
        ExecutionResult::Success { output, .. } => value(output.data()),
        failed => Err(failure(&failed, scene.message.gas_limit)),
    }
}

/// Says why a message failed.
pub(crate) fn failure(result: &ExecutionResult, gas: u64) -> RpcError {
    match result {
        ExecutionResult::Revert { output, .. } => RpcError::reverted(output),
        ExecutionResult::Halt { reason, .. } => RpcError::server(halt_message(reason, gas)),
        ExecutionResult::Success { .. } => RpcError::internal("failure of a success"),
    }
}

/// Words for an exceptional halt, as geth puts them.
pub(crate) fn halt_message(reason: &HaltReason, gas: u64) -> String {
    match reason {
        HaltReason::OutOfGas(_) => format!("out of gas (supplied gas {gas})"),
        HaltReason::OpcodeNotFound => "invalid opcode".into(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".into(),
        HaltReason::InvalidJump => "invalid jump destination".into(),
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)".into(),
        HaltReason::StackUnderflow => "stack underflow".into(),
        HaltReason::CallTooDeep => "max call depth exceeded".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        HaltReason::StateChangeDuringStaticCall => "write protection".into(),
        other => format!("{other:?}"),
    }
}

fn estimate_gas(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let id: Option<BlockId> = arguments.optional()?;
    let state: Option<StateOverride> = arguments.optional()?;
    let block: Option<BlockOverrides> = arguments.optional()?;
    let at = backend.at(Some(id.unwrap_or(BlockNumberOrTag::Pending.into())))?;
    let mut scene = scene(backend, &request, &at, state, block.as_ref())?;
    let cap = scene.header.gas_limit.min(backend.limits.gas);
    let cap = backend
        .chain
        .spec()
        .assay
        .as_ref()
        .map_or(cap, |a| cap.min(a.transaction_gas_cap));
    scene.message.gas_limit = request
        .gas
        .filter(|gas| *gas >= TRANSFER_GAS)
        .unwrap_or(cap)
        .min(cap);
    scene.message.gas_limit = scene.message.gas_limit.min(affordable_gas(&scene)?);
    Ok(quantity(estimate(backend, &scene)?))
}

/// Finds how much gas the sender can pay for, value aside.
fn affordable_gas<V: StateView<Error = StateError>>(scene: &Scene<V>) -> Result<u64, RpcError> {
    let message = &scene.message;
    if message.gas_price == 0 {
        return Ok(u64::MAX);
    }
    let balance = scene
        .state
        .account(message.caller)?
        .unwrap_or_default()
        .balance;
    let Some(rest) = balance.checked_sub(message.value) else {
        return Err(RpcError::server("insufficient funds for transfer"));
    };
    Ok((rest / U256::from(message.gas_price)).saturating_to())
}

/// Searches the least gas with which a message succeeds.
pub(crate) fn estimate<V>(backend: &Backend, scene: &Scene<V>) -> Result<u64, RpcError>
where
    V: StateView<Error = StateError> + Debug,
{
    let mut high = scene.message.gas_limit;
    if is_transfer(&scene.message, &scene.state)?
        && scene
            .run_with_gas(backend, TRANSFER_GAS)
            .is_ok_and(|result| result.is_success())
    {
        return Ok(TRANSFER_GAS);
    }
    let first = scene.run_with_gas(backend, high)?;
    match &first {
        ExecutionResult::Success { .. } => {}
        ExecutionResult::Halt {
            reason: HaltReason::OutOfGas(_),
            ..
        } => {
            return Err(RpcError::server(format!(
                "gas required exceeds allowance ({high})"
            )));
        }
        failed => return Err(failure(failed, high)),
    }
    let works = |gas| -> Result<bool, RpcError> {
        // Too little gas for the message's own bytes is refused before it runs: it does not work.
        Ok(scene
            .run_with_gas(backend, gas)
            .is_ok_and(|result| result.is_success()))
    };
    let used = first.tx_gas_used();
    let most = first.gas().total_gas_spent();
    let mut low = used.saturating_sub(1);
    let likely = most.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
    if likely < high {
        match works(likely)? {
            true => high = likely,
            false => low = likely,
        }
    }
    while low.saturating_add(1) < high {
        if (high - low).saturating_mul(1_000) < high.saturating_mul(ESTIMATE_SLACK_PER_MILLE) {
            break;
        }
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2));
        match works(middle)? {
            true => high = middle,
            false => low = middle,
        }
    }
    Ok(high)
}

fn create_access_list(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let state: Option<StateOverride> = arguments.optional()?;
    let mut scene = scene(backend, &request, &at, state, None)?;
    if scene.message.tx_type == 0 {
        scene.message.tx_type = 1;
    }
    let mut result = None;
    for _ in 0..MAX_ACCESS_LIST_RUNS {
        let mut inspector = AccessListInspector::new(scene.message.access_list.clone());
        result = Some(
            scene
                .run_with(backend, scene.message.clone(), &mut inspector)?
                .result,
        );
        let mut list = inspector.into_access_list();
        list.0.sort_by_key(|item| item.address);
        if list == scene.message.access_list {
            break;
        }
        scene.message.access_list = list;
    }
    let result = result.ok_or_else(|| RpcError::internal("access list without a run"))?;
    let mut answer = json!({
        "accessList": scene.message.access_list,
        "gasUsed": quantity(result.tx_gas_used()),
    });
    if let (Some(map), false) = (answer.as_object_mut(), result.is_success()) {
        let reason = match &result {
            ExecutionResult::Halt { reason, .. } => halt_message(reason, scene.message.gas_limit),
            _ => "execution reverted".into(),
        };
        map.insert("error".into(), reason.into());
    }
    Ok(answer)
}
