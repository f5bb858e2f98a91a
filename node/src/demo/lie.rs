//! The demo's end: one operator lies, is caught, and comes back.

use std::{fs, path::Path};

use alloy_primitives::keccak256;
use assay_state::Store;
use serde_json::json;

use super::{
    market::Market,
    story::{PATIENCE_S, Story, ether, late},
};
use crate::{
    cli::Failure,
    client::{number, poll},
    network::founding::{Member, unusable},
};

/// The validator whose operator lies.
const LIAR: usize = 3;
/// What the liar's database says a gold is worth.
const FALSE_PRICE: u64 = 200;
/// What the borrower asks for on top, which only the false price would carry.
const SECOND_LOAN: u64 = 500;
/// Heights within which every validator is drawn, short of bad luck nobody has.
const HEIGHTS_AHEAD: u64 = 200;

impl Story {
    /// Lets one operator write another price into his own database, and ask for a loan on it when
    /// it is his turn to propose. Answers the height of that block.
    pub(super) fn lie(&self, market: &Market) -> Result<u64, Failure> {
        self.screen.doing("one operator writes into his database");
        let liar = self.node(LIAR)?;
        self.while_stopped(LIAR, |data| {
            Store::open(data)
                .and_then(|store| {
                    store.damage(market.prices, market.price_slot(), ether(FALSE_PRICE))
                })
                .map_err(|error| Failure::failed(format!("{}: {error}", data.display())))
        })?;
        let raw = market.sign_loan(self.client(0)?, &self.wallet, ether(SECOND_LOAN))?;
        let height = self.turn_of(LIAR)?;
        self.screen.doing(&format!(
            "waiting for {}'s turn, block {height}",
            liar.name()
        ));
        let came = poll(PATIENCE_S, || {
            Ok((self.height(0)? + 1 >= height).then_some(()))
        })?;
        came.ok_or_else(|| late("the liar's turn"))?;
        self.client(LIAR)?
            .call("eth_sendRawTransaction", json!([raw]))?;
        let included = self.client(0)?;
        let hash = keccak256(&raw);
        let receipt = poll(PATIENCE_S, || {
            let receipt = included.call("eth_getTransactionReceipt", json!([hash]))?;
            Ok((!receipt.is_null()).then_some(receipt))
        })?;
        let receipt = receipt.ok_or_else(|| late("a block after the lie"))?;
        if receipt["status"] != "0x0" {
            return Err(Failure::failed("a loan on a false price was granted"));
        }
        self.screen.done(
            &format!("The operator of {} wrote into its database that gold is worth {FALSE_PRICE}. In its block the model sees a safer borrower, and grants {SECOND_LOAN} more.", liar.name()),
            &[],
        );
        number(&receipt["blockNumber"], "block number")
    }

    /// Shows who noticed the lie, and what was decided.
    pub(super) fn catch(&self, decided: u64) -> Result<(), Failure> {
        self.screen.doing("reading what the others noticed");
        let liar = self.node(LIAR)?;
        let stopped = poll(PATIENCE_S, || {
            let status = self.client(LIAR)?.call("assay_status", json!([]))?;
            Ok((!status["voting"]["stopped"].is_null()).then_some(()))
        })?;
        stopped.ok_or_else(|| late("the end of the liar's votes"))?;
        let mut details = Vec::new();
        for (client, member) in self.clients.iter().zip(&self.members) {
            let reports = client.call("assay_getDivergences", json!([]))?;
            let Some(report) = reports.as_array().and_then(|all| all.last()) else {
                continue;
            };
            let side = |name: &str| {
                let hash = report["inference"][name]["outputHash"]
                    .as_str()
                    .unwrap_or("none");
                hash.get(..10).unwrap_or(hash).to_owned()
            };
            let proposer = self.members.iter().find(|one| {
                one.account
                    .is_some_and(|account| json!(account) == report["proposer"])
            });
            details.push(format!(
                "{} recomputed {}.., {} proposed {}..",
                member.name(),
                side("ours"),
                proposer.map_or("?".into(), Member::name),
                side("theirs"),
            ));
        }
        if details.is_empty() {
            return Err(Failure::failed("nobody reported the lie"));
        }
        self.screen.done(
            &format!("Caught: the others recomputed the model's answer, and decided block {decided} without the loan. {} found itself alone and stopped voting.", liar.name()),
            &details,
        );
        Ok(())
    }

    /// Throws the false data away: the node takes the chain and the model from its peers again.
    pub(super) fn mend(&self) -> Result<(), Failure> {
        self.screen.doing("the liar's data is thrown away");
        let liar = self.node(LIAR)?;
        let height = self.while_stopped(LIAR, |data| {
            fs::remove_dir_all(data).map_err(|error| unusable(data, &error))
        })?;
        self.screen.done(
            &format!("The false data is thrown away: {} recomputed all {height} blocks from its peers, and votes again.", liar.name()),
            &[],
        );
        Ok(())
    }

    /// Stops a node, does something to its data, starts it again and waits until it votes. Answers
    /// its height.
    fn while_stopped(
        &self,
        index: usize,
        act: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let node = self.node(index)?;
        self.with(|processes| {
            processes.stop(index);
            Ok(())
        })?;
        act(&node.folder.join("data"))?;
        self.with(|processes| processes.start_again(index, node))?;
        self.follow(index)
    }

    /// Waits until a node that was started again is level with the others and votes.
    fn follow(&self, index: usize) -> Result<u64, Failure> {
        let client = self.client(index)?;
        let level = poll(PATIENCE_S, || {
            let target = self.height(0)?;
            // Its port may still be closed.
            let Ok(status) = client.call("assay_status", json!([])) else {
                return Ok(None);
            };
            let head = client.call("eth_blockNumber", json!([]))?;
            let head = number(&head, "block number")?;
            let votes = status["voting"]["validates"] == true;
            Ok((votes && head >= target && head > 0).then_some(head))
        })?;
        level.ok_or_else(|| late("the node that was started again"))
    }

    /// Finds the next height, with time to spare, whose first proposer is this one.
    fn turn_of(&self, index: usize) -> Result<u64, Failure> {
        let account = self.node(index)?.account;
        let soon = self.height(0)?.saturating_add(2);
        (soon..soon.saturating_add(HEIGHTS_AHEAD))
            .find(|height| self.set.proposer_at(*height, 0) == account)
            .ok_or_else(|| Failure::failed("the liar is never drawn to propose"))
    }
}
