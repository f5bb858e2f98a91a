// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {
    Decision,
    IInferenceVerifier,
    InferenceReceipt,
    InferenceRecord,
    Place,
    TrustedSet
} from "../interfaces/IInferenceVerifier.sol";
import {BlockHeader} from "../libraries/BlockHeader.sol";
import {Quorum} from "../libraries/Quorum.sol";
import {RecordTree} from "../libraries/RecordTree.sol";

/// @title Inference verifier
/// @notice Checks receipts of an Assay chain's inferences on any EVM chain.
contract InferenceVerifier is IInferenceVerifier {
    /// @notice Tag of the digest that a validator signs to decide a block.
    bytes32 public constant PRECOMMIT_TAG = keccak256("assay.precommit.v1");
    /// @notice Seconds by which the source chain's clock may be ahead of this chain's.
    uint64 public constant MAX_CLOCK_DRIFT = 60;
    /// @dev EIP-7685 types of the requests that carry the root of records and the hash of the next set.
    uint8 private constant RECORDS_REQUEST = 0xa1;
    uint8 private constant NEXT_SET_REQUEST = 0xa2;

    /// @notice Hash of the source chain's first block.
    bytes32 public immutable genesisHash;
    /// @notice Chain id of the source chain.
    uint64 public immutable sourceChainId;
    /// @notice Seconds for which a set is trusted after its last confirmation.
    uint64 public immutable trustingPeriod;

    TrustedSet[] private _sets;

    /// @notice Begins with a set that the deployer vouches for.
    /// @param sourceChainId_ Chain id of the source chain.
    /// @param genesisHash_ Hash of its first block.
    /// @param beginning Set to trust; its time must not be to come.
    /// @param trustingPeriod_ Seconds for which a set is trusted after its last confirmation: shorter than
    /// it takes a validator that left to get its stake back.
    constructor(uint64 sourceChainId_, bytes32 genesisHash_, TrustedSet memory beginning, uint64 trustingPeriod_) {
        if (genesisHash_ == 0 || beginning.setHash == 0 || trustingPeriod_ == 0) revert BadTrust();
        if (beginning.confirmed > block.timestamp) revert BadTrust();
        sourceChainId = sourceChainId_;
        genesisHash = genesisHash_;
        trustingPeriod = trustingPeriod_;
        _trust(beginning);
    }

    /// @inheritdoc IInferenceVerifier
    function verify(InferenceReceipt calldata receipt)
        external
        view
        returns (InferenceRecord memory record, Place memory place)
    {
        return _verify(receipt);
    }

    /// @inheritdoc IInferenceVerifier
    function verifyAnswer(InferenceReceipt calldata receipt, bytes calldata input, bytes calldata output)
        external
        view
        returns (InferenceRecord memory record, Place memory place)
    {
        (record, place) = _verify(receipt);
        if (keccak256(input) != record.inputHash) revert WrongInput(record.inputHash, keccak256(input));
        if (keccak256(output) != record.outputHash) revert WrongOutput(record.outputHash, keccak256(output));
    }

    /// @inheritdoc IInferenceVerifier
    function update(
        Decision calldata decision,
        bytes32 nextSetHash,
        bytes32[] calldata requestsBefore,
        bytes32[] calldata requestsAfter
    ) external {
        (uint64 height, uint64 time, bytes32 requestsHash) = _decidedByNewest(decision);
        bytes32 digest = sha256(abi.encodePacked(NEXT_SET_REQUEST, nextSetHash));
        _requireRequests(requestsHash, requestsBefore, digest, requestsAfter);
        _confirm(height, time);
        _trust(TrustedSet({from: height + 1, confirmed: time, setHash: nextSetHash}));
    }

    /// @inheritdoc IInferenceVerifier
    function confirm(Decision calldata decision) external {
        (uint64 height, uint64 time,) = _decidedByNewest(decision);
        _confirm(height, time);
    }

    /// @inheritdoc IInferenceVerifier
    function trustedSet(uint256 index) external view returns (TrustedSet memory trusted) {
        return _sets[index];
    }

    /// @inheritdoc IInferenceVerifier
    function trustedSets() external view returns (uint256 count) {
        return _sets.length;
    }

    function _verify(InferenceReceipt calldata receipt)
        private
        view
        returns (InferenceRecord memory record, Place memory place)
    {
        bytes32 requestsHash;
        (place.height, place.time, requestsHash) = BlockHeader.read(receipt.decision.header);
        place.blockHash = _requireDecided(receipt.decision, place.height);
        record = receipt.record;
        (bool fits, bytes32 root) =
            RecordTree.climb(RecordTree.leaf(record), receipt.index, receipt.count, receipt.branch);
        if (!fits) revert WrongBranch();
        bytes32 digest = sha256(abi.encodePacked(RECORDS_REQUEST, receipt.count, root));
        _requireRequests(requestsHash, receipt.requestsBefore, digest, receipt.requestsAfter);
        place.id = keccak256(abi.encode(place.blockHash, receipt.index));
    }

    /// @dev Checks a block of the newest set, whose time this chain must have reached.
    function _decidedByNewest(Decision calldata decision)
        private
        view
        returns (uint64 height, uint64 time, bytes32 requestsHash)
    {
        (height, time, requestsHash) = BlockHeader.read(decision.header);
        uint64 newest = _sets[_sets.length - 1].from;
        if (height < newest) revert NotNewestSet(height, newest);
        if (time > block.timestamp + MAX_CLOCK_DRIFT) revert FromTheFuture(time);
        _requireDecided(decision, height);
    }

    /// @dev Checks that the set in force at a height, while it can be trusted, decided on a header.
    function _requireDecided(Decision calldata decision, uint64 height) private view returns (bytes32 blockHash) {
        TrustedSet memory set = _setAt(height);
        uint256 expiry = uint256(set.confirmed) + trustingPeriod;
        if (block.timestamp > expiry) revert SetExpired(set.from, expiry);
        bytes32 got = Quorum.setHash(decision.validators);
        if (got != set.setHash) revert WrongSet(set.setHash, got);
        blockHash = keccak256(decision.header);
        bytes32 digest = keccak256(
            abi.encode(PRECOMMIT_TAG, genesisHash, sourceChainId, uint256(height), uint256(decision.round), blockHash)
        );
        Quorum.demand(digest, decision.signatures, decision.validators);
    }

    /// @dev Finds the set in force at a height: most often the newest, else by halving.
    function _setAt(uint64 height) private view returns (TrustedSet memory) {
        uint256 high = _sets.length - 1;
        if (height >= _sets[high].from) return _sets[high];
        if (height < _sets[0].from) revert UnknownHeight(height);
        uint256 low;
        while (low + 1 < high) {
            uint256 middle = (low + high) / 2;
            if (_sets[middle].from <= height) low = middle;
            else high = middle;
        }
        return _sets[low];
    }

    function _requireRequests(
        bytes32 requestsHash,
        bytes32[] calldata requestsBefore,
        bytes32 digest,
        bytes32[] calldata requestsAfter
    ) private pure {
        // Spec: EIP-7685: the hash of the digests, in order.
        bytes32 got = sha256(abi.encodePacked(requestsBefore, digest, requestsAfter));
        if (got != requestsHash) revert WrongRequests(requestsHash, got);
    }

    function _confirm(uint64 height, uint64 time) private {
        TrustedSet storage newest = _sets[_sets.length - 1];
        if (time > newest.confirmed) newest.confirmed = time;
        emit SetConfirmed(newest.from, height, newest.confirmed);
    }

    function _trust(TrustedSet memory set) private {
        _sets.push(set);
        emit SetTrusted(set.from, set.setHash, set.confirmed);
    }
}
