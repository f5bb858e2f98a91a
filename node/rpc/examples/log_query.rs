//! Measures `eth_getLogs` over many blocks: `cargo run --release -p assay-rpc --example log_query [BLOCKS]`.
//!
//! Every hundredth block holds one log; the rest are empty. Queries go through the method table, so
//! the figures hold everything but the socket.

use std::{sync::Arc, time::Instant};

use alloy_consensus::{TxEip1559, TypedTransaction};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use assay_chain::{Attributes, Chain, Refusal, TransactionSource};
use assay_dev::{Accounts, DEFAULT_CHAIN_ID, DEFAULT_MNEMONIC, DevGenesis};
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits};
use assay_state::{Reader, Store};
use assay_types::Transaction;
use serde_json::{Value, json};

/// Blocks made when none are asked for.
const BLOCKS: u64 = 100_000;
/// Blocks from one with a log to the next.
const STRIDE: u64 = 100;
/// Runs of a query; the median is shown.
const RUNS: usize = 9;
/// Deploys code that logs its calldata's first word as a topic.
const LOGGER: [u8; 15] = hex!("6005600a5f3960055ff35f355f5fa1");

/// One transaction, or none.
struct Source(Option<(Transaction, Address)>);

impl TransactionSource for Source {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.0.take()
    }

    fn refused(&mut self, hash: B256, _: Address, refusal: Refusal) {
        eprintln!("transaction {hash} is refused: {refusal:?}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let blocks = match std::env::args().nth(1) {
        Some(blocks) => blocks.parse()?,
        None => BLOCKS,
    };
    let begun = Instant::now();
    let (chain, emitter) = grow(blocks)?;
    println!("{blocks} blocks made in {:.1?}", begun.elapsed());
    let chain = Arc::new(chain);
    let reader = chain.reader()?;
    let node = Backend::new(chain, Arc::new(Pool::default()), CallLimits::default());
    let topic = B256::from(U256::from(blocks / STRIDE / 2));
    let range = json!({"fromBlock": "0x0", "toBlock": format!("{blocks:#x}")});
    for (name, field, wanted) in [
        ("one topic", "topics", json!([topic])),
        ("one address", "address", json!(emitter)),
        ("no filter", "topics", json!([])),
    ] {
        let mut filter = range.clone();
        filter[field] = wanted;
        let (found, median) = measure(&node, &filter)?;
        println!("eth_getLogs over {blocks} blocks, {name}: {found} logs, median {median:.2?}");
    }
    let begun = Instant::now();
    let found = scan(&reader, blocks, topic)?;
    println!(
        "every receipt read instead, one topic: {found} logs, {:.2?}",
        begun.elapsed()
    );
    Ok(())
}

/// Counts the logs with a topic by reading the receipts of each block, as without an index.
fn scan(reader: &Reader, blocks: u64, topic: B256) -> Result<usize, Box<dyn std::error::Error>> {
    let mut found = 0;
    for number in 0..=blocks {
        let receipts = reader.receipts(number)?.unwrap_or_default();
        let logs = receipts.iter().flat_map(|receipt| receipt.logs());
        found += logs
            .filter(|log| log.topics().first() == Some(&topic))
            .count();
    }
    Ok(found)
}

/// Makes a chain of so many blocks and returns it with the emitter of its logs.
fn grow(blocks: u64) -> Result<(Chain, Address), Box<dyn std::error::Error>> {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 1)?;
    let sender = *accounts.addresses().first().ok_or("no account")?;
    let genesis = DevGenesis {
        accounts: vec![(sender, U256::from(10_u128.pow(24)))],
        ..DevGenesis::default()
    };
    let chain = Chain::open(&genesis.build()?, Store::scratch()?)?;
    let emitter = sender.create(0);
    let mut nonce = 0;
    for number in 1..=blocks {
        let transaction = match number % STRIDE {
            1 if nonce == 0 => Some((TxKind::Create, Bytes::from(LOGGER))),
            0 => Some((TxKind::Call(emitter), B256::from(U256::from(nonce)).into())),
            _ => None,
        };
        let mut source = Source(None);
        if let Some((to, input)) = transaction {
            let fields = TxEip1559 {
                chain_id: DEFAULT_CHAIN_ID,
                nonce,
                gas_limit: 200_000,
                max_fee_per_gas: 10_u128.pow(11),
                to,
                input,
                ..TxEip1559::default()
            };
            let signed = accounts.sign(sender, TypedTransaction::Eip1559(fields))?;
            source = Source(Some((signed, sender)));
            nonce += 1;
        }
        let executed = chain.build(&attributes(number), &mut source)?;
        chain.commit(&executed)?;
    }
    Ok((chain, emitter))
}

fn attributes(number: u64) -> Attributes {
    Attributes {
        timestamp: number,
        beneficiary: Address::ZERO,
        gas_limit: 60_000_000,
        base_fee: None,
        mix_hash: B256::ZERO,
        extra_data: Bytes::new(),
        beacon_root: B256::ZERO,
        withdrawals: Default::default(),
    }
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
