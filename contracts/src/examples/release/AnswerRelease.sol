// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../../interfaces/IInference.sol";
import {IInferenceVerifier, InferenceReceipt, InferenceRecord, Place} from "../../interfaces/IInferenceVerifier.sol";

/// @notice Says when funds are released.
/// @param model Model whose answer counts.
/// @param asker Account of the source chain that must have asked: it chose the features.
/// @param since First time of a block, in seconds since 1970, whose answer counts.
/// @param atLeast Least answer, in the fixed point of the model's first column.
struct Condition {
    Model model;
    address asker;
    uint64 since;
    int256 atLeast;
}

/// @title Answer release
/// @notice Holds funds on one chain until a model on an Assay chain gave the answer they wait for.
/// @dev A receipt proves what was computed, from whichever features the asker gave: the asker must be an account
/// whose features can be trusted, such as a contract that reads them from its own chain.
contract AnswerRelease {
    /// @notice The receipt is of another model.
    error WrongModel(Model expected, Model got);
    /// @notice The receipt is of another account's call.
    error WrongAsker(address expected, address got);
    /// @notice The receipt is of another method than `predict`.
    error WrongMethod(bytes4 got);
    /// @notice The answer is older than those that count.
    error TooOld(uint64 since, uint64 time);
    /// @notice The call, or what it was part of, reverted.
    error CallReverted();
    /// @notice The answer is too small.
    error TooSmall(int256 atLeast, int256 got);
    /// @notice The funds were released already.
    error AlreadyReleased();
    /// @notice The beneficiary did not take the funds.
    error NotTaken();

    /// @notice The funds went to the beneficiary.
    event Released(bytes32 indexed receiptId, int256 answer, uint256 amount);

    /// @notice Light client that knows the source chain's validators.
    IInferenceVerifier public immutable verifier;
    /// @notice Account that the funds are for.
    address public immutable beneficiary;
    /// @notice Whether the funds were released.
    bool public released;
    Condition private _condition;

    /// @notice Takes the funds.
    /// @param verifier_ Light client of the source chain.
    /// @param beneficiary_ Account that the funds are for.
    /// @param condition_ What the receipt must prove.
    constructor(IInferenceVerifier verifier_, address beneficiary_, Condition memory condition_) payable {
        (verifier, beneficiary, _condition) = (verifier_, beneficiary_, condition_);
    }

    /// @notice Releases the funds for a receipt that proves the condition. Anyone may bring it.
    /// @param receipt Receipt of the inference.
    /// @param input Bytes of the call that it is of.
    /// @param output Bytes that the model answered.
    function release(InferenceReceipt calldata receipt, bytes calldata input, bytes calldata output) external {
        if (released) revert AlreadyReleased();
        (InferenceRecord memory record, Place memory place) = verifier.verifyAnswer(receipt, input, output);
        Condition memory wanted = _condition;
        if (Model.unwrap(record.model) != Model.unwrap(wanted.model)) revert WrongModel(wanted.model, record.model);
        if (record.caller != wanted.asker) revert WrongAsker(wanted.asker, record.caller);
        if (record.method != IInference.predict.selector) revert WrongMethod(record.method);
        if (place.time < wanted.since) revert TooOld(wanted.since, place.time);
        if (record.reverted) revert CallReverted();
        int256 answer = abi.decode(output, (int256[]))[0];
        if (answer < wanted.atLeast) revert TooSmall(wanted.atLeast, answer);

        released = true;
        uint256 amount = address(this).balance;
        emit Released(place.id, answer, amount);
        (bool taken,) = beneficiary.call{value: amount}("");
        if (!taken) revert NotTaken();
    }

    /// @notice Answers what the receipt must prove.
    /// @return wanted Condition.
    function condition() external view returns (Condition memory wanted) {
        return _condition;
    }
}
