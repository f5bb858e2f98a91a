// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "assay-contracts/src/interfaces/IInference.sol";
import {Inference} from "assay-contracts/src/libraries/Inference.sol";

/// @title Ask
/// @notice Asks a model for one row, and keeps the last answer.
contract Ask {
    using Inference for Model;

    /// @notice An answer was kept.
    event Kept(Model indexed model, int256 answer);

    /// @notice Last answer that was kept.
    int256 public last;

    /// @notice Answers one row of a model with one column.
    /// @param model Model to ask.
    /// @param features One value per feature.
    /// @return The column.
    function ask(Model model, int256[] calldata features) external view returns (int256) {
        return model.predictOne(features);
    }

    /// @notice Asks and keeps the answer.
    /// @param model Model to ask.
    /// @param features One value per feature.
    function keep(Model model, int256[] calldata features) external {
        int256 answer = model.predictOne(features);
        last = answer;
        emit Kept(model, answer);
    }
}
