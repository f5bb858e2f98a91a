//! Short bursts of each engine in turn.

use crate::Rival;
use std::error::Error;
use std::time::{Duration, Instant};

/// Is how long a burst lasts at least: shorter than a slice of the scheduler, so that most bursts
/// of a busy machine run undisturbed.
const BURST: Duration = Duration::from_micros(500);

/// Is how long all engines rest before the burst of one that has threads: those of a pool look for more
/// work after its last (onnxruntime's a million times) and would take a core from whoever comes next.
const REST: Duration = Duration::from_millis(150);

/// Is how long an engine with threads runs untimed after the rest.
const WARM_UP: Duration = Duration::from_millis(20);

/// Bounds the bursts of an engine.
const MAX_BURSTS: usize = 2001;

/// Is how many bursts an engine has at least.
const MIN_BURSTS: usize = 9;

/// Times engines until the budget, which they share, is spent; gives each one's median in
/// microseconds.
pub(crate) fn interleaved(
    rivals: &mut [&mut dyn Rival],
    budget: Duration,
    threads: usize,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut per_burst = Vec::new();
    for rival in rivals.iter_mut() {
        per_burst.push(runs_per_burst(*rival)?);
    }
    let mut bursts = vec![Vec::new(); rivals.len()];
    let start = Instant::now();
    for round in 0..MAX_BURSTS {
        if round >= MIN_BURSTS && start.elapsed() > budget {
            break;
        }
        for ((rival, runs), bursts) in rivals.iter_mut().zip(&per_burst).zip(&mut bursts) {
            // One run that is not timed: the neighbour left the caches full of its own.
            if threads > 1 {
                std::thread::sleep(REST);
                let start = Instant::now();
                while start.elapsed() < WARM_UP {
                    rival.run()?;
                }
            }
            rival.run()?;
            let start = Instant::now();
            for _ in 0..*runs {
                rival.run()?;
            }
            bursts.push(start.elapsed().as_secs_f64() * 1e6 / *runs as f64);
        }
    }
    let median = |mut bursts: Vec<f64>| {
        bursts.sort_by(f64::total_cmp);
        bursts[bursts.len() / 2]
    };
    Ok(bursts.into_iter().map(median).collect())
}

/// Warms an engine up and finds how many runs fill a burst.
fn runs_per_burst(rival: &mut dyn Rival) -> Result<usize, Box<dyn Error>> {
    let mut runs = 1;
    loop {
        let start = Instant::now();
        for _ in 0..runs {
            rival.run()?;
        }
        if start.elapsed() >= BURST {
            return Ok(runs);
        }
        runs *= 2;
    }
}
