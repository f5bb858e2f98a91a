//! What a transaction must satisfy to wait in the pool.

use alloy_consensus::{Transaction as _, Typed2718 as _};
use alloy_eips::eip2718::EIP4844_TX_TYPE_ID;
use alloy_primitives::U256;
use assay_types::{Account, Transaction};

/// Says why a transaction was not taken. The texts are geth's, which clients look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The same transaction waits already.
    #[error("already known")]
    AlreadyKnown,
    /// Another transaction of this nonce waits and pays almost as much or more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The pool is full and all in it pay more.
    #[error("txpool is full")]
    Full,
    /// The sender has as many transactions waiting as one may.
    #[error("account has {limit} transactions waiting, the most allowed")]
    SenderFull {
        /// Most transactions of one sender.
        limit: usize,
    },
    /// The transaction is larger than any may be.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Bytes of the transaction.
        size: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// The chain has no blobs.
    #[error("transaction type not supported")]
    Unsupported,
    /// The transaction was signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// Chain id signed.
        have: u64,
        /// Chain id of this chain.
        want: u64,
    },
    /// The nonce was used already.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// Nonce the sender uses next.
        next: u64,
        /// Nonce of the transaction.
        nonce: u64,
    },
    /// The nonce is the last there is.
    #[error("nonce has max value")]
    NonceMax,
    /// The gas limit is above the block's.
    #[error("exceeds block gas limit")]
    ExceedsBlockGasLimit,
    /// The gas limit is above the cap of one transaction.
    #[error("transaction gas limit too high (cap: {cap}, tx: {limit})")]
    ExceedsGasCap {
        /// Most gas of one transaction.
        cap: u64,
        /// Gas limit of the transaction.
        limit: u64,
    },
    /// The gas limit does not pay for the transaction's own bytes.
    #[error("intrinsic gas too low: gas {limit}, minimum needed {needed}")]
    IntrinsicGas {
        /// Gas limit of the transaction.
        limit: u64,
        /// Least gas it needs.
        needed: u64,
    },
    /// The tip is above the fee it is part of.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, \
         maxFeePerGas: {fee}"
    )]
    TipAboveFee {
        /// Tip offered.
        tip: u128,
        /// Most offered in all.
        fee: u128,
    },
    /// The sender cannot pay for the whole gas limit and the value.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, \
         overshot {}", .cost.saturating_sub(*.balance)
    )]
    InsufficientFunds {
        /// Balance of the sender.
        balance: U256,
        /// Most the transaction may cost.
        cost: U256,
    },
}

/// What the pool must know of the chain to judge a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The sender's account in the newest state.
    pub account: Account,
    /// This chain's id.
    pub chain_id: u64,
    /// Gas limit of the next block.
    pub block_gas_limit: u64,
    /// Most gas of one transaction; `None` when only the block limits it.
    pub gas_cap: Option<u64>,
    /// Least gas the transaction needs before any code runs.
    pub intrinsic_gas: u64,
    /// Whether the chain has blob transactions; our own chains have none.
    pub blobs: bool,
}

impl Admission {
    /// Judges a transaction by itself, without regard to what waits.
    ///
    /// # Errors
    /// With the first rule it breaks.
    pub fn check(&self, transaction: &Transaction) -> Result<(), PoolError> {
        if transaction.ty() == EIP4844_TX_TYPE_ID && !self.blobs {
            return Err(PoolError::Unsupported);
        }
        if let Some(have) = transaction.chain_id().filter(|id| *id != self.chain_id) {
            return Err(PoolError::ChainId {
                have,
                want: self.chain_id,
            });
        }
        let (nonce, limit) = (transaction.nonce(), transaction.gas_limit());
        if nonce < self.account.nonce {
            return Err(PoolError::NonceTooLow {
                next: self.account.nonce,
                nonce,
            });
        }
        if nonce == u64::MAX {
            return Err(PoolError::NonceMax);
        }
        if limit > self.block_gas_limit {
            return Err(PoolError::ExceedsBlockGasLimit);
        }
        if let Some(cap) = self.gas_cap.filter(|cap| limit > *cap) {
            return Err(PoolError::ExceedsGasCap { cap, limit });
        }
        if limit < self.intrinsic_gas {
            return Err(PoolError::IntrinsicGas {
                limit,
                needed: self.intrinsic_gas,
            });
        }
        let fee = transaction.max_fee_per_gas();
        if let Some(tip) = transaction
            .max_priority_fee_per_gas()
            .filter(|tip| *tip > fee)
        {
            return Err(PoolError::TipAboveFee { tip, fee });
        }
        let (balance, cost) = (self.account.balance, most_it_costs(transaction));
        match balance < cost {
            true => Err(PoolError::InsufficientFunds { balance, cost }),
            false => Ok(()),
        }
    }
}

fn most_it_costs(transaction: &Transaction) -> U256 {
    let blob_gas = U256::from(transaction.blob_gas_used().unwrap_or_default());
    let blob_fee = U256::from(transaction.max_fee_per_blob_gas().unwrap_or_default());
    U256::from(transaction.max_fee_per_gas())
        .saturating_mul(U256::from(transaction.gas_limit()))
        .saturating_add(blob_fee.saturating_mul(blob_gas))
        .saturating_add(transaction.value())
}
