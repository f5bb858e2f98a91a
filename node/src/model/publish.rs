//! `assay model publish`: a bundle goes to a node, into the registry, and runs.

use std::path::PathBuf;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolInterface as _};
use assay_chain::Held;
use assay_runtime::bundle::{Bundle, HEADER_BYTES};
use assay_types::contracts::IModelRegistry;
use bytes::Bytes as Buffer;
use serde_json::{Value, json};

use super::file;
use crate::{
    cli::Failure,
    client::{CallError, Client, Refused, number, parse, poll},
    progress::Progress,
    table::{count, size},
    wallet::{Action, Wallet},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle (.assay), as `assay model pack` makes it.
    file: PathBuf,
    /// RPC address of the node: its operator's, because uploads are the operator's.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// Name to publish it under, owner/name; the owner's namespace is claimed when it is free.
    #[arg(long)]
    name: Option<String>,
    /// The publisher's private key; without it the node signs, if it holds the account.
    #[arg(long, env = "ASSAY_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The publisher's account at the node; the manifest's publisher when it is left out.
    #[arg(long, conflicts_with = "key")]
    account: Option<Address>,
    /// Seconds to wait for a block, and for the validators.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Whoever signs the publisher's transactions.
enum Sender {
    Key(Box<Wallet>),
    Node,
}

struct Publishing<'a> {
    args: &'a Args,
    client: Client,
    held: Held,
    manifest: Buffer,
    bundle: Buffer,
    registry: Address,
    precompile: Address,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let publishing = Publishing::open(args)?;
    let sender = publishing.sender()?;
    let before = publishing.model()?;
    let status = status_of(before.as_ref());
    match status.as_str() {
        "active" if args.name.is_none() => {
            return Err(Failure::failed(format!(
                "model {} is already registered and active",
                publishing.held.id
            ))
            .hint("`assay infer` with its id; --name gives it a name"));
        }
        "suspended" => {
            let id = publishing.held.id;
            return Err(Failure::failed(format!(
                "the validators suspended model {id}"
            )));
        }
        "active" | "scheduled" => {}
        _ => {
            publishing.upload()?;
            let registered = before.is_some_and(|model| model["registered"] == true);
            if !registered {
                publishing.register(&sender)?;
            }
        }
    }
    let model = publishing.wait_until_active()?;
    if let Some(name) = &args.name {
        publishing.publish_name(&sender, name)?;
    }
    publishing.report(&model)
}

fn status_of(model: Option<&Value>) -> String {
    let status = model.and_then(|model| model["status"].as_str());
    status.unwrap_or("unknown").to_owned()
}

impl<'a> Publishing<'a> {
    fn open(args: &'a Args) -> Result<Publishing<'a>, Failure> {
        let bytes = file::read(&args.file)?;
        let at = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("{}: {error}", args.file.display()))
        };
        let bundle = Bundle::read(bytes.clone(), u64::MAX)
            .map_err(|error| at(&error).hint("`assay model pack FILE`, to make a bundle"))?;
        let held = Held {
            id: bundle.model_id().0,
            manifest: bundle.manifest().clone(),
        };
        let client = Client::new(&args.rpc)?;
        let status = match client.call("assay_status", json!([])) {
            Err(CallError::Refused(Refused { code: -32_601, .. })) => {
                return Err(Failure::failed(format!("{} is no Assay node", args.rpc)));
            }
            answer => answer?,
        };
        let addresses = &status["addresses"];
        Ok(Publishing {
            args,
            held,
            manifest: bundle.manifest_bytes().clone(),
            bundle: bytes,
            registry: parse(&addresses["modelRegistry"], "registry address")?,
            precompile: parse(&addresses["inference"], "precompile address")?,
            client,
        })
    }

    /// Finds who signs, and that it is the publisher: nobody else may register the model.
    fn sender(&self) -> Result<Sender, Failure> {
        let publisher = self.held.publisher();
        if publisher.is_zero() {
            return Err(Failure::usage(
                "the manifest names no publisher, so nobody may register it",
            )
            .hint("`assay model pack ... --publisher ADDRESS`, then publish the new bundle"));
        }
        let wrong = |given: Address| {
            Failure::usage(format!(
                "wrong publisher: the manifest names {publisher}, {given} would sign"
            ))
            .hint("the publisher's --key, or `assay model pack ... --publisher` with yours")
        };
        if let Some(text) = &self.args.key {
            let key: PrivateKeySigner = text
                .parse()
                .map_err(|_| Failure::usage("--key is no private key: 32 bytes in hexadecimal"))?;
            return match key.address() == publisher {
                true => Ok(Sender::Key(Box::new(Wallet::new(key)))),
                false => Err(wrong(key.address())),
            };
        }
        if let Some(account) = self.args.account.filter(|account| *account != publisher) {
            return Err(wrong(account));
        }
        let accounts = self.client.call("eth_accounts", json!([]))?;
        let accounts: Vec<Address> = parse(&accounts, "accounts")?;
        match accounts.contains(&publisher) {
            true => Ok(Sender::Node),
            false => Err(Failure::usage(format!(
                "the node holds no key of the publisher {publisher}"
            ))
            .hint("the publisher's --key")),
        }
    }

    fn model(&self) -> Result<Option<Value>, Failure> {
        match self.client.call("assay_getModel", json!([self.held.id])) {
            Ok(model) => Ok(Some(model)),
            Err(CallError::Refused(Refused { code: -32_000, .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what the node does not have yet; an upload that was cut goes on.
    fn upload(&self) -> Result<(), Failure> {
        let begun = self.client.call(
            "assay_beginUpload",
            json!([Bytes::from(self.manifest.clone())]),
        );
        let begun = begun.map_err(refusal)?;
        if begun["held"] == true {
            return Ok(());
        }
        let total = number(&begun["size"], "size")?;
        let chunk = usize::try_from(number(&begun["chunkSize"], "chunk size")?).unwrap_or(1 << 20);
        let files = self
            .bundle
            .get(HEADER_BYTES + self.manifest.len()..)
            .unwrap_or_default();
        let progress = Progress::new("uploading", total);
        let mut offset = number(&begun["received"], "offset")?;
        while offset < total {
            progress.set(offset);
            let first = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = files.get(first..).unwrap_or_default();
            let part = Bytes::copy_from_slice(rest.get(..chunk.max(1)).unwrap_or(rest));
            let put = json!([self.held.id, format!("{offset:#x}"), part]);
            let answer = self.client.call("assay_putChunk", put).map_err(refusal)?;
            offset = number(&answer["received"], "offset")?;
        }
        progress.set(total);
        drop(progress);
        let committed = self
            .client
            .call("assay_commitUpload", json!([self.held.id]));
        committed.map_err(refusal).map(|_| ())
    }

    fn register(&self, sender: &Sender) -> Result<(), Failure> {
        let summary = self.held.summary();
        let deposit = IModelRegistry::depositForCall { size: summary.size };
        let deposit = self.client.ask(self.registry, &deposit)?;
        let call = IModelRegistry::registerCall {
            manifest: self.manifest.clone().into(),
            summary,
        };
        self.send(sender, &call, deposit)
    }

    fn wait_until_active(&self) -> Result<Value, Failure> {
        let id = self.held.id;
        let found = poll(self.args.timeout, || {
            let model = self.model()?;
            Ok(model.filter(|model| status_of(Some(model)) == "active"))
        })?;
        found.ok_or_else(|| {
            Failure::failed(format!(
                "model {id} is not active after {} s: validators with more than two thirds of the \
                 power must attest",
                self.args.timeout
            ))
            .hint("run the same command again: it goes on where this one stopped")
        })
    }

    /// Claims the namespace when it is free, and moves the name to the model.
    fn publish_name(&self, sender: &Sender, name: &str) -> Result<(), Failure> {
        let Some((namespace, _)) = name.split_once('/') else {
            return Err(Failure::usage(format!(
                "--name {name:?} is not of the form owner/name"
            )));
        };
        let namespace = namespace.to_owned();
        let owner = IModelRegistry::namespaceOwnerCall {
            namespace: namespace.clone(),
        };
        let owner = self.client.ask(self.registry, &owner)?.owner;
        if owner.is_zero() {
            let word = self
                .client
                .call("eth_getStorageAt", json!([self.registry, "0x2", "latest"]))?;
            let word: U256 = parse::<B256>(&word, "deposit")?.into();
            let deposit = (word >> 96) & ((U256::from(1) << 96) - U256::from(1));
            self.send(
                sender,
                &IModelRegistry::claimNamespaceCall { namespace },
                deposit,
            )?;
        } else if owner != self.held.publisher() {
            return Err(Failure::failed(format!(
                "the namespace {namespace:?} is {owner}'s, not the publisher's"
            )));
        }
        let call = IModelRegistry::publishCall {
            name: name.to_owned(),
            model: self.held.id,
        };
        self.send(sender, &call, U256::ZERO)
    }

    /// Sends a transaction to the registry and waits for its block.
    fn send(&self, sender: &Sender, call: &impl SolCall, value: U256) -> Result<(), Failure> {
        let from = self.held.publisher();
        let input = Bytes::from(call.abi_encode());
        let sent = match sender {
            Sender::Node => {
                let request =
                    json!({"from": from, "to": self.registry, "value": value, "input": input});
                self.client.call("eth_sendTransaction", json!([request]))
            }
            Sender::Key(wallet) => {
                let action = Action {
                    to: TxKind::Call(self.registry),
                    input,
                    value,
                    gas: None,
                };
                let raw = wallet.sign(&self.client, action).map_err(refusal)?;
                self.client.call("eth_sendRawTransaction", json!([raw]))
            }
        };
        let hash: B256 = parse(&sent.map_err(refusal)?, "transaction hash")?;
        self.client.wait(hash, self.args.timeout).map(|_| ())
    }

    fn report(&self, model: &Value) -> Result<(), Failure> {
        let id = self.held.id;
        let gas = match model["gas"].is_null() {
            true => None,
            false => Some((
                number(&model["gas"]["predict"], "gas")?,
                number(&model["gas"]["coldExtra"], "gas")?,
            )),
        };
        let call = self.example_call();
        if self.args.json {
            let gas = gas.map(|(predict, cold)| json!({"predict": predict, "coldExtra": cold}));
            let name = &self.args.name;
            println!(
                "{}",
                json!({"id": id, "name": name, "gas": gas, "call": call})
            );
            return Ok(());
        }
        println!(
            "{} is active ({})",
            self.held.title(),
            size(self.held.size_bytes())
        );
        println!("model id  {id}");
        if let Some(name) = &self.args.name {
            println!("name      {name}");
        }
        if let Some((predict, cold)) = gas {
            println!(
                "gas       {} for one row, {} more at the first touch in a transaction",
                count(predict),
                count(cold)
            );
        }
        if let Some(call) = call {
            println!("\n{call}");
        }
        Ok(())
    }

    /// Writes the `cast call` of a row in the middle of what each feature may be.
    fn example_call(&self) -> Option<String> {
        let features = &self.held.manifest.schema.features;
        if features.is_empty() {
            return None;
        }
        let row: Vec<String> = features.iter().map(example_value).collect();
        Some(format!(
            "cast call {} 'predict(bytes32,int256[])(int256[])' \\\n    {} \\\n    '[{}]' --rpc-url {}",
            hex::encode_prefixed(self.precompile),
            self.held.id,
            row.join(","),
            self.args.rpc
        ))
    }
}

/// Chooses a value a feature may have: its first category, or the middle of its range.
pub(crate) fn example_value(feature: &assay_runtime::manifest::Feature) -> String {
    if let Some(category) = feature.categories.first() {
        return category.code.to_string();
    }
    let half = |a: alloy_primitives::I256, b: alloy_primitives::I256| {
        let two = alloy_primitives::I256::try_from(2).ok()?;
        a.checked_add(b)?.checked_div(two)
    };
    let middle = feature
        .min
        .zip(feature.max)
        .and_then(|(min, max)| half(min, max));
    middle.unwrap_or_default().to_string()
}

/// Says a refusal in the registry's own words when it carries one of its errors.
fn refusal(error: CallError) -> Failure {
    let CallError::Refused(refused) = error else {
        return error.into();
    };
    let data: Option<Bytes> = serde_json::from_value(refused.data.clone()).ok();
    let named = data.and_then(|data| IModelRegistry::IModelRegistryErrors::abi_decode(&data).ok());
    match named {
        Some(named) => Failure::failed(format!("the registry refuses: {named:?}")),
        None => Failure::failed(refused),
    }
}
