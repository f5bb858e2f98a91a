//! `assay doctor`: is this machine fit for a node, and fast enough to vote?

mod machine;
pub(crate) mod speed;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::B256;
use assay_consensus::KeyFile;
use clap::Args;
use serde_json::json;

use crate::{
    cli::Failure,
    keys,
    network::{config::Config, preflight::read_genesis},
    table::Table,
};
use speed::Speed;

#[derive(Args)]
pub(crate) struct Options {
    /// A node's configuration: its ports, keys, folders and peers are looked at, too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Measure whether this machine is fast enough to vote on the configuration's chain.
    #[arg(long, requires = "config")]
    validator: bool,
    /// A node to compare the clock with.
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Folder to look at where there is no configuration.
    #[arg(long, default_value = ".", conflicts_with = "config")]
    datadir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found of one thing.
#[derive(Debug, Clone)]
struct Check {
    name: &'static str,
    found: String,
    verdict: Verdict,
}

/// Whether it will do, and what to do where it will not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    Warned(String),
    Failed(String),
}

impl Check {
    const fn new(name: &'static str, found: String, verdict: Verdict) -> Self {
        Self {
            name,
            found,
            verdict,
        }
    }

    /// Makes a check of something that was found, or could not be.
    fn of(name: &'static str, found: Result<String, Failure>) -> Self {
        match found {
            Ok(found) => Self::new(name, found, Verdict::Passed),
            Err(failure) => Self::new(name, String::new(), Verdict::Failed(failure.to_string())),
        }
    }
}

impl Verdict {
    const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warned(_) => "warn",
            Self::Failed(_) => "FAIL",
        }
    }

    fn advice(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Warned(text) | Self::Failed(text) => text,
        }
    }
}

/// Looks at everything, prints what was found, and fails when something will not do.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut checks = vec![
        machine::cores(),
        machine::memory(),
        machine::instruction_set(),
        machine::numerics(),
        machine::open_files(),
    ];
    match &options.config {
        Some(path) => checks.extend(of_config(&Config::read(path)?, options.validator)),
        None => checks.push(machine::folder("data", &options.datadir)),
    }
    checks.extend(options.rpc.as_deref().map(machine::clock));
    print(&checks, options.json);
    let failed = |check: &&Check| matches!(check.verdict, Verdict::Failed(_));
    match checks.iter().filter(failed).count() {
        0 => Ok(()),
        count => Err(
            Failure::failed(format!("{count} of {} checks failed", checks.len()))
                .hint("the lines marked FAIL say what to do"),
        ),
    }
}

/// Looks at what a configuration names.
fn of_config(config: &Config, votes: bool) -> Vec<Check> {
    let mut checks = vec![
        machine::folder("data", &config.data),
        machine::port("consensus port", config.consensus.listen),
        machine::port("network port", config.network.listen),
        machine::port("rpc port", config.rpc.listen),
        machine::peers("consensus peers", &config.consensus.peers),
        machine::peers("network peers", &config.network.peers),
        Check::of(
            "node key",
            keys::read_secret(&config.keys.node).map(|_| shown(&config.keys.node)),
        ),
    ];
    let genesis = read_genesis(&config.genesis);
    let gas_limit = genesis
        .as_ref()
        .ok()
        .map(|genesis| genesis.block(B256::ZERO).header.gas_limit);
    checks.push(Check::of(
        "genesis",
        genesis.map(|genesis| format!("chain {}", genesis.spec.chain_id)),
    ));
    if let Some(path) = &config.keys.validator {
        checks.push(Check::of("validator key", account(config, path)));
        checks.push(Check::of("signature log", signatures(config)));
        if let Some(folder) = config.keys.signed.parent() {
            checks.push(machine::folder("signature folder", folder));
        }
    }
    if let Some(gas_limit) = gas_limit.filter(|_| votes) {
        let timeout = Duration::from_millis(config.consensus.propose_timeout_ms);
        match Speed::measure(gas_limit, timeout) {
            Ok(speed) => checks.push(of_speed(&speed)),
            Err(failure) => checks.push(Check::of("speed", Err(failure))),
        }
    }
    checks
}

fn of_speed(speed: &Speed) -> Check {
    let verdict = match speed.suffices() {
        true => Verdict::Passed,
        false => Verdict::Failed(
            "too slow to vote: a faster machine, or a longer consensus.propose_timeout_ms on every validator"
                .into(),
        ),
    };
    Check::new("speed", speed.summary(), verdict)
}

fn account(config: &Config, path: &Path) -> Result<String, Failure> {
    let password = keys::password(config.keys.password_file.as_deref())?;
    Ok(keys::decrypt(path, &password)?.address().to_string())
}

/// Reads the log of signatures, if there is one already.
fn signatures(config: &Config) -> Result<String, Failure> {
    let path = &config.keys.signed;
    if !path.exists() {
        return Ok(format!("{}: not begun", path.display()));
    }
    let log = KeyFile::new(path).open().map_err(Failure::failed)?;
    Ok(format!(
        "{}: signed up to height {}",
        path.display(),
        log.height()
    ))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn print(checks: &[Check], as_json: bool) {
    if as_json {
        let each: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "verdict": check.verdict.name().to_lowercase(),
                    "found": check.found,
                    "advice": check.verdict.advice(),
                })
            })
            .collect();
        println!("{}", json!({ "checks": each }));
        return;
    }
    let mut table = Table::new(&["check", "", "found", "what to do"]);
    for check in checks {
        table.row([
            check.name.to_owned(),
            check.verdict.name().to_owned(),
            check.found.clone(),
            check.verdict.advice().to_owned(),
        ]);
    }
    print!("{}", table.render());
}
