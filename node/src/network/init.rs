//! `assay init`: the folder of a new node, with its keys and a configuration that explains itself.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use clap::Args;
use serde_json::json;

use super::founding::{make_keys, unusable};
use crate::{
    cli::{self, Failure},
    file::write_whole,
    keys,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Folder to make; one with a configuration is never written over.
    folder: PathBuf,
    /// Name in logs and metrics.
    #[arg(long, default_value = "node")]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The configuration; `NAME` is replaced.
const CONFIG: &str = r#"# A node of an Assay network: `assay node run --config config.toml`. Paths are relative to this file.
# docs/guides/validator.md explains every field; `assay doctor --validator --config config.toml` checks them.

# Name in logs and metrics.
name = "NAME"
# The network's first block: the same file on every node. Put it here.
genesis = "genesis.json"
# Folder of the chain and the models.
data = "data"

[keys]
# The node's own key, 64 hex digits: names it to its peers, signs no block.
node = "keys/node"
# The validator's key. Without these two lines the node follows and does not vote.
validator = "keys/validator.json"
password_file = "keys/password"
# What the key signed. It belongs to the key: keep it when `data` is restored from a backup.
signed = "keys/signed"

[consensus]
# Votes, proposals and blocks: open this port to the other validators.
listen = "0.0.0.0:26656"
# Their addresses: peers = ["203.0.113.5:26656", "203.0.113.6:26656"]
peers = []
# Milliseconds: a proposer's time in the first round, the time of a step's votes, and from block to block.
# The same on every validator.
propose_timeout_ms = 3000
vote_timeout_ms = 1000
block_interval_ms = 1000

[network]
# Transactions and models: open this port, too.
listen = "0.0.0.0:26700"
# peers = ["203.0.113.5:26700", "203.0.113.6:26700"]
peers = []
# Take registered models before they are active only up to so many bytes in all, or only some:
# models_up_to_bytes = 10000000000
# only_models = []

[rpc]
# JSON-RPC, /health, /ready and /metrics: keep it on this machine, or behind a proxy.
listen = "127.0.0.1:8545"

[history]
# Blocks whose state stays readable; all of them when this is left out.
# blocks = 100000
"#;

/// Makes the folder.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (folder, path) = (&options.folder, options.folder.join("config.toml"));
    if path.exists() || folder.join("keys").exists() {
        return Err(
            Failure::usage(format!("{} holds a node already", folder.display()))
                .hint("another folder; keys and configurations are never written over"),
        );
    }
    if options.name.is_empty() || options.name.contains(['"', '\\', '\n']) {
        return Err(Failure::usage(format!(
            "--name {:?}: letters without quotes are wanted",
            options.name
        )));
    }
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(|error| unusable(&data, &error))?;
    let key = make_keys(folder)?;
    let (x, y) = keys::public_key(&key);
    let public = json!({"account": key.address(), "x": B256::from(x), "y": B256::from(y)});
    write(
        &folder.join("validator.public.json"),
        &format!("{public}\n"),
    )?;
    // Last: a folder with a configuration is whole.
    write(&path, &CONFIG.replace("NAME", &options.name))?;
    let value = json!({"config": path, "validator": public});
    let config = path.display();
    cli::say(
        options.json,
        &value,
        format_args!(
            "made {config} with the keys of validator {}\n\
             next: give validator.public.json to whoever makes the genesis (assay genesis --validator FILE),\n      \
             put genesis.json beside it, fill in the peers, keep keys/ secret and backed up,\n      \
             assay doctor --validator --config {config}, assay node run --config {config}",
            key.address()
        ),
    );
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_whole(path, text.as_bytes()).map_err(|error| unusable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::config::Config;

    #[test]
    fn folder_is_made_once_and_its_configuration_is_read() {
        let home = tempfile::tempdir().unwrap();
        let options = Options {
            folder: home.path().join("alpha"),
            name: "alpha".into(),
            json: true,
        };
        run(&options).unwrap();
        let config = Config::read(&options.folder.join("config.toml")).unwrap();
        assert_eq!(config.name, "alpha");
        keys::read_secret(&config.keys.node).unwrap();
        let password = keys::password(config.keys.password_file.as_deref()).unwrap();
        let key = keys::decrypt(config.keys.validator.as_deref().unwrap(), &password).unwrap();
        let public = std::fs::read_to_string(options.folder.join("validator.public.json"));
        assert!(public.unwrap().contains(&format!("{:?}", key.address())));
        let before = std::fs::read(options.folder.join("config.toml")).unwrap();
        run(&options).unwrap_err();
        assert_eq!(
            std::fs::read(options.folder.join("config.toml")).unwrap(),
            before
        );
    }
}
