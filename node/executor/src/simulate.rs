//! Runs single messages on a state that is thrown away: calls, estimates, traces.

use std::fmt::Debug;

use alloy_evm::{Evm, FromRecoveredTx};
use alloy_primitives::Address;
use assay_types::{Header, StateChanges, StateView, Transaction};
use revm::{
    DatabaseCommit, Inspector,
    context::{
        TxEnv,
        result::{EVMError, ResultAndState},
    },
    context_interface::cfg::gas::calculate_initial_tx_gas_for_tx,
    database::states::bundle_state::BundleRetention,
    handler::EthPrecompiles,
    state::EvmState,
};

use crate::{
    ChainEvm, EvmContext, ExecuteError, Executor, InvalidBlock, TransactError, changes,
    execution::logs_mut,
};

/// Which checks a simulation drops, because its message was never signed or paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulationRules {
    /// Checks the sender's nonce.
    pub check_nonce: bool,
    /// Checks that the sender can pay for value and gas, and that fees reach the base fee.
    pub check_fees: bool,
    /// Checks that the sender has no code (EIP-3607).
    pub check_sender_code: bool,
    /// Checks the message against the block's and the transaction's gas limit.
    pub check_gas_limit: bool,
}

impl SimulationRules {
    /// Makes all checks, as a block does.
    pub const BLOCK: Self = Self {
        check_nonce: true,
        check_fees: true,
        check_sender_code: true,
        check_gas_limit: true,
    };

    /// Drops all checks, as `eth_call` does.
    pub const CALL: Self = Self {
        check_nonce: false,
        check_fees: false,
        check_sender_code: false,
        check_gas_limit: false,
    };
}

/// Turns a signed transaction into the message the EVM runs.
#[must_use]
pub fn message(transaction: &Transaction, sender: Address) -> TxEnv {
    TxEnv::from_recovered_tx(transaction, sender)
}

impl Executor {
    /// Tells whether an address is a precompile in the block with this header.
    #[must_use]
    pub fn is_precompile(&self, header: &Header, address: Address) -> bool {
        let spec = self.environment(header).cfg_env.spec;
        EthPrecompiles::new(spec).contains(&address)
    }

    /// Computes the least gas a transaction needs before any code runs, in the block with this
    /// header.
    #[must_use]
    pub fn intrinsic_gas(
        &self,
        transaction: &Transaction,
        sender: Address,
        header: &Header,
    ) -> u64 {
        let spec = self.environment(header).cfg_env.spec;
        let gas = calculate_initial_tx_gas_for_tx(message(transaction, sender), spec, None);
        gas.initial_total_gas().max(gas.floor_gas())
    }
}

/// An EVM for simulated messages: each is run on the state the ones before it left.
#[allow(missing_debug_implementations, reason = "the EVM inside has no Debug")]
pub struct Simulation<V: StateView + Debug, I> {
    evm: ChainEvm<V, I>,
}

impl Executor {
    /// Makes a simulation in the block with this header, over a view.
    pub fn simulation<V, I>(
        &self,
        view: V,
        header: &Header,
        rules: SimulationRules,
        inspector: I,
    ) -> Simulation<V, I>
    where
        V: StateView + Debug,
        I: Inspector<EvmContext<V>>,
    {
        let mut evm = self.evm(view, header, inspector, true);
        let config = &mut evm.ctx_mut().cfg;
        config.disable_nonce_check = !rules.check_nonce;
        config.disable_eip3607 = !rules.check_sender_code;
        config.disable_base_fee = !rules.check_fees;
        config.disable_block_gas_limit = !rules.check_gas_limit;
        if !rules.check_gas_limit {
            config.tx_gas_limit_cap = Some(u64::MAX);
        }
        Simulation { evm }
    }
}

impl<V, I> Simulation<V, I>
where
    V: StateView + Debug,
    I: Inspector<EvmContext<V>>,
{
    /// Runs a message and hands back its effects without keeping them.
    ///
    /// # Errors
    /// When the message breaks a rule that was not dropped, or this machine cannot read its state.
    pub fn run(&mut self, message: TxEnv) -> Result<ResultAndState, TransactError<V::Error>> {
        let result = self.evm.transact_raw(message);
        if let Some(failure) = self.evm.db().database.0.failure().take() {
            return Err(ExecuteError::Local(failure).into());
        }
        let mut result = result;
        if let Ok(result) = &mut result {
            // The marks of the inference precompile are no logs of a contract.
            self.evm
                .precompiles_mut()
                .settle(logs_mut(&mut result.result));
        }
        result.map_err(|error| match error {
            EVMError::Transaction(reason) => TransactError::Invalid(reason),
            EVMError::Header(reason) => {
                ExecuteError::Invalid(InvalidBlock::SystemCall(reason.to_string())).into()
            }
            other => ExecuteError::Precompile(other.to_string()).into(),
        })
    }

    /// Keeps the effects of a message: the next one runs on them.
    pub fn commit(&mut self, effects: EvmState) {
        self.evm.db_mut().commit(effects);
    }

    /// Lists everything the kept effects changed, and starts a new list.
    pub fn take_changes(&mut self) -> StateChanges {
        let db = self.evm.db_mut();
        db.merge_transitions(BundleRetention::PlainState);
        changes::from_bundle(&db.take_bundle())
    }

    /// Returns the EVM, for its environment, state and inspector.
    pub const fn evm_mut(&mut self) -> &mut ChainEvm<V, I> {
        &mut self.evm
    }
}
