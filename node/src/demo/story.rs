//! What the demo's steps share: the nodes, their clients, the borrower's account.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::PoisonError,
};

use alloy_primitives::U256;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use assay_consensus::Members;
use assay_dev::DEFAULT_MNEMONIC;
use assay_types::Validator;
use serde_json::json;

use super::{Running, screen::Screen};
use crate::{
    cli::Failure,
    client::{self, Client},
    network::{
        founding::{Member, POWER, unusable},
        processes::Processes,
    },
    wallet::Wallet,
};

/// Longest wait for anything, in seconds.
pub(super) const PATIENCE_S: u64 = 60;

/// Everything the steps share.
pub(super) struct Story {
    pub(super) screen: Screen,
    pub(super) folder: PathBuf,
    pub(super) members: Vec<Member>,
    pub(super) clients: Vec<Client>,
    pub(super) set: Members,
    pub(super) wallet: Wallet,
    key: String,
    pub(super) running: Running,
}

impl Story {
    pub(super) fn new(
        folder: &Path,
        members: &[Member],
        running: Running,
    ) -> Result<Self, Failure> {
        let clients = members.iter().map(|member| Client::new(&member.url()));
        let validators = members.iter().filter_map(|member| member.account);
        let validators: Vec<Validator> = validators
            .map(|account| Validator {
                account,
                power: POWER,
            })
            .collect();
        // The first of the usual development accounts; its key is public.
        let key = MnemonicBuilder::<English>::default()
            .phrase(DEFAULT_MNEMONIC)
            .build()
            .map_err(Failure::failed)?;
        println!("Four validators on this machine, one lending market, one risk model, one lie.\n");
        Ok(Self {
            screen: Screen::new(),
            folder: folder.into(),
            members: members.to_vec(),
            clients: clients.collect::<Result<_, _>>()?,
            set: Members::new(&validators),
            key: key.to_bytes().to_string(),
            wallet: Wallet::new(key),
            running,
        })
    }

    pub(super) fn height(&self, index: usize) -> Result<u64, Failure> {
        let head = self.client(index)?.call("eth_blockNumber", json!([]))?;
        client::number(&head, "block number")
    }

    pub(super) fn client(&self, index: usize) -> Result<&Client, Failure> {
        self.clients
            .get(index)
            .ok_or_else(|| Failure::failed(format!("no node {index}")))
    }

    pub(super) fn node(&self, index: usize) -> Result<&Member, Failure> {
        self.members
            .get(index)
            .ok_or_else(|| Failure::failed(format!("no node {index}")))
    }

    pub(super) fn keep(&self, processes: Processes) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(processes);
    }

    pub(super) fn with(
        &self,
        act: impl FnOnce(&mut Processes) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .as_mut()
            .map_or_else(|| Err(Failure::failed("the network was stopped")), act)
    }

    /// Runs a command of this binary, as a user would.
    pub(super) fn assay(&self, args: &[&str]) -> Result<String, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let done = Command::new(&program)
            .args(args)
            .env("ASSAY_KEY", &self.key)
            .output();
        let done = done.map_err(|error| unusable(&program, &error))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let said = said
            .lines()
            .next()
            .unwrap_or("no word")
            .trim_start_matches("error: ");
        Err(Failure::failed(said))
    }
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn late(what: &str) -> Failure {
    Failure::failed(format!("{what}: not within {PATIENCE_S} s"))
}

pub(super) fn ether(count: u64) -> U256 {
    U256::from(count).saturating_mul(U256::from(10).pow(U256::from(18)))
}
