//! Side-by-side measurements: ours and a named rival in one process, in turns, as ratios.

use std::time::{Duration, Instant};

/// Measures two functions in turns and returns the median time per call of each.
///
/// Turns are short, so that whatever else the machine does falls on both.
pub fn duel(mut ours: impl FnMut(), mut rival: impl FnMut(), total: Duration) -> [Duration; 2] {
    const TURNS: u32 = 31;
    let turn = total / (2 * TURNS);
    let calls = [
        calls_within(&mut ours, turn),
        calls_within(&mut rival, turn),
    ];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        times[0].push(time(&mut ours, calls[0]));
        times[1].push(time(&mut rival, calls[1]));
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    })
}

/// Finds how many calls fill about one turn.
fn calls_within(f: &mut impl FnMut(), turn: Duration) -> u32 {
    f();
    let mut calls = 1u32;
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        if start.elapsed() >= turn || calls > 1 << 24 {
            return calls;
        }
        calls *= 2;
    }
}

/// Times one call, averaged over `calls`.
fn time(f: &mut impl FnMut(), calls: u32) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| f());
    start.elapsed() / calls
}
