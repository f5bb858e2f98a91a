//! The validators of a height as the engine sees them, and who of them proposes.

use alloy_primitives::{Address, U256, keccak256};
use alloy_sol_types::SolValue as _;
use assay_types::{Validator, certificate::total_power};
use malachitebft_app::types::core::{self as engine, VotingPower};

use crate::context::{Account, Assay};

/// A validator as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    account: Account,
    power: u64,
}

/// The validators of a height, in ascending order of their accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(Vec<Member>);

impl Members {
    /// Takes the set of a height, as the contract keeps it.
    #[must_use]
    pub fn new(validators: &[Validator]) -> Self {
        let mut members: Vec<Member> = validators
            .iter()
            .map(|one| Member {
                account: Account(one.account),
                power: one.power,
            })
            .collect();
        members.sort_by_key(|member| member.account);
        Self(members)
    }

    /// Returns the set as the rest of the node knows it.
    #[must_use]
    pub fn validators(&self) -> Vec<Validator> {
        self.0
            .iter()
            .map(|member| Validator {
                account: member.account.0,
                power: member.power,
            })
            .collect()
    }

    /// Returns the account that proposes in a round; `None` for an empty set.
    #[must_use]
    pub fn proposer_at(&self, height: u64, round: u32) -> Option<Address> {
        self.proposer(height, round).map(|drawn| drawn.account.0)
    }

    /// Chooses who proposes in a round: rounds of a height draw without putting back, by power, so
    /// that a silent proposer is not drawn again until all others were.
    ///
    /// Spec: docs/spec/consensus.md, Proposers.
    pub(crate) fn proposer(&self, height: u64, round: u32) -> Option<&Member> {
        let mut left: Vec<&Member> = self.0.iter().collect();
        let draws = usize::try_from(round).ok()?.checked_rem(left.len())?;
        for draw in 0..=draws {
            let total = left
                .iter()
                .fold(0_u64, |sum, one| sum.saturating_add(one.power));
            let seed = keccak256((U256::from(height), U256::from(draw)).abi_encode());
            let mut ticket: u64 = U256::from_be_bytes(seed.0)
                .checked_rem(U256::from(total))?
                .saturating_to();
            let drawn = left.iter().position(|member| match ticket < member.power {
                true => true,
                false => {
                    ticket -= member.power;
                    false
                }
            })?;
            if draw == draws {
                return left.get(drawn).copied();
            }
            left.remove(drawn);
        }
        None
    }
}

impl engine::Validator<Assay> for Member {
    fn address(&self) -> &Account {
        &self.account
    }

    fn public_key(&self) -> &Account {
        &self.account
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

impl engine::ValidatorSet<Assay> for Members {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        total_power(&self.validators())
    }

    fn get_by_address(&self, address: &Account) -> Option<&Member> {
        self.0.iter().find(|member| member.account == *address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.0.get(index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn members(powers: &[u64]) -> Members {
        let validators: Vec<Validator> = (1..)
            .zip(powers)
            .map(|(index, power)| Validator {
                account: Address::with_last_byte(index),
                power: *power,
            })
            .collect();
        Members::new(&validators)
    }

    #[test]
    fn rounds_of_a_height_draw_everyone_before_anyone_twice() {
        let set = members(&[1, 1000, 3, 50]);
        for height in 1..50 {
            let drawn: BTreeSet<Account> = (0..4)
                .map(|round| set.proposer(height, round).unwrap().account)
                .collect();
            assert_eq!(drawn.len(), 4);
            let again = set.proposer(height, 4).unwrap();
            assert_eq!(again, set.proposer(height, 0).unwrap());
        }
    }

    #[test]
    fn first_draw_follows_power() {
        let set = members(&[10, 30, 60]);
        let mut counts = [0_u32; 3];
        for height in 0..3_000 {
            let drawn = set.proposer(height, 0).unwrap().account.0[19];
            counts[usize::from(drawn) - 1] += 1;
        }
        assert!((240..360).contains(&counts[0]), "{counts:?}");
        assert!((810..990).contains(&counts[1]), "{counts:?}");
        assert!((1_690..1_910).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn draw_is_the_one_the_specification_shows() {
        let set = members(&[1, 1, 1, 1]);
        let drawn: Vec<u8> = (0..4)
            .map(|round| set.proposer(1, round).unwrap().account.0[19])
            .collect();
        assert_eq!(drawn, DRAWN_AT_HEIGHT_ONE);
        assert!(members(&[]).proposer(1, 0).is_none());
    }

    /// Order of four equal validators at height 1 (docs/spec/consensus.md).
    const DRAWN_AT_HEIGHT_ONE: [u8; 4] = [2, 1, 3, 4];
}
