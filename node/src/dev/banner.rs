//! The first screen: what a developer needs to begin.

use std::{fmt::Write as _, net::SocketAddr};

use assay_chain::Held;
use assay_dev::Dev;

use super::Options;

/// Writes the first screen.
pub(super) fn text(dev: &Dev, models: &[Held], options: &Options, address: SocketAddr) -> String {
    let accounts = dev.accounts();
    let (head, spec) = (dev.chain().head(), dev.chain().spec());
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("\n  assay dev v{}\n", env!("CARGO_PKG_VERSION")));
    line("Available Accounts\n==================\n".into());
    for (index, account) in accounts.addresses().iter().enumerate() {
        line(format!(
            "({index}) {account} ({}.000000000000000000 ETH)",
            options.balance
        ));
    }
    line("\nPrivate Keys\n==================\n".into());
    for (index, key) in accounts.keys().iter().enumerate() {
        line(format!("({index}) {key}"));
    }
    line("\nWallet\n==================".into());
    line(format!("Mnemonic:          {}", options.mnemonic));
    line("Derivation path:   m/44'/60'/0'/0/".into());
    line(format!(
        "\nChain ID\n==================\n\n{}",
        spec.chain_id
    ));
    let base_fee = head.header.base_fee_per_gas.unwrap_or_default();
    line(format!("\nBase Fee\n==================\n\n{base_fee}"));
    line(format!(
        "\nGas Limit\n==================\n\n{}",
        head.header.gas_limit
    ));
    line(format!(
        "\nGenesis Timestamp\n==================\n\n{}",
        head.header.timestamp
    ));
    if let Some(assay) = &spec.assay {
        line("\nAssay\n==================\n".into());
        line(format!("Inference precompile: {}", assay.inference));
        line(format!("ModelRegistry:        {}", assay.model_registry));
        line(format!("ValidatorSet:         {}", assay.validator_set));
    }
    if !models.is_empty() {
        line("\nModels\n==================\n".into());
    }
    for model in models {
        line(format!("{}  {}", model.id, model.title()));
    }
    if let (Some(assay), Some(model)) = (&spec.assay, models.first()) {
        line(format!(
            "\nTry: cast call {} 'quotePredict(bytes32,uint256)(uint256,uint256)' {} 1 --rpc-url http://{address}",
            assay.inference, model.id
        ));
    }
    line(format!("\nListening on {address}"));
    out
}
