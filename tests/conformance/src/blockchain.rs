//! Blockchain tests: whole blocks, valid and invalid, through the chain service.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Decodable as _;
use assay_chain::Chain;
use assay_state::Store;
use assay_types::{Block, GenesisAccount, allocate};
use eyre::{Result, WrapErr as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::fork::{BlobSchedule, chain_spec};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    network: String,
    #[serde(rename = "genesisRLP")]
    genesis_rlp: Bytes,
    blocks: Vec<TestBlock>,
    pre: BTreeMap<Address, GenesisAccount>,
    #[serde(rename = "lastblockhash")]
    last_block_hash: B256,
    post_state: Option<BTreeMap<Address, GenesisAccount>>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    chainid: Option<U256>,
    blob_schedule: BlobSchedule,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestBlock {
    rlp: Bytes,
    expect_exception: Option<String>,
}

/// Imports the blocks of a blockchain test, refusing the invalid ones, and compares the end.
///
/// # Errors
/// With the first difference.
pub fn run(case: Value) -> Result<()> {
    let case: Case = serde_json::from_value(case)?;
    let chain_id = case.config.chainid.map_or(1, |id| id.saturating_to());
    let spec = chain_spec(&case.network, chain_id, &case.config.blob_schedule)?;
    let genesis = Block::decode(&mut case.genesis_rlp.as_ref())?;
    let chain = Chain::begin(spec, genesis, &allocate(&case.pre), Store::in_memory()?)?;
    for (index, block) in case.blocks.iter().enumerate() {
        import(&chain, block).wrap_err_with(|| format!("block {index}"))?;
    }
    let head = chain.head();
    let wanted = case.last_block_hash;
    ensure!(
        head.hash == wanted,
        "newest block is {}, should be {wanted}",
        head.hash
    );
    if let Some(post) = &case.post_state {
        // The root pins the state; the comparison shows that the flat tables agree with it.
        let root = Store::in_memory()?.root(&allocate(post))?.root;
        ensure!(root == head.header.state_root, "post state has root {root}");
        compare(&chain, post)?;
    }
    Ok(())
}

fn import(chain: &Chain, block: &TestBlock) -> Result<()> {
    let mut rlp = block.rlp.as_ref();
    let outcome = chain.import(&mut rlp);
    match (&block.expect_exception, outcome) {
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(error.into()),
        (Some(reason), Ok(_)) => bail!("accepted, should be refused: {reason}"),
        (Some(_), Err(error)) if error.blames_block() => Ok(()),
        (Some(_), Err(assay_chain::ChainError::NotOnHead { .. })) => Ok(()),
        (Some(reason), Err(error)) => bail!("blamed this machine ({error}) for {reason}"),
    }
}

fn compare(chain: &Chain, post: &BTreeMap<Address, GenesisAccount>) -> Result<()> {
    let reader = chain.reader()?;
    let accounts = reader.accounts()?;
    ensure!(
        accounts.len() == post.len(),
        "{} accounts, should be {}",
        accounts.len(),
        post.len()
    );
    let wanted = allocate(post);
    for (address, account) in accounts {
        let change = wanted.accounts.get(&address);
        let found = Some(account);
        ensure!(
            change.and_then(|change| change.account) == found,
            "account {address}: {found:?}"
        );
        let slots: BTreeMap<U256, U256> = reader.storage_of(address)?.into_iter().collect();
        ensure!(
            change.map(|c| &c.storage) == Some(&slots),
            "storage of {address}: {slots:?}"
        );
    }
    Ok(())
}
