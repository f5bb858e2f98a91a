//! What this machine is: cores, memory, instruction set, arithmetic, open files, clock, disk, ports.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use assay_runtime::numerics::{Engine, selftest};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::{Check, Verdict};
use crate::{client::Client, disk, serve};

/// Cores a validator should have: votes, execution, pre-execution and answers at once.
const CORES: usize = 4;
/// Memory a node cannot do without, and what a validator should have.
const MEMORY_LEAST_BYTES: u64 = 2 << 30;
const MEMORY_BYTES: u64 = 8 << 30;
/// Open files a node needs for its peers and its clients, and what it should have.
const FILES_LEAST: u64 = 1_024;
const FILES: u64 = 4_096;
/// Free space below which a node should not start, and what it should have.
const DISK_LEAST_BYTES: u64 = 1 << 30;
const DISK_BYTES: u64 = 50 << 30;
/// Seconds a block may lie ahead of the clock (docs/spec/consensus.md), and how old the newest of a
/// chain that goes on may be.
const AHEAD_S: u64 = 1;
const BEHIND_S: u64 = 30;
/// Longest wait for a peer.
const KNOCK: Duration = Duration::from_secs(2);

pub(super) fn cores() -> Check {
    let found = std::thread::available_parallelism().map_or(1, usize::from);
    let verdict = match found >= CORES {
        true => Verdict::Passed,
        false => Verdict::Warned(format!("a validator should have {CORES}")),
    };
    Check::new("cores", found.to_string(), verdict)
}

pub(super) fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let read = |field: &str| {
        let line = text.lines().find(|line| line.starts_with(field))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib.saturating_mul(1_024))
    };
    let (Some(total), Some(free)) = (read("MemTotal:"), read("MemAvailable:")) else {
        let verdict = Verdict::Warned("/proc/meminfo is not readable".into());
        return Check::new("memory", "unknown".into(), verdict);
    };
    let verdict = at_least(total, MEMORY_LEAST_BYTES, MEMORY_BYTES);
    let found = format!("{}, {} of it available", gib(total), gib(free));
    Check::new("memory", found, verdict)
}

pub(super) fn instruction_set() -> Check {
    let engine = Engine::single();
    let name = engine.isa().name();
    let verdict = match name {
        "portable" | "scalar" => {
            Verdict::Warned("the same bits, but slow: AVX2 or NEON is wanted".into())
        }
        _ => Verdict::Passed,
    };
    Check::new("instruction set", name.into(), verdict)
}

pub(super) fn numerics() -> Check {
    let outcomes = selftest::run(&Engine::single());
    let wrong = outcomes.iter().filter(|one| !one.passed());
    let wrong: Vec<&str> = wrong.map(|one| one.rule).collect();
    let verdict = match wrong.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(format!(
            "other bits than the specification in {}: replace the machine (assay model selftest)",
            wrong.join(", ")
        )),
    };
    let digest = format!("kernels {:016x}", selftest::digest(&outcomes));
    Check::new("numerics", digest, verdict)
}

pub(super) fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile).current;
    let found = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    let verdict = match limit.unwrap_or(u64::MAX) {
        limit if limit < FILES_LEAST => Verdict::Failed(format!(
            "at least {FILES_LEAST} are needed: ulimit -n {FILES}, or LimitNOFILE in the unit"
        )),
        limit if limit < FILES => Verdict::Warned(format!(
            "{FILES} are better: ulimit -n {FILES}, or LimitNOFILE in the unit"
        )),
        _ => Verdict::Passed,
    };
    Check::new("open files", found, verdict)
}

/// Tries a folder and looks how much room it has.
pub(super) fn folder(name: &'static str, folder: &Path) -> Check {
    let at = folder.display();
    if let Err(error) = disk::try_writing(folder) {
        let verdict = Verdict::Failed(format!("{error}: give it space and write access"));
        return Check::new(name, at.to_string(), verdict);
    }
    let Some(free) = disk::free_bytes(folder) else {
        let verdict = Verdict::Warned("the system does not say how much is free".into());
        return Check::new(name, at.to_string(), verdict);
    };
    let verdict = at_least(free, DISK_LEAST_BYTES, DISK_BYTES);
    Check::new(name, format!("{at}, {} free", gib(free)), verdict)
}

pub(super) fn port(name: &'static str, listen: SocketAddr) -> Check {
    let verdict = match TcpListener::bind(listen) {
        Ok(_) => Verdict::Passed,
        Err(error) => Verdict::Failed(format!(
            "{error}: stop what listens there (this node, if it runs), or choose another port"
        )),
    };
    Check::new(name, listen.to_string(), verdict)
}

/// Knocks at the peers of the configuration.
pub(super) fn peers(name: &'static str, peers: &[SocketAddr]) -> Check {
    let answers = |peer: &&SocketAddr| TcpStream::connect_timeout(peer, KNOCK).is_ok();
    let found = peers.iter().filter(answers).count();
    let verdict = match (found, peers.len()) {
        (_, 0) => Verdict::Warned("none is configured: the node waits to be called".into()),
        (0, _) => Verdict::Warned("none answers: check the addresses and the firewall".into()),
        _ => Verdict::Passed,
    };
    let found = format!("{found} of {} answer", peers.len());
    Check::new(name, found, verdict)
}

/// Compares the clock with the newest block of a node.
pub(super) fn clock(url: &str) -> Check {
    let newest = Client::new(url).and_then(|client| {
        let block = client.call("eth_getBlockByNumber", json!(["latest", false]));
        Ok(block?)
    });
    let stamp = match &newest {
        Ok(block) => block.get("timestamp").and_then(Value::as_str),
        Err(failure) => {
            let verdict = Verdict::Failed(format!("{url}: {failure}"));
            return Check::new("clock", "not compared".into(), verdict);
        }
    };
    let digits = stamp.and_then(|text| text.strip_prefix("0x"));
    let Some(stamp) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
        let verdict = Verdict::Failed(format!("{url}: a block without a timestamp"));
        return Check::new("clock", "not compared".into(), verdict);
    };
    let (verdict, found) = compare(serve::machine_time(), stamp);
    Check::new("clock", found, verdict)
}

/// Judges a clock by the time of the newest block.
fn compare(now: u64, block: u64) -> (Verdict, String) {
    let (ahead, behind) = (block.saturating_sub(now), now.saturating_sub(block));
    if ahead > AHEAD_S {
        let verdict = Verdict::Failed(format!(
            "this clock is at least {ahead} s slow, at most {AHEAD_S} s is allowed: run an NTP client"
        ));
        return (verdict, format!("newest block {ahead} s ahead"));
    }
    let verdict = match behind > BEHIND_S {
        true => Verdict::Warned(format!(
            "the newest block is {behind} s old: this clock is fast, or that chain stands"
        )),
        false => Verdict::Passed,
    };
    (verdict, format!("newest block {behind} s ago"))
}

fn at_least(found: u64, least: u64, wanted: u64) -> Verdict {
    if found < least {
        return Verdict::Failed(format!("at least {} are needed", gib(least)));
    }
    match found < wanted {
        true => Verdict::Warned(format!("{} are better", gib(wanted))),
        false => Verdict::Passed,
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_clock_fails_and_an_old_block_only_warns() {
        assert!(matches!(compare(100, 102).0, Verdict::Failed(_)));
        assert_eq!(compare(100, 101).0, Verdict::Passed);
        assert_eq!(compare(130, 100).0, Verdict::Passed);
        assert!(matches!(compare(131, 100).0, Verdict::Warned(_)));
    }

    #[test]
    fn taken_port_fails() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let check = port("rpc port", address);
        assert!(matches!(check.verdict, Verdict::Failed(_)), "{check:?}");
        drop(listener);
        assert_eq!(port("rpc port", address).verdict, Verdict::Passed);
    }
}
