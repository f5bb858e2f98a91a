//! A process killed while it commits leaves whole blocks, and none it acknowledged is lost.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use alloy_consensus::BlockBody;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, U256};
use assay_state::{ExecutedBlock, Store};
use assay_types::{Account, AccountChange, Block, Header, RecoveredBlock, StateChanges};

/// Set for the process that is killed: where it writes.
const FOLDER: &str = "ASSAY_CRASH_TEST_FOLDER";
/// How often a process is killed.
const KILLS: u64 = 12;

fn block(number: u64) -> RecoveredBlock {
    let header = Header {
        number,
        ..Header::default()
    };
    RecoveredBlock::with_senders(Block::new(header, BlockBody::default()), Vec::new()).unwrap()
}

/// Changes some accounts and slots, others in each block.
fn changes(number: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    for index in 0..20_u64 {
        let address = Address::from_word(B256::from(U256::from(number * 7 + index)));
        let account = Account {
            nonce: number,
            balance: U256::from(number * 100 + index),
            ..Account::default()
        };
        let change = AccountChange {
            account: Some(account),
            wiped: number.is_multiple_of(5),
            storage: [(U256::from(index), U256::from(number))].into(),
        };
        changes.accounts.insert(address, change);
    }
    changes
}

fn commit(store: &Store, number: u64) {
    let (changes, requests) = (changes(number), Requests::default());
    let trie = store.root(&changes).unwrap();
    let executed = ExecutedBlock {
        block: &block(number),
        changes: &changes,
        trie: &trie,
        receipts: &[],
        records: &[],
        requests: &requests,
        certificate: None,
        set_update: None,
    };
    store.commit(&executed).unwrap();
}

fn open(folder: Option<&Path>) -> Store {
    let store = match folder {
        Some(folder) => Store::open(folder).unwrap(),
        None => Store::in_memory().unwrap(),
    };
    if store.genesis().unwrap().is_none() {
        let genesis = changes(0);
        let trie = store.root(&genesis).unwrap();
        store.initialize(&block(0), &genesis, &trie).unwrap();
    }
    store
}

/// Commits blocks until it is killed, and says which are in.
#[test]
fn commits_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = open(Some(Path::new(&folder)));
    let mut number = store.reader().unwrap().tip();
    loop {
        number += 1;
        commit(&store, number);
        println!("\nblock {number}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn killed_process_leaves_whole_blocks_and_loses_none_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "commits_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut blocks =
            lines.filter_map(|line| line.ok()?.strip_prefix("block ")?.parse::<u64>().ok());
        // A different number of blocks each time, and then at once, amid the next commit.
        for _ in 0..=(kill * 5 % 7) {
            acknowledged = blocks.next().expect("the process commits");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(Some(folder.path()));
        let tip = store.reader().unwrap().tip();
        assert!(
            tip >= acknowledged,
            "tip {tip}, acknowledged {acknowledged}"
        );
        let oracle = open(None);
        (1..=tip).for_each(|number| commit(&oracle, number));
        let none = StateChanges::default();
        assert_eq!(
            store.root(&none).unwrap().root,
            oracle.root(&none).unwrap().root
        );
        acknowledged = tip;
    }
    assert!(acknowledged >= KILLS);
}
