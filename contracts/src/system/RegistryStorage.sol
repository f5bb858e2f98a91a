// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model, ModelStatus} from "../interfaces/IInference.sol";
import {IModelRegistry, Limits} from "../interfaces/IModelRegistry.sol";
import {IValidatorSet} from "../interfaces/IValidatorSet.sol";

/// @title Registry storage
/// @notice Declares every slot of the model registry, in one place, because the node reads them.
/// @dev Part of the protocol: contracts/STORAGE.md describes it and a test compares.
abstract contract RegistryStorage is IModelRegistry {
    /// @dev First word of a model, the one the precompile reads. `status` is never `Scheduled`.
    struct Record {
        ModelStatus status;
        bool deprecated;
        uint64 activationHeight;
        uint64 size;
        uint32 suspensions;
        address publisher;
        bytes32 schemaHash;
    }

    /// @dev `version` is the validator set `power` was counted in; a registration has `registered`.
    struct Registration {
        bool registered;
        uint64 power;
        uint64 version;
    }

    struct Counters {
        uint64 totalBytes;
        uint64 epoch;
        uint32 registrations;
    }

    struct Ownership {
        address owner;
        address pendingOwner;
    }

    struct Name {
        bytes32 current;
        bytes32 pending;
        uint64 effectiveAt;
        uint64 nextDelayAt;
        uint32 delay;
        uint32 nextDelay;
        uint32 version;
    }

    /// @notice Validator set whose power decides.
    IValidatorSet public validatorSet; // slot 0
    Limits internal _limits; // slots 1 and 2
    Counters internal _counters; // slot 3
    mapping(bytes32 model => Record) internal _records; // slot 4
    mapping(bytes32 registrationKey => Registration) internal _registrations; // slot 5
    mapping(bytes32 registrationKey => mapping(address account => bool)) internal _attested; // slot 6
    bytes32[] internal _active; // slot 7
    mapping(address account => uint256 models) internal _counted; // slot 8
    mapping(bytes32 model => Ownership) internal _handovers; // slot 9: owner zero means the publisher
    mapping(bytes32 namespaceHash => Ownership) internal _namespaces; // slot 10
    mapping(bytes32 nameHash => Name) internal _names; // slot 11
    mapping(bytes32 nameHash => mapping(uint32 version => bytes32 model)) internal _versions; // slot 12

    /// @dev Whether a block at the current height may run the model.
    function _runs(Record storage record) internal view returns (bool) {
        return record.status == ModelStatus.Active && block.number >= record.activationHeight;
    }

    function _id(Model model) internal pure returns (bytes32) {
        return Model.unwrap(model);
    }
}
