//! The ABI, generated from the Solidity interface: its one source.

#![allow(missing_docs, clippy::pedantic)]

alloy_sol_types::sol!(
    #![sol(all_derives)]
    "../contracts/src/interfaces/IInference.sol"
);
