// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model, ModelStatus} from "./IInference.sol";

/// @notice Says what a manifest says, in words a contract can read; validators attest only to a true one.
/// @param publisher Account the manifest names as publisher, and the only one that may register it.
/// @param size Sum of the sizes of the bundle's files, in bytes.
/// @param schemaHash Hash of feature schema and columns.
struct Summary {
    address publisher;
    uint64 size;
    bytes32 schemaHash;
}

/// @notice Describes a model's registry entry.
/// @param status State at the current block.
/// @param deprecated Whether the owner warns against new use.
/// @param activationHeight First block that may run the model; zero while it is pending.
/// @param size Bytes of the bundle's files; zero while it is pending.
/// @param publisher Account that registered the model, as its manifest says.
/// @param owner Account that may deprecate the model; the publisher until it hands over.
/// @param schemaHash Hash of feature schema and columns; zero while it is pending.
struct Entry {
    ModelStatus status;
    bool deprecated;
    uint64 activationHeight;
    uint64 size;
    address publisher;
    address owner;
    bytes32 schemaHash;
}

/// @notice Holds the registry's limits, fixed in genesis.
/// @param maxModelBytes Largest bundle.
/// @param maxTotalBytes Largest sum of all active bundles.
/// @param maxManifestBytes Largest manifest.
/// @param maxRegistrationsPerEpoch Most registrations in one epoch of the validator set.
/// @param activationDelay Blocks between the quorum and the first block that may run the model.
/// @param minNameDelay Least seconds between `publish` and the name's move.
/// @param depositPerByte Deposit for one byte of a bundle, in wei; locked for good.
/// @param namespaceDeposit Deposit for a namespace, in wei; locked for good.
struct Limits {
    uint64 maxModelBytes;
    uint64 maxTotalBytes;
    uint32 maxManifestBytes;
    uint32 maxRegistrationsPerEpoch;
    uint32 activationDelay;
    uint32 minNameDelay;
    uint96 depositPerByte;
    uint96 namespaceDeposit;
}

/// @title Model registry
/// @notice Says which models every validator holds and may run, and what their names are. Predeploy at
/// 0x0a12.
/// @dev Active is for ever: nobody alone takes a model away from the contracts that rely on it. The node
/// reads entries straight from storage: contracts/STORAGE.md.
interface IModelRegistry {
    /// @notice Only the manifest's publisher may register it.
    error NotPublisher(address publisher, address caller);
    /// @notice The caller does not own the model or namespace.
    error NotOwner(address owner, address caller);
    /// @notice The caller was not offered the ownership.
    error NotPendingOwner(address pendingOwner, address caller);
    /// @notice The value sent is not the deposit.
    error WrongDeposit(uint256 expected, uint256 got);
    /// @notice A limit of the genesis does not allow this; `what` is a short ASCII name.
    error LimitExceeded(bytes32 what, uint256 limit, uint256 got);
    /// @notice The bundle's size or the manifest is empty.
    error EmptyModel();
    /// @notice The same registration exists already, or the model is attested already.
    error AlreadyRegistered(bytes32 model);
    /// @notice No registration has this id and summary.
    error NotRegistered(bytes32 model);
    /// @notice The model is not attested, or is suspended.
    error NotActive(bytes32 model);
    /// @notice The model is not suspended.
    error NotSuspended(bytes32 model);
    /// @notice A signature is malformed or has a high s.
    error BadSignature(uint256 index);
    /// @notice A name breaks the rules: owner/name, or a namespace; a-z, 0-9, `-`, `_`, `.`; 1 to 64 each.
    error BadName(string name);
    /// @notice Nobody published this name or version.
    error UnknownName(string name);
    /// @notice The namespace is taken.
    error NamespaceTaken(string namespace);
    /// @notice A name moves only to a model of the same schema.
    error SchemaChanged(bytes32 expected, bytes32 got);
    /// @notice The name already waits for a move; cancel that first.
    error MovePending(string name);
    /// @notice The name waits for no move.
    error NoMovePending(string name);
    /// @notice The delay is below the genesis minimum.
    error DelayTooShort(uint256 minimum, uint256 got);
    /// @notice A suspension needs a public reason.
    error EmptyReason();

    /// @notice A model waits for attestations; `manifest` is carried so that anybody can rebuild it.
    event ModelRegistered(
        bytes32 indexed model,
        address indexed publisher,
        bytes32 indexed summaryHash,
        uint64 size,
        bytes32 schemaHash,
        uint256 deposit,
        bytes manifest
    );
    /// @notice A validator, or a candidate, holds the model's bytes and has validated them.
    event ModelAttested(bytes32 indexed model, bytes32 indexed summaryHash, address indexed validator, uint64 power);
    /// @notice More than two thirds of the power attested; the model runs from `activationHeight` on.
    event ModelActivated(bytes32 indexed model, address indexed owner, uint64 activationHeight, bytes32 schemaHash);
    /// @notice The owner warns against new use of the model.
    event ModelDeprecated(bytes32 indexed model, bool deprecated, string reason);
    /// @notice More than two thirds of the power suspended the model.
    event ModelSuspended(bytes32 indexed model, string reason);
    /// @notice More than two thirds of the power lifted a suspension.
    event ModelReinstated(bytes32 indexed model, string reason);
    /// @notice A model's ownership was offered.
    event ModelOwnerOffered(bytes32 indexed model, address indexed owner, address indexed pendingOwner);
    /// @notice A model's ownership moved.
    event ModelOwnerChanged(bytes32 indexed model, address indexed owner);
    /// @notice A namespace was claimed.
    event NamespaceClaimed(bytes32 indexed namespaceHash, address indexed owner, string namespace);
    /// @notice A namespace's ownership was offered.
    event NamespaceOffered(bytes32 indexed namespaceHash, address indexed owner, address indexed pendingOwner);
    /// @notice A namespace's ownership moved.
    event NamespaceOwnerChanged(bytes32 indexed namespaceHash, address indexed owner);
    /// @notice A name moves to `model` at `effectiveAt`.
    event NamePublished(
        bytes32 indexed nameHash, bytes32 indexed model, uint32 indexed version, string name, uint64 effectiveAt
    );
    /// @notice A move was called off before it took effect.
    event NameMoveCancelled(bytes32 indexed nameHash, bytes32 indexed model, uint32 indexed version);
    /// @notice A name's delay becomes `delay` at `effectiveAt`.
    event NameDelayChanged(bytes32 indexed nameHash, uint32 delay, uint64 effectiveAt);

    /// @notice Registers a model for attestation; the caller must be the summary's publisher.
    /// @param manifest Canonical manifest; its keccak256 is the model's id.
    /// @param summary What the manifest says of publisher, size and schema.
    /// @return model The model's id.
    function register(bytes calldata manifest, Summary calldata summary) external payable returns (Model model);

    /// @notice Records attestations; anybody may submit them, several in one call.
    /// @param model Model attested to.
    /// @param summary Summary attested to.
    /// @param signatures 65-byte signatures (r, s, v) over `attestationDigest`; repeated ones count once.
    function attest(Model model, Summary calldata summary, bytes[] calldata signatures) external;

    /// @notice Suspends a model on the word of more than two thirds of the power.
    /// @param model Model that endangers the chain.
    /// @param reason Public reason.
    /// @param signatures Signatures over `suspensionDigest`, by ascending signer address.
    function suspend(Model model, string calldata reason, bytes[] calldata signatures) external;

    /// @notice Lifts a suspension on the word of more than two thirds of the power.
    /// @param model Suspended model.
    /// @param reason Public reason.
    /// @param signatures Signatures over `reinstatementDigest`, by ascending signer address.
    function reinstate(Model model, string calldata reason, bytes[] calldata signatures) external;

    /// @notice Warns against new use of a model, or takes the warning back; the model runs all the same.
    /// @param model Model the caller owns.
    /// @param deprecated Whether to warn.
    /// @param reason Public reason.
    function deprecate(Model model, bool deprecated, string calldata reason) external;

    /// @notice Offers a model's ownership.
    /// @param model Model the caller owns.
    /// @param newOwner Account that may accept; zero withdraws the offer.
    function offerModel(Model model, address newOwner) external;

    /// @notice Accepts a model's ownership.
    /// @param model Model offered to the caller.
    function acceptModel(Model model) external;

    /// @notice Claims a namespace: the part of a name before the slash.
    /// @param namespace Namespace nobody holds.
    function claimNamespace(string calldata namespace) external payable;

    /// @notice Offers a namespace's ownership.
    /// @param namespace Namespace the caller owns.
    /// @param newOwner Account that may accept; zero withdraws the offer.
    function offerNamespace(string calldata namespace, address newOwner) external;

    /// @notice Accepts a namespace's ownership.
    /// @param namespace Namespace offered to the caller.
    function acceptNamespace(string calldata namespace) external;

    /// @notice Moves a name to a model: at once for a new name, else after the name's delay.
    /// @param name Name `owner/name` in a namespace of the caller.
    /// @param model Active model; of the same schema as the name's present model.
    /// @return version Number of this version, from 1.
    function publish(string calldata name, Model model) external returns (uint32 version);

    /// @notice Calls off a move that has not taken effect.
    /// @param name Name in a namespace of the caller.
    function cancelPublish(string calldata name) external;

    /// @notice Chooses a name's delay: a longer one holds at once, a shorter one after the present delay.
    /// @param name Published name in a namespace of the caller.
    /// @param delay Seconds, at least the genesis minimum.
    function setNameDelay(string calldata name, uint32 delay) external;

    /// @notice Resolves `owner/name` or `owner/name@version`.
    /// @param name Name to resolve.
    /// @return model Model in force; zero for a version that waits.
    /// @return pendingModel Model the name moves to; zero when no move waits.
    /// @return effectiveAt Timestamp of the move; zero when no move waits.
    function resolve(string calldata name) external view returns (Model model, Model pendingModel, uint64 effectiveAt);

    /// @notice Answers who holds a namespace.
    /// @param namespace Namespace to look up.
    /// @return owner Holder; zero when nobody claimed it.
    /// @return pendingOwner Account the ownership is offered to.
    function namespaceOwner(string calldata namespace) external view returns (address owner, address pendingOwner);

    /// @notice Answers a name's last version and the delay in force.
    /// @param name Published name, without a version.
    /// @return version Number of the last version, waiting or not.
    /// @return delay Seconds between `publish` and the move.
    function nameInfo(string calldata name) external view returns (uint32 version, uint32 delay);

    /// @notice Answers a model's entry.
    /// @param model Model to look up.
    /// @return The entry; status `Unknown` when there is none.
    function entry(Model model) external view returns (Entry memory);

    /// @notice Answers the power that attested to a registration, counted in the set in force.
    /// @param model Model registered.
    /// @param summary Summary registered.
    /// @return power Power that attested.
    /// @return total Total power.
    function attestedPower(Model model, Summary calldata summary) external view returns (uint64 power, uint64 total);

    /// @notice Tells whether an account attested to a registration.
    /// @param model Model registered.
    /// @param summary Summary registered.
    /// @param validator Account to look up.
    /// @return Whether it attested.
    function hasAttested(Model model, Summary calldata summary, address validator) external view returns (bool);

    /// @notice Counts the active models an account attested to, and remembers the count.
    /// @param validator Account that wants to join the validator set.
    /// @param steps Most models to look at in this call.
    /// @return attested Models from the first on, without a gap, that the account attested to.
    /// @return active Number of active models.
    function countAttested(address validator, uint256 steps) external returns (uint256 attested, uint256 active);

    /// @notice Answers how many models reached the quorum.
    /// @return Number of models, suspended ones included.
    function activeCount() external view returns (uint256);

    /// @notice Answers a model by its order of activation.
    /// @param index Position, from 0.
    /// @return The model's id.
    function activeAt(uint256 index) external view returns (Model);

    /// @notice Answers the bytes of all active models.
    /// @return Sum of their sizes.
    function totalBytes() external view returns (uint64);

    /// @notice Answers the limits fixed in genesis.
    /// @return The limits.
    function limits() external view returns (Limits memory);

    /// @notice Answers the deposit for a bundle.
    /// @param size Bytes of the bundle's files.
    /// @return Deposit in wei.
    function depositFor(uint64 size) external view returns (uint256);

    /// @notice Answers the digest a validator signs to attest.
    /// @param model Model attested to.
    /// @param summary Summary attested to.
    /// @return Digest bound to the chain, its genesis and this contract.
    function attestationDigest(Model model, Summary calldata summary) external view returns (bytes32);

    /// @notice Answers the digest validators sign to suspend a model.
    /// @param model Model to suspend.
    /// @param reason Public reason.
    /// @return Digest bound to the chain, its genesis, this contract and the model's suspension count.
    function suspensionDigest(Model model, string calldata reason) external view returns (bytes32);

    /// @notice Answers the digest validators sign to lift a suspension.
    /// @param model Model to reinstate.
    /// @param reason Public reason.
    /// @return Digest bound to the chain, its genesis, this contract and the model's suspension count.
    function reinstatementDigest(Model model, string calldata reason) external view returns (bytes32);
}
