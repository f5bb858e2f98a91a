//! The demo's beginning: validators, a model, a market, a loan.

use std::{fs, path::PathBuf};

use alloy_primitives::{B256, U256, utils::format_ether};
use assay_runtime::bundle::Bundle;
use serde_json::{Value, json};

use super::{
    market::{Loan, Market},
    story::{PATIENCE_S, Story, ether, late, text},
};
use crate::{
    cli::Failure,
    client::{number, parse, poll},
    network::{founding::unusable, processes::Processes},
    table::size,
};

/// The example model the market asks.
const MODEL: &str = "liquidation-risk";
/// Gold the borrower has; each is worth 100.
const GOLD: u64 = 10;
/// What the borrower asks for, and gets.
const FIRST_LOAN: u64 = 700;

/// A model that contracts can call.
pub(super) struct Published {
    pub(super) id: B256,
    pub(super) bundle: PathBuf,
}

impl Story {
    /// Starts the validators, and waits until each has a decided block.
    pub(super) fn decide_blocks(&self) -> Result<(), Failure> {
        self.screen.doing("starting four validators");
        // Kept before anything is waited for: Ctrl-C ends them too.
        self.keep(Processes::start(&self.members, false)?);
        for client in &self.clients {
            let decided = poll(PATIENCE_S, || {
                self.with(Processes::check)?;
                // Its port may still be closed.
                let Ok(head) = client.call("eth_blockNumber", json!([])) else {
                    return Ok(None);
                };
                Ok((number(&head, "block number")? > 0).then_some(()))
            })?;
            decided.ok_or_else(|| late("the first block"))?;
        }
        self.screen.done(
            "Four validators decide blocks, each a process with keys of its own.",
            &[],
        );
        Ok(())
    }

    /// Publishes the model through one node, and waits until all answer with it.
    pub(super) fn publish(&self) -> Result<Published, Failure> {
        self.screen.doing("publishing a model");
        let bytes = assay_dev::example(MODEL)
            .ok_or_else(|| Failure::failed(format!("no example model {MODEL}")))?;
        // The example names no publisher; a model is registered by the one it names.
        let example = Bundle::read(bytes.clone(), bytes.len() as u64).map_err(Failure::failed)?;
        let mut manifest = example.manifest().clone();
        manifest.publisher = self.wallet.address();
        let files = manifest.files.iter();
        let files = files
            .filter_map(|entry| Some((entry.name.clone(), example.file(&entry.name)?.clone())));
        let files = files.collect();
        let bundle = Bundle::pack(manifest, files).map_err(Failure::failed)?;
        let path = self.folder.join(format!("{MODEL}.assay"));
        let mut written = Vec::new();
        bundle
            .write_to(&mut written)
            .map_err(|error| unusable(&path, &error))?;
        fs::write(&path, written).map_err(|error| unusable(&path, &error))?;
        let said = self.assay(&[
            "model",
            "publish",
            &text(&path),
            "--rpc",
            &self.node(0)?.url(),
            "--json",
        ])?;
        let said: Value = serde_json::from_str(&said).map_err(Failure::failed)?;
        let id: B256 = parse(&said["id"], "model id")?;
        for client in self.clients.iter().skip(1) {
            let fetched = poll(PATIENCE_S, || {
                let status = client.call("assay_status", json!([]))?;
                let count = number(&status["voting"]["network"]["models_fetched"], "count")?;
                Ok((count > 0).then_some(()))
            })?;
            fetched.ok_or_else(|| late("the model on every validator"))?;
        }
        self.screen.done(
            &format!("Model {MODEL} is active: {} went to one node, the others fetched it, ran its sample rows and attested to it:", size(bundle.size_bytes())),
            &[id.to_string()],
        );
        Ok(Published { id, bundle: path })
    }

    /// Deploys the lending market.
    pub(super) fn deploy(&self, model: &Published) -> Result<Market, Failure> {
        self.screen.doing("deploying a lending market");
        let market = Market::deploy(self.client(0)?, &self.wallet, model.id)?;
        self.screen.done(
            &format!(
                "Lending market deployed at {}. Gold fell from 120 to 100 today.",
                market.market
            ),
            &["contracts/src/examples/lending/LendingMarket.sol".into()],
        );
        Ok(market)
    }

    /// Borrows: the market asks the model within the transaction.
    pub(super) fn lend(&self, market: &Market) -> Result<Loan, Failure> {
        self.screen.doing("borrowing on gold");
        let loan = market.first_loan(
            self.client(0)?,
            &self.wallet,
            ether(GOLD),
            ether(FIRST_LOAN),
        )?;
        let percent = |value: U256| -> Result<String, Failure> {
            let value: f64 = format_ether(value).parse().map_err(Failure::failed)?;
            Ok(format!("{:.2}%", 100.0 * value))
        };
        let risk = percent(loan.risk.unsigned_abs())?;
        let allowed = percent(loan.loan_to_value)?;
        self.screen.done(
            &format!("A loan of {FIRST_LOAN} on {GOLD} gold: the contract asked the model and acted on its answer in the same call. Liquidation risk {risk}, so it may lend {allowed} of the value."),
            &[format!("transaction {}", loan.transaction)],
        );
        Ok(loan)
    }
}
