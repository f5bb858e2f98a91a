// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "./IInference.sol";
import {Validator} from "./IValidatorSet.sol";

/// @notice States that a model answered a call in a block of the source chain.
/// @param transactionIndex Index of the transaction in its block.
/// @param callIndex Index of the call in its transaction, in order of completion.
/// @param caller Account that called the precompile.
/// @param model Model that answered.
/// @param method Selector of the precompile's method.
/// @param inputHash Keccak-256 of the call's input bytes.
/// @param outputHash Keccak-256 of the call's output bytes.
/// @param gas Gas charged for the call.
/// @param reverted Whether an enclosing frame or the transaction reverted afterwards.
struct InferenceRecord {
    uint32 transactionIndex;
    uint32 callIndex;
    address caller;
    Model model;
    bytes4 method;
    bytes32 inputHash;
    bytes32 outputHash;
    uint64 gas;
    bool reverted;
}

/// @notice Proves that the validators decided on a block.
/// @param header RLP of the block's header.
/// @param round Round in which it was decided.
/// @param signatures Precommits, 65 bytes each (r, s, v), in ascending order of their signers.
/// @param validators Set in force at the block's height, in ascending order of accounts.
struct Decision {
    bytes header;
    uint32 round;
    bytes signatures;
    Validator[] validators;
}

/// @notice Proves that a record is one of a decided block's.
/// @param record Record to prove.
/// @param index Place of the record among the block's.
/// @param count Number of the block's records.
/// @param branch Siblings from the record's leaf up to the root.
/// @param requestsBefore SHA-256 digests of the block's EIP-7685 requests before the one of records.
/// @param requestsAfter SHA-256 digests of those after it.
/// @param decision Proof of the block.
struct InferenceReceipt {
    InferenceRecord record;
    uint32 index;
    uint32 count;
    bytes32[] branch;
    bytes32[] requestsBefore;
    bytes32[] requestsAfter;
    Decision decision;
}

/// @notice Says where a proven record stands.
/// @param id Name of the record that no other has: hash of the block's hash and the record's place in it.
/// @param blockHash Hash of the block.
/// @param height Number of the block.
/// @param time Time of the block, in seconds since 1970.
struct Place {
    bytes32 id;
    bytes32 blockHash;
    uint64 height;
    uint64 time;
}

/// @notice Names a validator set that is trusted from a height on.
/// @param from First height at which the set is in force; it ends where the next one begins.
/// @param confirmed Time of the newest block that the set is known to have decided, or its own beginning.
/// @param setHash `keccak256(abi.encode(Validator[]))` of the set.
struct TrustedSet {
    uint64 from;
    uint64 confirmed;
    bytes32 setHash;
}

/// @title Inference verifier
/// @notice Light client of an Assay chain for contracts of any EVM chain: checks receipts of inferences.
/// @dev Trusts that of each set less than a third of the power was faulty until the trusting period after
/// its last confirmation was over. Without confirmations in that time nothing is accepted any more.
interface IInferenceVerifier {
    /// @notice The trusted beginning is not usable: no hash, no period, or a time yet to come.
    error BadTrust();
    /// @notice The header's bytes are not those of a header that commits to requests.
    error BadHeader();
    /// @notice No trusted set was in force at this height.
    error UnknownHeight(uint64 height);
    /// @notice The set was not confirmed for longer than the trusting period: its keys prove nothing now.
    error SetExpired(uint64 from, uint256 expired);
    /// @notice The validators given are not the set in force at the block's height.
    error WrongSet(bytes32 expected, bytes32 got);
    /// @notice A set holds at most `limit` validators.
    error TooManyValidators(uint256 limit, uint256 got);
    /// @notice The signatures are not 65 bytes each.
    error BadSignatures(uint256 length);
    /// @notice A signature is malformed, has a high s, or repeats or misorders a signer.
    error BadSignature(uint256 index);
    /// @notice A signer is not in the set.
    error NotValidator(address signer);
    /// @notice The signers do not hold more than two thirds of the power.
    error NoQuorum(uint256 power, uint256 total);
    /// @notice The header does not commit to these requests.
    error WrongRequests(bytes32 expected, bytes32 got);
    /// @notice The record does not stand at its place in the block's tree.
    error WrongBranch();
    /// @notice Only a block of the newest trusted set can name the next one.
    error NotNewestSet(uint64 height, uint64 from);
    /// @notice The block's time is further ahead than clocks may differ.
    error FromTheFuture(uint64 time);
    /// @notice The record is of other bytes than those given.
    error WrongInput(bytes32 expected, bytes32 got);
    /// @notice The record is of another output than the one given.
    error WrongOutput(bytes32 expected, bytes32 got);

    /// @notice A set is trusted from `from` on.
    event SetTrusted(uint64 indexed from, bytes32 indexed setHash, uint64 confirmed);
    /// @notice The newest trusted set was seen to decide a block of this time.
    event SetConfirmed(uint64 indexed from, uint64 height, uint64 confirmed);

    /// @notice Checks a receipt.
    /// @param receipt Receipt of an inference.
    /// @return record Record it proves.
    /// @return place Where the record stands; whoever acts on a receipt once must remember `place.id`.
    function verify(InferenceReceipt calldata receipt)
        external
        view
        returns (InferenceRecord memory record, Place memory place);

    /// @notice Checks a receipt and that it is of this input and output.
    /// @param receipt Receipt of an inference.
    /// @param input Bytes of the call, selector included.
    /// @param output Bytes that the precompile answered.
    /// @return record Record it proves.
    /// @return place Where the record stands.
    function verifyAnswer(InferenceReceipt calldata receipt, bytes calldata input, bytes calldata output)
        external
        view
        returns (InferenceRecord memory record, Place memory place);

    /// @notice Takes up the set that follows the newest trusted one.
    /// @param decision Proof of the last block of the newest trusted set.
    /// @param nextSetHash Hash of the next set, as the block's request 0xA2 has it.
    /// @param requestsBefore SHA-256 digests of the block's requests before that one.
    /// @param requestsAfter SHA-256 digests of those after it.
    function update(
        Decision calldata decision,
        bytes32 nextSetHash,
        bytes32[] calldata requestsBefore,
        bytes32[] calldata requestsAfter
    ) external;

    /// @notice Shows that the newest trusted set still decides, which starts the trusting period anew.
    /// @param decision Proof of a block of that set.
    function confirm(Decision calldata decision) external;

    /// @notice Answers a trusted set.
    /// @param index Place in the order of their heights.
    /// @return trusted Set.
    function trustedSet(uint256 index) external view returns (TrustedSet memory trusted);

    /// @notice Counts the trusted sets.
    /// @return count Number of them.
    function trustedSets() external view returns (uint256 count);
}
