//! Turns the fork names of the test suites into chain rules.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use assay_types::{ChainConfig, ChainSpec};
use eyre::{OptionExt as _, Result, bail};

/// What starts a fork.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Block,
    Merge,
    Time,
}

/// Forks in order, with the field of geth's config that starts each.
const FORKS: &[(&[&str], &str, Start)] = &[
    (&["Frontier"], "", Start::Block),
    (&["Homestead"], "homesteadBlock", Start::Block),
    (&["EIP150", "TangerineWhistle"], "eip150Block", Start::Block),
    (&["EIP158", "SpuriousDragon"], "eip158Block", Start::Block),
    (&["Byzantium"], "byzantiumBlock", Start::Block),
    (&["Constantinople"], "constantinopleBlock", Start::Block),
    (
        &["ConstantinopleFix", "Petersburg"],
        "petersburgBlock",
        Start::Block,
    ),
    (&["Istanbul"], "istanbulBlock", Start::Block),
    (&["MuirGlacier"], "muirGlacierBlock", Start::Block),
    (&["Berlin"], "berlinBlock", Start::Block),
    (&["London"], "londonBlock", Start::Block),
    (&["ArrowGlacier"], "arrowGlacierBlock", Start::Block),
    (&["GrayGlacier"], "grayGlacierBlock", Start::Block),
    (&["Merge", "Paris"], "terminalTotalDifficulty", Start::Merge),
    (&["Shanghai"], "shanghaiTime", Start::Time),
    (&["Cancun"], "cancunTime", Start::Time),
    (&["Prague"], "pragueTime", Start::Time),
    (&["Osaka"], "osakaTime", Start::Time),
    (&["BPO1"], "bpo1Time", Start::Time),
    (&["BPO2"], "bpo2Time", Start::Time),
    (&["BPO3"], "bpo3Time", Start::Time),
    (&["BPO4"], "bpo4Time", Start::Time),
    (&["BPO5"], "bpo5Time", Start::Time),
];

/// One entry of a fixture's blob schedule.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobEntry {
    target: U256,
    max: U256,
    base_fee_update_fraction: U256,
}

/// Blob limits by fork name.
pub type BlobSchedule = BTreeMap<String, BlobEntry>;

/// Builds the rules of a network named as the suites do: a fork, or one that follows another
/// (`LondonToParisAt5`, `CancunToPragueAtTime15k`).
///
/// # Errors
/// When a name is unknown.
pub fn chain_spec(network: &str, chain_id: u64, blobs: &BlobSchedule) -> Result<ChainSpec> {
    let (before, after, at) = split(network)?;
    let mut config = serde_json::Map::new();
    config.insert("chainId".into(), chain_id.into());
    for (index, (_, field, start)) in FORKS.iter().enumerate().skip(1) {
        let active_at = if index <= before {
            0
        } else if index <= after {
            at
        } else {
            break;
        };
        let (before_start, after_start) = (FORKS[before].2, FORKS[after].2);
        let value = match start {
            // Which block is the first of the merge shows in its difficulty.
            Start::Merge => 0,
            Start::Block if after_start == Start::Block => active_at,
            // A fork by block that a later fork by time brings along.
            Start::Block | Start::Time if before_start == *start || index > before => active_at,
            _ => 0,
        };
        config.insert((*field).into(), value.into());
    }
    if after > before && FORKS[after].2 == Start::Merge {
        config.insert("mergeNetsplitBlock".into(), at.into());
    }
    let schedule: serde_json::Map<_, _> = blobs
        .iter()
        .map(|(fork, entry)| {
            let entry = serde_json::json!({
                "target": entry.target.saturating_to::<u64>(),
                "max": entry.max.saturating_to::<u64>(),
                "baseFeeUpdateFraction": entry.base_fee_update_fraction.saturating_to::<u64>(),
            });
            (fork.to_lowercase(), entry)
        })
        .collect();
    config.insert("blobSchedule".into(), schedule.into());
    let config: ChainConfig = serde_json::from_value(config.into())?;
    Ok(ChainSpec::new(config, None))
}

fn split(network: &str) -> Result<(usize, usize, u64)> {
    let Some((before, rest)) = network.split_once("To") else {
        let fork = position(network)?;
        return Ok((fork, fork, 0));
    };
    let (after, at) = rest
        .split_once("At")
        .ok_or_eyre("transition without a point")?;
    let at = at.trim_start_matches("Time");
    let at = match at.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u64>()? * 1_000,
        None => match at.strip_prefix("Diff") {
            Some(_) => 0,
            None => at.parse()?,
        },
    };
    Ok((position(before)?, position(after)?, at))
}

fn position(name: &str) -> Result<usize> {
    let found = FORKS.iter().position(|(names, ..)| names.contains(&name));
    let Some(found) = found else {
        bail!("unknown fork {name}")
    };
    Ok(found)
}
