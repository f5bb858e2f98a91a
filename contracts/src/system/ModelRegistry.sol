// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model, ModelStatus} from "../interfaces/IInference.sol";
import {Entry, IModelRegistry, Limits, Summary} from "../interfaces/IModelRegistry.sol";
import {Validator} from "../interfaces/IValidatorSet.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {NameBook} from "./NameBook.sol";

/// @title Model registry
/// @notice Admits models on the word of the validators, and keeps them for ever.
/// @dev Predeploy: no constructor and no immutable, genesis writes the storage (RegistryStorage).
contract ModelRegistry is NameBook {
    /// @notice Tag of an attestation digest.
    bytes32 public constant ATTESTATION_TAG = keccak256("assay.attestation.v1");
    /// @notice Tag of a suspension digest.
    bytes32 public constant SUSPENSION_TAG = keccak256("assay.suspension.v1");
    /// @notice Tag of a reinstatement digest.
    bytes32 public constant REINSTATEMENT_TAG = keccak256("assay.reinstatement.v1");

    /// @inheritdoc IModelRegistry
    function register(bytes calldata manifest, Summary calldata summary) external payable returns (Model model) {
        if (msg.sender != summary.publisher) revert NotPublisher(summary.publisher, msg.sender);
        if (manifest.length == 0 || summary.size == 0) revert EmptyModel();
        _checkLimits(manifest.length, summary.size);
        uint256 deposit = depositFor(summary.size);
        if (msg.value != deposit) revert WrongDeposit(deposit, msg.value);

        bytes32 id = keccak256(manifest);
        bytes32 key = _key(id, summary);
        Record storage record = _records[id];
        if (record.status > ModelStatus.Pending || _registrations[key].registered) revert AlreadyRegistered(id);
        record.status = ModelStatus.Pending;
        _registrations[key].registered = true;
        emit ModelRegistered(id, msg.sender, key, summary.size, summary.schemaHash, deposit, manifest);
        return Model.wrap(id);
    }

    /// @inheritdoc IModelRegistry
    function attest(Model model, Summary calldata summary, bytes[] calldata signatures) external {
        bytes32 id = _id(model);
        bytes32 key = _key(id, summary);
        Registration memory registration = _registrations[key];
        if (!registration.registered) revert NotRegistered(id);
        address[] memory signers = _signers(_attestationDigest(id, key), signatures);
        (uint64[] memory powers, uint64 total, uint64 version) = validatorSet.powersOf(signers);

        // Power counts in the set in force: after a switch the earlier attestations are counted anew.
        uint64 power = registration.version == version ? registration.power : _recount(key);
        for (uint256 i; i < signers.length; ++i) {
            if (_attested[key][signers[i]]) continue;
            _attested[key][signers[i]] = true;
            power += powers[i];
            emit ModelAttested(id, key, signers[i], powers[i]);
        }
        _registrations[key] = Registration({registered: true, power: power, version: version});
        if (_records[id].status == ModelStatus.Pending && uint256(power) * 3 > uint256(total) * 2) {
            _activate(id, summary);
        }
    }

    /// @inheritdoc IModelRegistry
    function suspend(Model model, string calldata reason, bytes[] calldata signatures) external {
        Record storage record = _records[_id(model)];
        if (record.status != ModelStatus.Active) revert NotActive(_id(model));
        if (bytes(reason).length == 0) revert EmptyReason();
        validatorSet.requireQuorum(suspensionDigest(model, reason), signatures);
        record.status = ModelStatus.Suspended;
        ++record.suspensions;
        emit ModelSuspended(_id(model), reason);
    }

    /// @inheritdoc IModelRegistry
    function reinstate(Model model, string calldata reason, bytes[] calldata signatures) external {
        Record storage record = _records[_id(model)];
        if (record.status != ModelStatus.Suspended) revert NotSuspended(_id(model));
        if (bytes(reason).length == 0) revert EmptyReason();
        validatorSet.requireQuorum(reinstatementDigest(model, reason), signatures);
        record.status = ModelStatus.Active;
        ++record.suspensions;
        emit ModelReinstated(_id(model), reason);
    }

    /// @inheritdoc IModelRegistry
    function deprecate(Model model, bool deprecated, string calldata reason) external {
        _requireModelOwner(_id(model));
        _records[_id(model)].deprecated = deprecated;
        emit ModelDeprecated(_id(model), deprecated, reason);
    }

    /// @inheritdoc IModelRegistry
    function offerModel(Model model, address newOwner) external {
        _requireModelOwner(_id(model));
        _handovers[_id(model)].pendingOwner = newOwner;
        emit ModelOwnerOffered(_id(model), msg.sender, newOwner);
    }

    /// @inheritdoc IModelRegistry
    function acceptModel(Model model) external {
        address pendingOwner = _handovers[_id(model)].pendingOwner;
        if (msg.sender != pendingOwner) revert NotPendingOwner(pendingOwner, msg.sender);
        _handovers[_id(model)] = Ownership({owner: msg.sender, pendingOwner: address(0)});
        emit ModelOwnerChanged(_id(model), msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function countAttested(address validator, uint256 steps) external returns (uint256 attested, uint256 active) {
        active = _active.length;
        attested = _counted[validator];
        uint256 before = attested;
        while (attested < active && steps != 0) {
            bytes32 id = _active[attested];
            Record storage record = _records[id];
            Summary memory summary =
                Summary({publisher: record.publisher, size: record.size, schemaHash: record.schemaHash});
            if (!_attested[_key(id, summary)][validator]) break;
            ++attested;
            --steps;
        }
        if (attested != before) _counted[validator] = attested;
    }

    /// @inheritdoc IModelRegistry
    function entry(Model model) external view returns (Entry memory) {
        Record memory record = _records[_id(model)];
        bool waits = record.status == ModelStatus.Active && block.number < record.activationHeight;
        return Entry({
            status: waits ? ModelStatus.Scheduled : record.status,
            deprecated: record.deprecated,
            activationHeight: record.activationHeight,
            size: record.size,
            publisher: record.publisher,
            owner: _modelOwner(_id(model)),
            schemaHash: record.schemaHash
        });
    }

    /// @inheritdoc IModelRegistry
    function attestedPower(Model model, Summary calldata summary) external view returns (uint64 power, uint64 total) {
        bytes32 key = _key(_id(model), summary);
        (, total,) = validatorSet.powersOf(new address[](0));
        power = _recount(key);
    }

    /// @inheritdoc IModelRegistry
    function hasAttested(Model model, Summary calldata summary, address validator) external view returns (bool) {
        return _attested[_key(_id(model), summary)][validator];
    }

    /// @inheritdoc IModelRegistry
    function activeCount() external view returns (uint256) {
        return _active.length;
    }

    /// @inheritdoc IModelRegistry
    function activeAt(uint256 index) external view returns (Model) {
        return Model.wrap(_active[index]);
    }

    /// @inheritdoc IModelRegistry
    function totalBytes() external view returns (uint64) {
        return _counters.totalBytes;
    }

    /// @inheritdoc IModelRegistry
    function limits() external view returns (Limits memory) {
        return _limits;
    }

    /// @inheritdoc IModelRegistry
    function attestationDigest(Model model, Summary calldata summary) external view returns (bytes32) {
        return _attestationDigest(_id(model), _key(_id(model), summary));
    }

    /// @inheritdoc IModelRegistry
    function depositFor(uint64 size) public view returns (uint256) {
        return uint256(size) * _limits.depositPerByte;
    }

    /// @inheritdoc IModelRegistry
    function suspensionDigest(Model model, string calldata reason) public view returns (bytes32) {
        return _verdictDigest(SUSPENSION_TAG, _id(model), reason);
    }

    /// @inheritdoc IModelRegistry
    function reinstatementDigest(Model model, string calldata reason) public view returns (bytes32) {
        return _verdictDigest(REINSTATEMENT_TAG, _id(model), reason);
    }

    function _activate(bytes32 id, Summary calldata summary) private {
        Limits memory bounds = _limits;
        uint64 sum = _counters.totalBytes + summary.size;
        if (sum > bounds.maxTotalBytes) revert LimitExceeded("totalBytes", bounds.maxTotalBytes, sum);
        _counters.totalBytes = sum;
        uint64 height = uint64(block.number) + bounds.activationDelay;
        _records[id] = Record({
            status: ModelStatus.Active,
            deprecated: false,
            activationHeight: height,
            size: summary.size,
            suspensions: 0,
            publisher: summary.publisher,
            schemaHash: summary.schemaHash
        });
        _active.push(id);
        emit ModelActivated(id, summary.publisher, height, summary.schemaHash);
    }

    /// @dev Checks the limits of a registration and counts it in its epoch.
    function _checkLimits(uint256 manifestBytes, uint64 size) private {
        Limits memory bounds = _limits;
        Counters memory counters = _counters;
        if (manifestBytes > bounds.maxManifestBytes) {
            revert LimitExceeded("manifestBytes", bounds.maxManifestBytes, manifestBytes);
        }
        if (size > bounds.maxModelBytes) revert LimitExceeded("modelBytes", bounds.maxModelBytes, size);
        uint256 sum = uint256(counters.totalBytes) + size;
        if (sum > bounds.maxTotalBytes) revert LimitExceeded("totalBytes", bounds.maxTotalBytes, sum);

        uint64 epoch = uint64(block.number) / validatorSet.epochLength();
        if (epoch != counters.epoch) (counters.epoch, counters.registrations) = (epoch, 0);
        ++counters.registrations;
        if (counters.registrations > bounds.maxRegistrationsPerEpoch) {
            revert LimitExceeded("registrations", bounds.maxRegistrationsPerEpoch, counters.registrations);
        }
        _counters = counters;
    }

    function _signers(bytes32 digest, bytes[] calldata signatures) private pure returns (address[] memory signers) {
        signers = new address[](signatures.length);
        for (uint256 i; i < signatures.length; ++i) {
            signers[i] = Signatures.recover(digest, signatures[i]);
            if (signers[i] == address(0)) revert BadSignature(i);
        }
    }

    /// @dev Adds up the power of the validators in force that attested.
    function _recount(bytes32 key) private view returns (uint64 power) {
        Validator[] memory set = validatorSet.validators();
        for (uint256 i; i < set.length; ++i) {
            if (_attested[key][set[i].account]) power += set[i].power;
        }
    }

    function _requireModelOwner(bytes32 id) private view {
        address owner = _modelOwner(id);
        if (msg.sender != owner) revert NotOwner(owner, msg.sender);
    }

    function _modelOwner(bytes32 id) private view returns (address owner) {
        owner = _handovers[id].owner;
        if (owner == address(0)) owner = _records[id].publisher;
    }

    /// @dev A registration is its id and its summary: a false summary is another registration, which no
    /// honest validator attests to.
    function _key(bytes32 id, Summary memory summary) private pure returns (bytes32) {
        return keccak256(abi.encode(id, summary.publisher, summary.size, summary.schemaHash));
    }

    function _attestationDigest(bytes32 id, bytes32 key) private view returns (bytes32) {
        return keccak256(abi.encode(ATTESTATION_TAG, validatorSet.genesisHash(), block.chainid, address(this), id, key));
    }

    function _verdictDigest(bytes32 tag, bytes32 id, string calldata reason) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                tag,
                validatorSet.genesisHash(),
                block.chainid,
                address(this),
                id,
                _records[id].suspensions,
                keccak256(bytes(reason))
            )
        );
    }
}
