// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../interfaces/IInference.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {Names} from "../libraries/Names.sol";
import {RegistryStorage} from "./RegistryStorage.sol";

/// @title Name book
/// @notice Lets people say `owner/name@version` for a model, and moves a name slowly enough to be watched.
/// @dev A name decides nothing in consensus: contracts that must not move pin an id.
abstract contract NameBook is RegistryStorage {
    /// @inheritdoc IModelRegistry
    function claimNamespace(string calldata namespace) external payable {
        bytes32 key = Names.hashNamespace(namespace);
        uint256 deposit = _limits.namespaceDeposit;
        if (msg.value != deposit) revert WrongDeposit(deposit, msg.value);
        if (_namespaces[key].owner != address(0)) revert NamespaceTaken(namespace);
        _namespaces[key].owner = msg.sender;
        emit NamespaceClaimed(key, msg.sender, namespace);
    }

    /// @inheritdoc IModelRegistry
    function offerNamespace(string calldata namespace, address newOwner) external {
        bytes32 key = Names.hashNamespace(namespace);
        _requireNamespaceOwner(key);
        _namespaces[key].pendingOwner = newOwner;
        emit NamespaceOffered(key, msg.sender, newOwner);
    }

    /// @inheritdoc IModelRegistry
    function acceptNamespace(string calldata namespace) external {
        bytes32 key = Names.hashNamespace(namespace);
        address pendingOwner = _namespaces[key].pendingOwner;
        if (msg.sender != pendingOwner) revert NotPendingOwner(pendingOwner, msg.sender);
        _namespaces[key] = Ownership({owner: msg.sender, pendingOwner: address(0)});
        emit NamespaceOwnerChanged(key, msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function publish(string calldata name, Model model) external returns (uint32 version) {
        (bytes32 namespaceHash, bytes32 key) = Names.parse(name);
        _requireNamespaceOwner(namespaceHash);
        Record storage record = _records[_id(model)];
        if (!_runs(record)) revert NotActive(_id(model));

        Name storage entry_ = _names[key];
        _settle(entry_);
        if (entry_.pending != 0) revert MovePending(name);
        version = entry_.version + 1;
        uint64 effectiveAt = uint64(block.timestamp);
        if (entry_.current == 0) {
            // Nobody follows a name that never was: no delay, and the least delay from now on.
            entry_.current = _id(model);
            entry_.delay = _limits.minNameDelay;
        } else {
            bytes32 schema = _records[entry_.current].schemaHash;
            if (record.schemaHash != schema) revert SchemaChanged(schema, record.schemaHash);
            effectiveAt += entry_.delay;
            entry_.pending = _id(model);
            entry_.effectiveAt = effectiveAt;
        }
        entry_.version = version;
        _versions[key][version] = _id(model);
        emit NamePublished(key, _id(model), version, name, effectiveAt);
    }

    /// @inheritdoc IModelRegistry
    function cancelPublish(string calldata name) external {
        (bytes32 namespaceHash, bytes32 key) = Names.parse(name);
        _requireNamespaceOwner(namespaceHash);
        Name storage entry_ = _names[key];
        _settle(entry_);
        bytes32 pending = entry_.pending;
        if (pending == 0) revert NoMovePending(name);
        uint32 version = entry_.version;
        // The number is not used again: a version always means one model or nothing.
        delete _versions[key][version];
        entry_.pending = 0;
        entry_.effectiveAt = 0;
        emit NameMoveCancelled(key, pending, version);
    }

    /// @inheritdoc IModelRegistry
    function setNameDelay(string calldata name, uint32 delay) external {
        (bytes32 namespaceHash, bytes32 key) = Names.parse(name);
        _requireNamespaceOwner(namespaceHash);
        Name storage entry_ = _names[key];
        if (entry_.current == 0) revert UnknownName(name);
        if (delay < _limits.minNameDelay) revert DelayTooShort(_limits.minNameDelay, delay);
        _settle(entry_);
        uint64 effectiveAt = uint64(block.timestamp);
        if (delay >= entry_.delay) {
            entry_.delay = delay;
            entry_.nextDelayAt = 0;
        } else {
            // Followers chose the name for its delay: a shorter one waits as long as a move would.
            effectiveAt += entry_.delay;
            entry_.nextDelay = delay;
            entry_.nextDelayAt = effectiveAt;
        }
        emit NameDelayChanged(key, delay, effectiveAt);
    }

    /// @inheritdoc IModelRegistry
    function resolve(string calldata name) external view returns (Model model, Model pendingModel, uint64 effectiveAt) {
        (bytes32 key, uint32 version) = Names.parseVersioned(name);
        Name storage entry_ = _names[key];
        if (entry_.current == 0) revert UnknownName(name);
        bool waits = entry_.pending != 0 && block.timestamp < entry_.effectiveAt;
        if (version == 0) {
            bytes32 inForce = waits || entry_.pending == 0 ? entry_.current : entry_.pending;
            if (!waits) return (Model.wrap(inForce), Model.wrap(0), 0);
            return (Model.wrap(inForce), Model.wrap(entry_.pending), entry_.effectiveAt);
        }
        bytes32 id = _versions[key][version];
        if (id == 0) revert UnknownName(name);
        if (waits && version == entry_.version) return (Model.wrap(0), Model.wrap(id), entry_.effectiveAt);
        return (Model.wrap(id), Model.wrap(0), 0);
    }

    /// @inheritdoc IModelRegistry
    function namespaceOwner(string calldata namespace) external view returns (address owner, address pendingOwner) {
        Ownership storage ownership = _namespaces[Names.hashNamespace(namespace)];
        return (ownership.owner, ownership.pendingOwner);
    }

    /// @inheritdoc IModelRegistry
    function nameInfo(string calldata name) external view returns (uint32 version, uint32 delay) {
        (, bytes32 key) = Names.parse(name);
        Name storage entry_ = _names[key];
        if (entry_.current == 0) revert UnknownName(name);
        bool shorter = entry_.nextDelayAt != 0 && block.timestamp >= entry_.nextDelayAt;
        return (entry_.version, shorter ? entry_.nextDelay : entry_.delay);
    }

    /// @dev Writes down what time has already decided.
    function _settle(Name storage entry_) private {
        if (entry_.pending != 0 && block.timestamp >= entry_.effectiveAt) {
            entry_.current = entry_.pending;
            entry_.pending = 0;
            entry_.effectiveAt = 0;
        }
        if (entry_.nextDelayAt != 0 && block.timestamp >= entry_.nextDelayAt) {
            entry_.delay = entry_.nextDelay;
            entry_.nextDelayAt = 0;
        }
    }

    function _requireNamespaceOwner(bytes32 namespaceHash) private view {
        address owner = _namespaces[namespaceHash].owner;
        if (msg.sender != owner) revert NotOwner(owner, msg.sender);
    }
}
