//! `eth_`: logs, and filters that are asked again and again.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use assay_state::{LogQuery, Reader};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    filters::Watched,
    json::{self, quantity, value},
    method::{Method, heavy},
    resolve::require_kept,
};

pub(crate) const METHODS: &[Method] = &[
    heavy("eth_getLogs", get_logs),
    heavy("eth_newFilter", new_filter),
    heavy("eth_newBlockFilter", new_block_filter),
    heavy("eth_newPendingTransactionFilter", new_pending_filter),
    heavy("eth_getFilterChanges", filter_changes),
    heavy("eth_getFilterLogs", filter_logs),
    heavy("eth_uninstallFilter", uninstall_filter),
];

fn get_logs(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let raw = arguments.raw();
    Ok(find(backend, &parse(raw)?)?.into())
}

/// Reads a filter; one that names a block and a range at once is refused.
pub(crate) fn parse(raw: Value) -> Result<Filter, RpcError> {
    let set = |name: &str| raw.get(name).is_some_and(|value| !value.is_null());
    if set("blockHash") && (set("fromBlock") || set("toBlock")) {
        return Err(RpcError::params(
            "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one \
             or the other",
        ));
    }
    serde_json::from_value(raw)
        .map_err(|error| RpcError::params(format!("invalid argument 0: {error}")))
}

/// Turns a filter into a query of the index.
pub(crate) fn query(filter: &Filter) -> LogQuery {
    let mut topics: [std::collections::BTreeSet<B256>; 4] = Default::default();
    for (set, wanted) in topics.iter_mut().zip(&filter.topics) {
        set.extend(wanted.iter().copied());
    }
    LogQuery {
        addresses: filter.address.iter().copied().collect(),
        topics,
    }
}

/// Finds the logs a filter asks for.
pub(crate) fn find(backend: &Backend, filter: &Filter) -> Result<Vec<Value>, RpcError> {
    let reader = backend.chain.reader()?;
    let (first, last) = match &filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => match reader.number(*hash)? {
            Some(number) => (number, number),
            None => return Err(RpcError::server("unknown block")),
        },
        FilterBlockOption::Range {
            from_block,
            to_block,
        } => range(backend, &reader, *from_block, *to_block)?,
    };
    let query = query(filter);
    let mut logs = Vec::new();
    for number in reader.blocks_with_logs(&query, first, last)? {
        logs.extend(logs_of(&reader, number, &query)?);
        if logs.len() > backend.limits.logs {
            let limit = backend.limits.logs;
            return Err(RpcError::server(format!(
                "query returned more than {limit} results"
            )));
        }
    }
    Ok(logs)
}

fn range(
    backend: &Backend,
    reader: &Reader,
    from: Option<BlockNumberOrTag>,
    to: Option<BlockNumberOrTag>,
) -> Result<(u64, u64), RpcError> {
    let tip = reader.tip();
    let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Earliest => 0,
        _ => tip,
    };
    let (first, last) = (number(from), number(to));
    if first > last {
        return Err(RpcError::params("invalid block range params"));
    }
    if last > tip {
        return Err(RpcError::params(
            "block range extends beyond current head block",
        ));
    }
    if last > 0 {
        require_kept(reader, first.max(1))?;
    }
    let limit = backend.limits.log_blocks;
    if last - first >= limit {
        return Err(RpcError::params(format!(
            "block range is above {limit} blocks"
        )));
    }
    Ok((first, last))
}

/// Writes the logs of one block that answer a query.
pub(crate) fn logs_of(
    reader: &Reader,
    number: u64,
    query: &LogQuery,
) -> Result<Vec<Value>, RpcError> {
    let receipts = reader.receipts(number)?.unwrap_or_default();
    let mut logs = receipts.iter().flat_map(|receipt| receipt.logs());
    // Most blocks of a wide query have nothing to show: they are not read at all.
    if !logs.any(|log| query.matches(log)) {
        return Ok(Vec::new());
    }
    let Some(block) = reader.block(number)? else {
        return Ok(Vec::new());
    };
    let mut position = 0;
    let mut found = Vec::new();
    for (index, receipt) in receipts.iter().enumerate() {
        for log in receipt.logs() {
            if query.matches(log) {
                found.push(json::log(log, &block, index, position)?);
            }
            position += 1;
        }
    }
    Ok(found)
}

fn new_filter(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let filter = parse(arguments.raw())?;
    install(backend, Watched::Logs(Box::new(filter)))
}

fn new_block_filter(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    install(backend, Watched::Blocks)
}

fn new_pending_filter(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    install(backend, Watched::Transactions)
}

fn install(backend: &Backend, watched: Watched) -> Result<Value, RpcError> {
    let next = match watched {
        Watched::Transactions => backend.pool.arrivals(),
        Watched::Blocks | Watched::Logs(_) => backend.chain.head().header.number.saturating_add(1),
    };
    let id = backend
        .filters()
        .install(watched, next, backend.limits.filters);
    id.map(quantity)
        .ok_or_else(|| RpcError::server("too many filters"))
}

fn id(arguments: &mut Arguments) -> Result<U256, RpcError> {
    arguments.next()
}

fn filter_changes(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id = id(arguments)?;
    let reader = backend.chain.reader()?;
    let unknown = || RpcError::server("filter not found");
    let watched = backend.filters().get(id).ok_or_else(unknown)?;
    let end = match watched {
        Watched::Transactions => backend.pool.arrivals(),
        Watched::Blocks | Watched::Logs(_) => reader.tip().saturating_add(1),
    };
    let first = backend.filters().advance(id, end).ok_or_else(unknown)?;
    match watched {
        Watched::Blocks => {
            let hashes = (first..end)
                .filter_map(|number| reader.hash(number).transpose())
                .collect::<Result<Vec<_>, _>>()?;
            value(&hashes)
        }
        Watched::Transactions => value(&backend.pool.arrived_since(first)),
        Watched::Logs(filter) => {
            let query = query(&filter);
            let mut logs = Vec::new();
            for number in reader.blocks_with_logs(&query, first, reader.tip())? {
                logs.extend(logs_of(&reader, number, &query)?);
            }
            Ok(logs.into())
        }
    }
}

fn filter_logs(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id = id(arguments)?;
    let watched = backend.filters().get(id);
    match watched {
        Some(Watched::Logs(filter)) => Ok(find(backend, &filter)?.into()),
        _ => Err(RpcError::server("filter not found")),
    }
}

fn uninstall_filter(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id = id(arguments)?;
    Ok(json!(backend.filters().uninstall(id)))
}
