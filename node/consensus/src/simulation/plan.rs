//! What goes wrong in a run, drawn from its seed before it begins.

use super::queue::Chance;

/// How the last validator is faulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// It proposes blocks with a wrong state root, and serves garbled blocks to those behind.
    WrongResults,
    /// Two machines have its key and know nothing of each other: each may say another thing.
    Twin,
    /// A crash takes its log of signatures, and the engine's.
    Forgetful,
    /// It never says a word.
    Silent,
    /// Its signatures are over other digests.
    FalseSignatures,
}

/// A crash of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crash {
    pub(super) node: usize,
    pub(super) at_ms: u64,
    pub(super) down_ms: u64,
    /// Effects the engine still asks for before it dies in the middle of a step; none, between two.
    pub(super) effects: u32,
}

/// A time in which two groups do not hear of each other.
#[derive(Debug, Clone, Copy)]
struct Partition {
    from_ms: u64,
    to_ms: u64,
    /// The nodes of the one group, by bits.
    group: u64,
}

/// Everything that goes wrong.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) validators: u8,
    pub(super) lie: Option<Lie>,
    pub(super) delay_ms: (u64, u64),
    pub(super) lost_percent: u64,
    pub(super) doubled_percent: u64,
    partitions: Vec<Partition>,
    pub(super) crashes: Vec<Crash>,
    /// How far each node's clock is off.
    pub(super) skews_s: Vec<i64>,
    /// When the network heals; what lies goes on lying.
    pub(super) heal_ms: u64,
}

impl Plan {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let validators: u8 = if chance.percent(10) { 7 } else { 4 };
        let lie = match chance.between(0, 9) {
            0 | 1 => Some(Lie::WrongResults),
            2 | 3 => Some(Lie::Twin),
            4 | 5 => Some(Lie::Forgetful),
            6 => Some(Lie::Silent),
            7 => Some(Lie::FalseSignatures),
            _ => None,
        };
        let heal_ms = chance.between(1_000, 6_000);
        let fastest = chance.between(1, 20);
        let slowest = match chance.between(0, 3) {
            0 => 1_500,
            1 => 400,
            _ => 60,
        };
        let nodes = usize::from(validators) + usize::from(lie == Some(Lie::Twin));
        let mut partitions = Vec::new();
        for _ in 0..chance.between(0, 2) {
            let from_ms = chance.between(0, heal_ms);
            partitions.push(Partition {
                from_ms,
                to_ms: from_ms + chance.between(100, heal_ms),
                group: chance.between(1, (1 << nodes) - 2),
            });
        }
        let mut crashes = Vec::new();
        let each = chance.percent(15);
        for index in 0..chance
            .between(0, 4)
            .max(if each { nodes as u64 } else { 0 })
        {
            let any = chance.between(0, nodes as u64 - 1);
            crashes.push(Crash {
                // All at once, as when the power fails, or one here and there.
                node: (if each { index % nodes as u64 } else { any }) as usize,
                at_ms: if each {
                    heal_ms / 2
                } else {
                    chance.between(0, heal_ms)
                },
                down_ms: chance.between(1, 3_000),
                effects: chance.between(0, 12) as u32,
            });
        }
        let skew = if chance.percent(30) { 3 } else { 0 };
        let skews_s = (0..nodes)
            .map(|_| chance.between(0, 2 * skew) as i64 - skew as i64)
            .collect();
        Self {
            validators,
            lie,
            delay_ms: (fastest, fastest + slowest),
            lost_percent: *[0, 0, 5, 20]
                .get(chance.between(0, 3) as usize)
                .unwrap_or(&0),
            doubled_percent: *[0, 10].get(chance.between(0, 1) as usize).unwrap_or(&0),
            partitions,
            crashes,
            skews_s,
            heal_ms,
        }
    }

    pub(super) fn nodes(&self) -> usize {
        usize::from(self.validators) + usize::from(self.lie == Some(Lie::Twin))
    }

    /// Tells whether a node does what it should: its decisions and signatures are checked.
    pub(super) fn honest(&self, node: usize) -> bool {
        self.lie.is_none() || node + 1 < usize::from(self.validators)
    }

    /// Tells whether two nodes do not hear of each other now.
    pub(super) fn parted(&self, now_ms: u64, one: usize, other: usize) -> bool {
        now_ms < self.heal_ms
            && self.partitions.iter().any(|partition| {
                let within = (partition.from_ms..partition.to_ms).contains(&now_ms);
                within && (partition.group >> one) & 1 != (partition.group >> other) & 1
            })
    }
}
