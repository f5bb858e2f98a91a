//! The demo's middle: one answer on four nodes, and a receipt that needs none of them.

use std::{fs, path::Path};

use alloy_primitives::{B256, Bytes};
use serde_json::{Value, json};

use super::{
    lend::Published,
    market::Loan,
    story::{PATIENCE_S, Story, late, text},
};
use crate::{
    cli::Failure,
    client::{parse, poll},
    network::founding::unusable,
};

impl Story {
    /// Compares what four validators recorded of the model's answer.
    pub(super) fn compare(&self, loan: &Loan) -> Result<(), Failure> {
        self.screen.doing("comparing four nodes' records");
        let mut hashes = Vec::new();
        for client in &self.clients {
            let records = poll(PATIENCE_S, || {
                // The block may not be here yet.
                let Ok(records) = client.call("assay_getInferences", json!([loan.transaction]))
                else {
                    return Ok(None);
                };
                Ok(records
                    .as_array()
                    .is_some_and(|all| !all.is_empty())
                    .then_some(records))
            })?;
            let records = records.ok_or_else(|| late("the record of the answer"))?;
            hashes.push(parse::<B256>(&records[0]["outputHash"], "output hash")?);
        }
        let first = hashes.first().copied().unwrap_or_default();
        if hashes.iter().any(|hash| *hash != first) {
            return Err(Failure::failed(format!(
                "nodes recorded other answers: {hashes:?}"
            )));
        }
        self.screen.done(
            "All four validators computed the answer themselves before they voted, to the same bits:",
            &[first.to_string()],
        );
        Ok(())
    }

    /// Fetches the receipt of the answer and checks it without any node; a changed one fails.
    pub(super) fn prove(&self, loan: &Loan, model: &Published) -> Result<(), Failure> {
        self.screen.doing("checking the receipt");
        let receipt = self.folder.join("receipt.json");
        let genesis = self.folder.join("genesis.json");
        let transaction = loan.transaction.to_string();
        let url = self.node(1)?.url();
        self.assay(&[
            "receipt",
            &transaction,
            "--rpc",
            &url,
            "--out",
            &text(&receipt),
        ])?;
        let (genesis, bundle) = (text(&genesis), text(&model.bundle));
        let verify = |path: &Path| {
            self.assay(&[
                "verify",
                &text(path),
                "--genesis",
                &genesis,
                "--model",
                &bundle,
                "--json",
            ])
        };
        let said: Value = serde_json::from_str(&verify(&receipt)?).map_err(Failure::failed)?;
        let findings = said["findings"].as_array().cloned().unwrap_or_default();
        let details = findings.iter().map(|one| {
            let word = |name: &str| one[name].as_str().unwrap_or("?").to_owned();
            let detail = word("detail");
            // Hashes are in the command's own output.
            let detail = detail.split(" 0x").next().unwrap_or_default();
            let (what, verdict) = (word("what"), word("verdict"));
            format!("{what:<10} {verdict}: {detail}")
        });
        let mut details: Vec<String> = details.collect();
        let forged = self.folder.join("forged.json");
        let mut file: Value = read_json(&receipt)?;
        let mut output: Vec<u8> = parse::<Bytes>(&file["output"], "output")?.into();
        if let Some(last) = output.last_mut() {
            *last ^= 1;
        }
        file["output"] = json!(Bytes::from(output));
        fs::write(&forged, file.to_string()).map_err(|error| unusable(&forged, &error))?;
        match verify(&forged) {
            Ok(_) => {
                return Err(Failure::failed(
                    "a receipt with another answer was believed",
                ));
            }
            Err(refusal) => {
                let refusal = refusal.to_string();
                let what = refusal.split(':').next().unwrap_or_default();
                details.push(format!("with one bit of the answer flipped: {what} FAILS"));
            }
        }
        self.screen.done(
            "Its receipt holds offline, from the genesis and the model alone:",
            &details,
        );
        Ok(())
    }
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    let bytes = fs::read(path).map_err(|error| unusable(path, &error))?;
    serde_json::from_slice(&bytes).map_err(Failure::failed)
}
