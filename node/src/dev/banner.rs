//! The first screen: what a developer needs to begin, in eighty columns where it can.

use std::{fmt::Write as _, net::SocketAddr};

use assay_dev::{Dev, EXAMPLE_CONTRACT};
use assay_rpc::Backend;
use serde_json::{Value, json};

use super::Choices;
use crate::table::count;

/// A row of the example contract's model.
const EXAMPLE_ROW: &str = "[21000,19000,17000,-12000,9000]";

/// Writes the first screen.
pub(super) fn text(dev: &Dev, backend: &Backend, choices: &Choices, address: SocketAddr) -> String {
    let mut screen = Screen::default();
    screen.line(format!("\n  assay dev v{}", env!("CARGO_PKG_VERSION")));
    screen.accounts(dev, choices);
    screen.chain(dev);
    let models = backend.call("assay_listModels", None);
    screen.models(&models.unwrap_or_else(|_| json!([])));
    if choices.examples {
        screen.example(address);
    }
    screen.line(format!("\nListening on {address}"));
    screen.0
}

/// Says the same for programs.
pub(super) fn json(dev: &Dev, backend: &Backend, choices: &Choices, address: SocketAddr) -> Value {
    let (accounts, spec) = (dev.accounts(), dev.chain().spec());
    let models = backend.call("assay_listModels", None);
    json!({
        "listening": address.to_string(),
        "chainId": spec.chain_id,
        "accounts": accounts.addresses(),
        "privateKeys": accounts.keys(),
        "mnemonic": choices.mnemonic,
        "addresses": spec.assay.as_ref().map(|assay| json!({
            "inference": assay.inference,
            "modelRegistry": assay.model_registry,
            "validatorSet": assay.validator_set,
        })),
        "models": models.unwrap_or_else(|_| json!([])),
        "exampleContract": choices.examples.then_some(EXAMPLE_CONTRACT),
    })
}

#[derive(Default)]
struct Screen(String);

impl Screen {
    fn line(&mut self, text: impl AsRef<str>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{}", text.as_ref());
    }

    fn heading(&mut self, text: &str) {
        self.line(format!("\n{text}\n==================\n"));
    }

    fn accounts(&mut self, dev: &Dev, choices: &Choices) {
        let accounts = dev.accounts();
        self.heading("Available Accounts");
        for (index, account) in accounts.addresses().iter().enumerate() {
            let balance = choices.balance;
            self.line(format!(
                "({index}) {account} ({balance}.000000000000000000 ETH)"
            ));
        }
        self.heading("Private Keys");
        for (index, key) in accounts.keys().iter().enumerate() {
            self.line(format!("({index}) {key}"));
        }
        self.heading("Wallet");
        self.line(format!("Mnemonic:          {}", choices.mnemonic));
        self.line("Derivation path:   m/44'/60'/0'/0/");
    }

    fn chain(&mut self, dev: &Dev) {
        let (head, spec) = (dev.chain().head(), dev.chain().spec());
        self.heading("Chain");
        self.line(format!("Chain ID:          {}", spec.chain_id));
        self.line(format!(
            "Base Fee:          {}",
            head.header.base_fee_per_gas.unwrap_or_default()
        ));
        self.line(format!("Gas Limit:         {}", head.header.gas_limit));
        self.line(format!("Newest block:      {}", head.header.number));
        self.line(format!("Timestamp:         {}", head.header.timestamp));
        if let Some(assay) = &spec.assay {
            self.line(format!("Inference:         {}", assay.inference));
            self.line(format!("ModelRegistry:     {}", assay.model_registry));
            self.line(format!("ValidatorSet:      {}", assay.validator_set));
        }
    }

    fn models(&mut self, models: &Value) {
        let Some(models) = models.as_array().filter(|models| !models.is_empty()) else {
            return;
        };
        self.heading("Models");
        for (index, model) in models.iter().enumerate() {
            let text = |name: &str| model[name].as_str().unwrap_or("?").to_owned();
            let gas = match model["gas"].is_null() {
                true => String::new(),
                false => format!(
                    ": {} gas a call, {} more at the first touch",
                    gas(&model["gas"]["predict"]),
                    gas(&model["gas"]["coldExtra"])
                ),
            };
            self.line(format!(
                "({index}) {}@{}{gas}",
                text("name"),
                text("version")
            ));
            self.line(format!("    {}", text("id")));
        }
    }

    fn example(&mut self, address: SocketAddr) {
        self.heading("Try");
        self.line(
            "A contract that asks the model `volatility` (contracts/src/examples/straddle):\n",
        );
        self.line(format!("cast call {EXAMPLE_CONTRACT} \\"));
        self.line("    'quote(uint256,int256[5])(uint256)' 2000000000000000000000 \\");
        self.line(format!("    '{EXAMPLE_ROW}' --rpc-url http://{address}"));
    }
}

fn gas(value: &Value) -> String {
    let number = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.map_or_else(|| "?".to_owned(), count)
}
