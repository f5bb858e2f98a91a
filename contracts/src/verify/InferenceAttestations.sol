// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../interfaces/IInference.sol";
import {IInferenceVerifier, InferenceRecord, Place} from "../interfaces/IInferenceVerifier.sol";

/// @title Inference attestations
/// @notice Offers receipts in the shape of ERC-7992's `verifyInference`.
/// @dev The shape only: the proof is a receipt, signed by validators that recomputed the answer, not a
/// zero-knowledge proof; and models are named by their ids, so there is nothing to register.
contract InferenceAttestations {
    /// @notice The receipt is of another model.
    error WrongModel(bytes32 expected, bytes32 got);
    /// @notice The receipt is of another input.
    error WrongInput(bytes32 expected, bytes32 got);
    /// @notice The receipt is of another output.
    error WrongOutput(bytes32 expected, bytes32 got);

    /// @notice A receipt was found to prove this answer.
    event InferenceVerified(
        uint256 indexed modelId,
        bytes32 indexed inputCommitment,
        bytes32 indexed receiptId,
        bytes output,
        address caller
    );

    /// @notice Light client that knows the validators.
    IInferenceVerifier public immutable verifier;

    /// @notice Takes the light client to ask.
    /// @param verifier_ Light client.
    constructor(IInferenceVerifier verifier_) {
        verifier = verifier_;
    }

    /// @notice Checks that a model answered an input with an output; reverts when the proof does not say so.
    /// @param modelId Id of the model, as a number.
    /// @param inputCommitment Keccak-256 of the call's input bytes, selector included.
    /// @param output Bytes that the precompile answered.
    /// @param proof ABI encoding of a `InferenceReceipt`.
    /// @return Always true.
    function verifyInference(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
        returns (bool)
    {
        (InferenceRecord memory record, Place memory place) = _verified(proof);
        if (Model.unwrap(record.model) != bytes32(modelId)) {
            revert WrongModel(bytes32(modelId), Model.unwrap(record.model));
        }
        if (record.inputHash != inputCommitment) revert WrongInput(inputCommitment, record.inputHash);
        if (record.outputHash != keccak256(output)) revert WrongOutput(keccak256(output), record.outputHash);
        emit InferenceVerified(modelId, inputCommitment, place.id, output, msg.sender);
        return true;
    }

    /// @dev The proof is the verifier's argument already: it is passed on as it is, errors are passed back.
    function _verified(bytes calldata proof) private view returns (InferenceRecord memory, Place memory) {
        (bool ok, bytes memory answer) =
            address(verifier).staticcall(abi.encodePacked(IInferenceVerifier.verify.selector, proof));
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return abi.decode(answer, (InferenceRecord, Place));
    }
}
