// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Owned} from "./Owned.sol";

/// @title Guardian
/// @notice Lets a guardian stop things fast; only the owner, who is slower and better protected, starts
/// them again.
abstract contract Guardian is Owned {
    /// @notice Only the guardian or the owner may do this.
    error NotGuardian(address caller);

    /// @notice The guardian changed.
    event GuardianChanged(address indexed guardian);
    /// @notice Models are asked no more; safe values stand in.
    event Paused(address indexed by);
    /// @notice Models are asked again.
    event Unpaused(address indexed by);

    /// @notice Account that may only make things safer.
    address public guardian;
    /// @notice Whether models are asked no more.
    bool public paused;

    modifier onlyGuardian() {
        if (msg.sender != guardian && msg.sender != owner) revert NotGuardian(msg.sender);
        _;
    }

    constructor(address guardian_) {
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// @notice Names another guardian.
    /// @param newGuardian New guardian; zero for none.
    function setGuardian(address newGuardian) external onlyOwner {
        guardian = newGuardian;
        emit GuardianChanged(newGuardian);
    }

    /// @notice Stops asking models.
    function pause() external onlyGuardian {
        paused = true;
        emit Paused(msg.sender);
    }

    /// @notice Asks models again.
    function unpause() external onlyOwner {
        paused = false;
        emit Unpaused(msg.sender);
    }
}
