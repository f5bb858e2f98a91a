//! `trace_`: flat traces, state differences and opcode traces in OpenEthereum's shapes.

use alloy_eips::{BlockId, eip1898::BlockNumHash};
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{LocalizedTransactionTrace, RewardAction, RewardType, TraceResults, TraceType},
};
use assay_executor::{Evm as _, SimulationRules, message, rewards};
use assay_state::StoredBlock;
use revm::context::{TxEnv, result::ResultAndState};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::{block::decode, call::Scene, call::scene},
    json::{self, value},
    method::{Method, heavy},
    replay::{Replay, place},
    resolve::At,
};

/// Most messages of one `trace_callMany`.
const MAX_CALLS: usize = 1_024;

pub(crate) const METHODS: &[Method] = &[
    heavy("trace_transaction", trace_transaction),
    heavy("trace_get", trace_get),
    heavy("trace_block", trace_block),
    heavy("trace_filter", trace_filter),
    heavy("trace_call", trace_call),
    heavy("trace_callMany", trace_call_many),
    heavy("trace_rawTransaction", trace_raw_transaction),
    heavy("trace_replayTransaction", replay_transaction),
    heavy("trace_replayBlockTransactions", replay_block),
];

/// What a client wants to know of a transaction.
type Types = HashSet<TraceType>;

fn trace_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    match transaction_traces(backend, arguments.hash()?)? {
        Some(traces) => value(&traces),
        None => Ok(Value::Null),
    }
}

fn trace_get(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    let path: Vec<alloy_primitives::U64> = arguments.next()?;
    let path: Vec<usize> = path.iter().map(|step| step.saturating_to()).collect();
    let traces = transaction_traces(backend, hash)?.unwrap_or_default();
    let found = traces
        .into_iter()
        .find(|trace| trace.trace.trace_address == path);
    value(&found)
}

fn transaction_traces(
    backend: &Backend,
    hash: B256,
) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
    let Some((at, index)) = backend.locate(hash)? else {
        return Ok(None);
    };
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, TracingInspector::default())?;
    traces(&mut replay, &block, index).map(Some)
}

fn traces(
    replay: &mut Replay<'_, TracingInspector>,
    block: &StoredBlock,
    index: usize,
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let inspector = TracingInspector::new(TracingInspectorConfig::default_parity());
    replay.watch(index, inspector, |evm, result| {
        std::mem::take(evm.inspector_mut())
            .with_transaction_gas_used(result.result.tx_gas_used())
            .into_parity_builder()
            .into_localized_transaction_traces(place(block, index))
    })
}

fn trace_block(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id: BlockId = arguments.next()?;
    match backend.find(Some(id))? {
        Some(at) => value(&block_traces(backend, &at)?),
        None => Ok(Value::Null),
    }
}

/// Traces all transactions of a block, and what it paid to miners.
fn block_traces(backend: &Backend, at: &At) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    if at.number == 0 && at.pending.is_none() {
        return Ok(Vec::new());
    }
    let block = at.block()?;
    let mut found = Vec::new();
    if !block.block.body.transactions.is_empty() {
        let mut replay = Replay::begin(backend, at, &block, TracingInspector::default())?;
        for index in 0..block.block.body.transactions.len() {
            found.extend(traces(&mut replay, &block, index)?);
        }
    }
    found.extend(reward_traces(backend, &block));
    Ok(found)
}

fn reward_traces(
    backend: &Backend,
    block: &StoredBlock,
) -> impl Iterator<Item = LocalizedTransactionTrace> {
    let place = BlockNumHash::new(block.block.header.number, block.hash);
    let paid = rewards(backend.chain.spec(), &block.block);
    let own = paid.block.map(|paid| (paid, RewardType::Block));
    let uncles = paid
        .uncles
        .into_iter()
        .map(|paid| (paid, RewardType::Uncle));
    own.into_iter()
        .chain(uncles)
        .map(move |((author, value), reward_type)| {
            let action = RewardAction {
                author,
                reward_type,
                value,
            };
            action.into_localized_trace(place)
        })
}

fn trace_filter(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (filter, tip) = (arguments.raw(), backend.chain.head().header.number);
    let filter = parse_filter(filter, tip)?;
    let (first, last) = (
        filter.from_block.unwrap_or(tip),
        filter.to_block.unwrap_or(tip).min(tip),
    );
    let (blocks, limit) = (backend.limits.trace_blocks, backend.limits.traces);
    if first > last {
        return Err(RpcError::params("invalid block range params"));
    }
    if last - first >= blocks {
        return Err(RpcError::params(format!(
            "block range is above {blocks} blocks"
        )));
    }
    let matcher = filter.matcher();
    let mut skip = filter.after.unwrap_or_default();
    let count = filter
        .count
        .map(|count| usize::try_from(count).unwrap_or(limit));
    let wanted = count.map_or(limit, |count| count.min(limit));
    let mut found = Vec::new();
    'blocks: for number in first..=last {
        let at = At::mined(backend.chain.reader()?, number);
        let traces = block_traces(backend, &at)?;
        for trace in traces.into_iter().filter(|t| matcher.matches(&t.trace)) {
            if skip > 0 {
                skip -= 1;
            } else if found.len() < wanted {
                found.push(trace);
            } else if count.is_some() {
                break 'blocks;
            } else {
                let message =
                    format!("filter matches more than {limit} traces: set after and count");
                return Err(RpcError::server(message));
            }
        }
    }
    value(&found)
}

/// Reads a filter; a block may be a number or a tag.
fn parse_filter(mut raw: Value, tip: u64) -> Result<TraceFilter, RpcError> {
    for field in ["fromBlock", "toBlock"] {
        let Some(given) = raw.get_mut(field) else {
            continue;
        };
        let number = match given.as_str() {
            Some("earliest") => 0,
            Some("latest" | "safe" | "finalized" | "pending") => tip,
            _ => continue,
        };
        *given = json::quantity(number);
    }
    serde_json::from_value(raw)
        .map_err(|error| RpcError::params(format!("invalid argument 0: {error}")))
}

fn trace_call(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let types: Types = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let state = arguments.optional()?;
    let block: Option<alloy_rpc_types_eth::BlockOverrides> = arguments.optional()?;
    let scene = scene(backend, &request, &at, state, block.as_ref())?;
    let message = scene.message.clone();
    let results = simulate(backend, &scene, vec![(message, types)])?;
    value(&results.into_iter().next())
}

fn trace_call_many(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let calls: Vec<(TransactionRequest, Types)> = arguments.next()?;
    if calls.len() > MAX_CALLS {
        let message = format!("{} calls, at most {MAX_CALLS}", calls.len());
        return Err(RpcError::params(message));
    }
    let at = backend.at(arguments.optional()?)?;
    let Some((first, _)) = calls.first() else {
        return Ok(json!([]));
    };
    let first = scene(backend, first, &at, None, None)?;
    let messages = calls
        .iter()
        .map(|(request, types)| {
            let message = scene(backend, request, &at, None, None)?.message;
            Ok((message, types.clone()))
        })
        .collect::<Result<Vec<_>, RpcError>>()?;
    value(&simulate(backend, &first, messages)?)
}

fn trace_raw_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let transaction = decode(&arguments.next::<Bytes>()?)?;
    let types: Types = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let sender = json::sender(&transaction)?;
    let scene = Scene {
        header: at.header()?,
        state: at.state()?,
        message: message(&transaction, sender),
    };
    let message = scene.message.clone();
    let results = simulate(backend, &scene, vec![(message, types)])?;
    value(&results.into_iter().next())
}

/// Runs messages one after another, each on what the ones before it left.
fn simulate<V>(
    backend: &Backend,
    scene: &Scene<V>,
    messages: Vec<(TxEnv, Types)>,
) -> Result<Vec<TraceResults>, RpcError>
where
    V: assay_types::StateView<Error = assay_state::StateError> + std::fmt::Debug,
{
    let mut simulation = backend.chain.executor().simulation(
        &scene.state,
        &scene.header,
        SimulationRules::CALL,
        TracingInspector::default(),
    );
    let mut all = Vec::with_capacity(messages.len());
    for (message, types) in messages {
        let config = TracingInspectorConfig::from_parity_config(&types);
        *simulation.evm_mut().inspector_mut() = TracingInspector::new(config);
        let result = simulation.run(message)?;
        let (db, inspector, _) = simulation.evm_mut().components_mut();
        all.push(results(std::mem::take(inspector), &result, &types, &*db)?);
        simulation.commit(result.state);
    }
    Ok(all)
}

fn results(
    inspector: TracingInspector,
    result: &ResultAndState,
    types: &Types,
    db: impl revm::DatabaseRef<Error: std::fmt::Display>,
) -> Result<TraceResults, RpcError> {
    inspector
        .with_transaction_gas_used(result.result.tx_gas_used())
        .into_parity_builder()
        .into_trace_results_with_state(result, types, db)
        .map_err(RpcError::internal)
}

fn replay_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (hash, types): (B256, Types) = (arguments.hash()?, arguments.next()?);
    let found = backend.locate(hash)?;
    let (at, index) = found.ok_or_else(|| RpcError::server("transaction not found"))?;
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, TracingInspector::default())?;
    value(&replayed(&mut replay, index, &types)?)
}

fn replay_block(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (id, types): (BlockId, Types) = (arguments.next()?, arguments.next()?);
    let Some(at) = backend.find(Some(id))? else {
        return Ok(Value::Null);
    };
    let block = at.block()?;
    if block.block.body.transactions.is_empty() {
        return Ok(json!([]));
    }
    let mut replay = Replay::begin(backend, &at, &block, TracingInspector::default())?;
    let mut all = Vec::new();
    for (index, transaction) in block.block.body.transactions.iter().enumerate() {
        let mut shown = value(&replayed(&mut replay, index, &types)?)?;
        if let Some(map) = shown.as_object_mut() {
            map.insert("transactionHash".into(), json!(transaction.tx_hash()));
        }
        all.push(shown);
    }
    Ok(all.into())
}

fn replayed(
    replay: &mut Replay<'_, TracingInspector>,
    index: usize,
    types: &Types,
) -> Result<TraceResults, RpcError> {
    let config = TracingInspectorConfig::from_parity_config(types);
    replay.watch(index, TracingInspector::new(config), |evm, result| {
        let (db, inspector, _) = evm.components_mut();
        results(std::mem::take(inspector), result, types, &*db)
    })?
}
