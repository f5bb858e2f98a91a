// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../interfaces/IInference.sol";
import {Inference} from "../libraries/Inference.sol";
import {Guardian} from "./Guardian.sol";

/// @title Model switch
/// @notice Holds the champion that is used and a challenger that may replace it after a delay.
/// @dev Both have the schema the contract was written for. While a challenger waits it runs in the
/// champion's shadow, so there is a record to judge it by before it decides anything.
abstract contract ModelSwitch is Guardian {
    using Inference for Model;

    /// @notice No challenger waits.
    error NoChallenger();
    /// @notice The challenger's delay has not passed.
    error TooEarly(uint256 readyAt);
    /// @notice A delay of zero would make the switch a surprise.
    error ZeroDelay();

    /// @notice A challenger waits in the champion's shadow.
    event ChallengerProposed(Model indexed challenger, uint256 readyAt);
    /// @notice The challenger was dropped.
    event ChallengerCancelled(Model indexed challenger, address indexed by);
    /// @notice The challenger is the champion now.
    event ChampionChanged(Model indexed former, Model indexed champion);

    /// @notice Schema of every model this contract uses.
    bytes32 public immutable schemaHash;
    /// @notice Seconds a challenger waits.
    uint256 public immutable switchDelay;
    /// @notice Model that is used.
    Model public champion;
    /// @notice Model that waits; zero when none does.
    Model public challenger;
    /// @notice Time from which the challenger may be promoted.
    uint256 public readyAt;

    constructor(Model champion_, bytes32 schemaHash_, uint256 switchDelay_) {
        if (switchDelay_ == 0) revert ZeroDelay();
        champion_.requireSchema(schemaHash_);
        schemaHash = schemaHash_;
        switchDelay = switchDelay_;
        champion = champion_;
        emit ChampionChanged(Model.wrap(0), champion_);
    }

    /// @notice Proposes a challenger; a challenger that waits already is replaced and the delay restarts.
    /// @param model Active model of the same schema.
    function proposeChallenger(Model model) external onlyOwner {
        model.requireSchema(schemaHash);
        challenger = model;
        readyAt = block.timestamp + switchDelay;
        emit ChallengerProposed(model, readyAt);
    }

    /// @notice Drops the challenger; the guardian may, because it only keeps things as they are.
    function cancelChallenger() external onlyGuardian {
        if (Model.unwrap(challenger) == 0) revert NoChallenger();
        emit ChallengerCancelled(challenger, msg.sender);
        _clear();
    }

    /// @notice Makes the challenger the champion once its delay has passed.
    function promoteChallenger() external onlyOwner {
        Model next = challenger;
        if (Model.unwrap(next) == 0) revert NoChallenger();
        if (block.timestamp < readyAt) revert TooEarly(readyAt);
        next.requireSchema(schemaHash);
        emit ChampionChanged(champion, next);
        champion = next;
        _clear();
    }

    function _clear() private {
        challenger = Model.wrap(0);
        readyAt = 0;
    }
}
