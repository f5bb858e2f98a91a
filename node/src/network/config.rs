//! The file a node of a network is run with: what it is called, where its keys and data lie, whom
//! it talks to. Paths are relative to the file's folder.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::B256;
use assay_library::Policy;
use serde::{Deserialize, Serialize};

use crate::cli::Failure;

/// A node's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Name in logs and metrics.
    pub(crate) name: String,
    /// Genesis of the network.
    pub(crate) genesis: PathBuf,
    /// Folder of the chain and the models.
    pub(crate) data: PathBuf,
    pub(crate) keys: Keys,
    pub(crate) consensus: Consensus,
    pub(crate) network: Gossip,
    #[serde(default)]
    pub(crate) rpc: Rpc,
    #[serde(default)]
    pub(crate) history: History,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// The node's own key: 64 hex digits.
    pub(crate) node: PathBuf,
    /// The validator's key, a keystore; a node without one follows and does not vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validator: Option<PathBuf>,
    /// File with the keystore's password; without it the environment's ASSAY_PASSWORD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// Log of what the validator's key signed. It belongs to the key: keep it when the data is
    /// restored from a backup.
    pub(crate) signed: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consensus {
    pub(crate) listen: SocketAddr,
    pub(crate) peers: Vec<SocketAddr>,
    /// Whether to learn of further peers from these.
    #[serde(default)]
    pub(crate) discover: bool,
    #[serde(default = "propose_timeout")]
    pub(crate) propose_timeout_ms: u64,
    #[serde(default = "vote_timeout")]
    pub(crate) vote_timeout_ms: u64,
    #[serde(default = "block_interval")]
    pub(crate) block_interval_ms: u64,
}

/// How transactions and models travel: a network of its own beside that of the votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gossip {
    pub(crate) listen: SocketAddr,
    pub(crate) peers: Vec<SocketAddr>,
    /// Take only these registered models before they are active; all when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only_models: Option<Vec<B256>>,
    /// Take registered models as long as all that are here stay below so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) models_up_to_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rpc {
    pub(crate) listen: SocketAddr,
    /// Whether models may be uploaded; `None` allows it where only this machine reaches the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uploads: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct History {
    /// Blocks whose state stays readable; all of them when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocks: Option<u64>,
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8545).into(),
            uploads: None,
        }
    }
}

const fn propose_timeout() -> u64 {
    3_000
}

const fn vote_timeout() -> u64 {
    1_000
}

const fn block_interval() -> u64 {
    1_000
}

impl Config {
    /// Reads a file; its paths become usable from anywhere.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::failed(format!("{}: {error}", path.display()))
                .hint("assay localnet, or docs/guides/validator.md for a file to begin with")
        })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let paths = [
            Some(&mut config.genesis),
            Some(&mut config.data),
            Some(&mut config.keys.node),
            Some(&mut config.keys.signed),
            config.keys.validator.as_mut(),
            config.keys.password_file.as_mut(),
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        Ok(config)
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self).map_err(Failure::failed)?;
        std::fs::write(path, text)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    }
}

impl Gossip {
    /// Returns which registered models the node takes.
    pub(crate) fn policy(&self) -> Policy {
        match (&self.only_models, self.models_up_to_bytes) {
            (Some(ids), _) => Policy::Only(ids.iter().copied().collect()),
            (None, Some(limit)) => Policy::UpTo(limit),
            (None, None) => Policy::All,
        }
    }
}

impl Consensus {
    /// Returns the propose timeout, the vote timeout and the block interval.
    pub(crate) const fn times(&self) -> [Duration; 3] {
        [
            Duration::from_millis(self.propose_timeout_ms),
            Duration::from_millis(self.vote_timeout_ms),
            Duration::from_millis(self.block_interval_ms),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_file_is_read_and_its_paths_follow_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let config = Config {
            name: "one".into(),
            genesis: "genesis.json".into(),
            data: "data".into(),
            keys: Keys {
                node: "keys/node".into(),
                validator: None,
                password_file: None,
                signed: "keys/signed".into(),
            },
            consensus: Consensus {
                listen: ([127, 0, 0, 1], 26_656).into(),
                peers: vec![([127, 0, 0, 1], 26_657).into()],
                discover: false,
                propose_timeout_ms: 1,
                vote_timeout_ms: 2,
                block_interval_ms: 3,
            },
            network: Gossip {
                listen: ([127, 0, 0, 1], 26_700).into(),
                peers: Vec::new(),
                only_models: Some(vec![B256::repeat_byte(1)]),
                models_up_to_bytes: None,
            },
            rpc: Rpc::default(),
            history: History::default(),
        };
        config.write(&path).unwrap();
        let read = Config::read(&path).unwrap();
        assert_eq!(read.genesis, folder.path().join("genesis.json"));
        assert_eq!(read.keys.signed, folder.path().join("keys/signed"));
        assert_eq!(read.consensus, config.consensus);
        assert_eq!(read.network, config.network);
    }

    #[test]
    fn unknown_field_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "name = 'x'\nport = 5\n").unwrap();
        let failure = Config::read(&path).unwrap_err();
        assert!(failure.to_string().contains("port"), "{failure}");
    }
}
