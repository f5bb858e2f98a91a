//! Golden digests: does this machine compute the bits that the rules demand?
//!
//! Each check runs one family of kernels on seeded inputs and folds the output bits into 64 bits. The
//! expected digests were made by the portable path and agree on every instruction set and number of
//! threads. A node runs the checks before it validates; `cargo run --example digest` prints them.

mod checks;
mod golden;
mod seed;

use crate::engine::Engine;

/// Names one check.
pub struct Check {
    /// The rule of docs/spec/numerics.md it stands for.
    pub rule: &'static str,
    /// What is computed.
    pub name: &'static str,
    /// Computes the digest.
    pub run: fn(&Engine) -> u64,
}

/// Holds what one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The rule.
    pub rule: &'static str,
    /// What was computed.
    pub name: &'static str,
    /// The digest that the rules demand.
    pub expected: u64,
    /// The digest computed here.
    pub found: u64,
}

impl Outcome {
    /// Says whether the bits are right.
    pub fn passed(&self) -> bool {
        self.expected == self.found
    }
}

/// Lists the checks.
pub fn checks() -> &'static [Check] {
    checks::CHECKS
}

/// Runs every check.
pub fn run(engine: &Engine) -> Vec<Outcome> {
    checks()
        .iter()
        .map(|check| Outcome {
            rule: check.rule,
            name: check.name,
            expected: expected(check.name),
            found: (check.run)(engine),
        })
        .collect()
}

/// Folds the digests of all checks into one.
pub fn digest(outcomes: &[Outcome]) -> u64 {
    let mut digest = seed::Digest::new();
    for outcome in outcomes {
        digest.add(outcome.found);
    }
    digest.value()
}

fn expected(name: &str) -> u64 {
    let golden = golden::GOLDEN.iter().find(|(golden, _)| *golden == name);
    // A check without a golden digest fails; zero is no digest a check gives.
    golden.map_or(0, |(_, digest)| *digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn every_instruction_set_and_thread_count_gives_the_golden_bits() {
        for isa in Isa::available() {
            for threads in [1, 2, 8] {
                let engine = Engine::new(isa, threads);
                for outcome in run(&engine) {
                    assert!(
                        outcome.passed(),
                        "{} {}: {:016x}, expected {:016x} ({}, {threads} threads)",
                        outcome.rule,
                        outcome.name,
                        outcome.found,
                        outcome.expected,
                        isa.name(),
                    );
                }
            }
        }
    }

    #[test]
    fn a_single_changed_bit_changes_the_digest() {
        let mut left = seed::Digest::new();
        let mut right = seed::Digest::new();
        left.add_f32(&[1.0, 2.0]);
        right.add_f32(&[1.0, f32::from_bits(2f32.to_bits() ^ 1)]);
        assert_ne!(left.value(), right.value());
    }
}
