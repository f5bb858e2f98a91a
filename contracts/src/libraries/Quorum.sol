// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";
import {Validator} from "../interfaces/IValidatorSet.sol";
import {Signatures} from "./Signatures.sol";

/// @title Quorum
/// @notice Counts the power behind a digest in a validator set that is given in full.
library Quorum {
    /// @notice Most validators in a set.
    uint256 internal constant MAX_VALIDATORS = 100;
    uint256 private constant SIGNATURE_BYTES = 65;

    /// @notice Hashes a set as the source chain names it.
    /// @param validators Set.
    /// @return hash `keccak256(abi.encode(validators))`.
    function setHash(Validator[] calldata validators) internal pure returns (bytes32 hash) {
        uint256 count = validators.length;
        if (count > MAX_VALIDATORS) revert IInferenceVerifier.TooManyValidators(MAX_VALIDATORS, count);
        // The calldata is the encoding's own words already: only offset and length stand before them.
        assembly ("memory-safe") {
            let at := mload(0x40)
            let size := mul(count, 0x40)
            mstore(at, 0x20)
            mstore(add(at, 0x20), count)
            calldatacopy(add(at, 0x40), validators.offset, size)
            hash := keccak256(at, add(size, 0x40))
        }
    }

    /// @notice Requires that validators with more than two thirds of the power signed a digest.
    /// @dev Both lists ascend, so one walk finds every signer, and none counts twice.
    /// @param digest Digest that was signed.
    /// @param signatures 65 bytes each, in ascending order of their signers.
    /// @param validators Set, in ascending order of accounts.
    function demand(bytes32 digest, bytes calldata signatures, Validator[] calldata validators) internal pure {
        if (signatures.length % SIGNATURE_BYTES != 0) revert IInferenceVerifier.BadSignatures(signatures.length);
        uint256 count = signatures.length / SIGNATURE_BYTES;
        uint256 signed;
        uint256 total;
        uint256 at;
        address last;
        for (uint256 i; i < count; ++i) {
            address signer = Signatures.recover(digest, signatures[i * SIGNATURE_BYTES:(i + 1) * SIGNATURE_BYTES]);
            // Zero (no signer) never passes.
            if (signer <= last) revert IInferenceVerifier.BadSignature(i);
            last = signer;
            while (true) {
                if (at == validators.length) revert IInferenceVerifier.NotValidator(signer);
                Validator calldata one = validators[at++];
                total += one.power;
                if (one.account == signer) {
                    signed += one.power;
                    break;
                }
                if (one.account > signer) revert IInferenceVerifier.NotValidator(signer);
            }
        }
        for (; at < validators.length; ++at) {
            total += validators[at].power;
        }
        if (signed * 3 <= total * 2) revert IInferenceVerifier.NoQuorum(signed, total);
    }
}
