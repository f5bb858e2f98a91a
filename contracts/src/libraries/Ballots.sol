// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Ballot, Signed} from "../interfaces/IValidatorSet.sol";

/// @title Ballots
/// @notice Rebuilds the digests of votes and proposals: docs/spec/consensus.md is the law.
library Ballots {
    bytes32 private constant PREVOTE = keccak256("assay.prevote.v1");
    bytes32 private constant PREVOTE_NIL = keccak256("assay.prevote-nil.v1");
    bytes32 private constant PRECOMMIT = keccak256("assay.precommit.v1");
    bytes32 private constant PRECOMMIT_NIL = keccak256("assay.precommit-nil.v1");
    bytes32 private constant PROPOSAL = keccak256("assay.proposal.v1");

    /// @notice Computes the digest that a validator signed.
    /// @param genesisHash Hash of the chain's first block.
    /// @param kind Kind of what it signed.
    /// @param height Height it is for.
    /// @param round Round it is for.
    /// @param signed What it signed.
    /// @return Digest, bound to this chain and its genesis.
    function digest(bytes32 genesisHash, Ballot kind, uint64 height, uint32 round, Signed calldata signed)
        internal
        view
        returns (bytes32)
    {
        bytes32 hash = signed.blockHash;
        if (kind == Ballot.Proposal) {
            return keccak256(abi.encode(PROPOSAL, genesisHash, block.chainid, height, round, signed.validRound, hash));
        }
        bool prevote = kind == Ballot.Prevote;
        if (signed.forNone) {
            bytes32 none = prevote ? PREVOTE_NIL : PRECOMMIT_NIL;
            return keccak256(abi.encode(none, genesisHash, block.chainid, height, round));
        }
        bytes32 tag = prevote ? PREVOTE : PRECOMMIT;
        return keccak256(abi.encode(tag, genesisHash, block.chainid, height, round, hash));
    }
}
