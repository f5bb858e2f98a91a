//! Measures `eth_getLogs` over many blocks: `cargo run --release --example log_query [BLOCKS]`.
//!
//! Every hundredth block holds one log; the rest are empty. Queries go through the method table, so
//! the figures hold everything but the socket.

use std::{sync::Arc, time::Instant};

use alloy_primitives::U256;
use assay_chain::Chain;
use assay_dev::{Accounts, DEFAULT_MNEMONIC, Dev, DevGenesis};
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits};
use assay_state::Store;
use serde_json::{Value, json};

/// Blocks made when none are asked for.
const BLOCKS: u64 = 100_000;
/// Blocks from one with a log to the next.
const STRIDE: u64 = 100;
/// Runs of a query; the median is shown.
const RUNS: usize = 9;
/// Where the emitter of logs stands.
const EMITTER: &str = "0x0000000000000000000000000000000000010650";
/// Logs its calldata's first word as a topic.
const LOGGER: &str = "0x5f355f5fa1";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let blocks = match std::env::args().nth(1) {
        Some(blocks) => blocks.parse()?,
        None => BLOCKS,
    };
    let node = node()?;
    let sender = ask(&node, "eth_accounts", json!([]))?[0].clone();
    ask(&node, "anvil_setCode", json!([EMITTER, LOGGER]))?;
    let begun = Instant::now();
    for round in 0..blocks / STRIDE {
        let word = format!("0x{round:064x}");
        let send = json!([{"from": sender, "to": EMITTER, "data": word, "gas": "0x186a0"}]);
        ask(&node, "eth_sendTransaction", send)?;
        ask(&node, "anvil_mine", json!([STRIDE - 1]))?;
    }
    println!("{blocks} blocks made in {:.1?}", begun.elapsed());
    let last = format!("0x{:x}", blocks / STRIDE * STRIDE);
    let topic = format!("0x{:064x}", blocks / STRIDE / 2);
    let range = json!({"fromBlock": "0x0", "toBlock": last});
    for (name, field, wanted) in [
        ("one topic", "topics", json!([topic])),
        ("one address", "address", json!(EMITTER)),
        ("no filter", "topics", json!([])),
    ] {
        let mut filter = range.clone();
        filter[field] = wanted;
        let (found, median) = measure(&node, &filter)?;
        println!("eth_getLogs over {blocks} blocks, {name}: {found} logs, median {median:.2?}");
    }
    Ok(())
}

fn node() -> Result<Backend, Box<dyn std::error::Error>> {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 1)?;
    let rich = accounts.addresses().into_iter();
    let genesis = DevGenesis {
        accounts: rich.map(|a| (a, U256::from(10_u128.pow(24)))).collect(),
        ..DevGenesis::default()
    };
    let chain = Chain::open(&genesis.build()?, Store::in_memory()?)?;
    let dev = Dev::new(Arc::new(chain), Arc::new(Pool::default()), accounts)?;
    Ok(Backend::with_dev(Arc::new(dev), CallLimits::default()))
}

fn ask(node: &Backend, method: &str, params: Value) -> Result<Value, assay_rpc::RpcError> {
    node.call(method, Some(params))
}

fn measure(
    node: &Backend,
    filter: &Value,
) -> Result<(usize, std::time::Duration), Box<dyn std::error::Error>> {
    let (mut found, mut times) = (0, Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let logs = ask(node, "eth_getLogs", json!([filter]))?;
        times.push(begun.elapsed());
        found = logs.as_array().map_or(0, Vec::len);
    }
    times.sort_unstable();
    Ok((found, times[RUNS / 2]))
}
