//! The only source of chance and the only clock: what happens next, and when.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// Draws numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low + 1)
    }

    /// Says yes so many times in a hundred.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.draw() % 100 < chance
    }
}

/// What is to happen, in the order of its time, and of its making where times are equal.
#[derive(Debug)]
pub(super) struct Queue<E> {
    now_ms: u64,
    made: u64,
    order: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, E>,
}

impl<E> Queue<E> {
    pub(super) const fn new() -> Self {
        Self {
            now_ms: 0,
            made: 0,
            order: BinaryHeap::new(),
            events: BTreeMap::new(),
        }
    }

    pub(super) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn after(&mut self, delay_ms: u64, event: E) {
        self.made += 1;
        self.order
            .push(Reverse((self.now_ms + delay_ms, self.made)));
        self.events.insert(self.made, event);
    }

    /// Takes the next event, and moves the clock to it.
    pub(super) fn next(&mut self) -> Option<E> {
        let Reverse((time, made)) = self.order.pop()?;
        self.now_ms = time;
        self.events.remove(&made)
    }
}
