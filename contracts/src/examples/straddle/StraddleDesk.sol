// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../interfaces/IInference.sol";
import {Inference} from "../../libraries/Inference.sol";

/// @title Straddle desk
/// @notice Quotes a straddle for the next day from a model's forecast of volatility.
/// @dev The smallest whole use of a model: `assay dev` has it at 0x0e01. It pins the model, so nobody can
/// change the answer; it holds no funds, so it needs no guard. A desk that trades needs one: src/guard.
contract StraddleDesk {
    using Inference for Model;

    /// @notice The model forecasts no positive volatility.
    error NoForecast(int256 volatility);

    /// @notice The example model `volatility`: next day's volatility, 18 decimals.
    Model public constant MODEL = Model.wrap(0xa750e69ad44be5dee05ed66bcb3004b1259d6dabf9d707bf664e98edf7fefee9);
    /// @notice Expected size of a normal move, in volatilities: sqrt(2 / pi), 18 decimals.
    uint256 public constant EXPECTED_MOVE = 797_884_560_802_865_356;

    /// @notice Quotes the straddle at the money: what a normal move of the forecast size is worth.
    /// @param spot Price, in any unit.
    /// @param features The model's features, in schema order and scale.
    /// @return premium Fair premium, in the unit of `spot`.
    function quote(uint256 spot, int256[5] calldata features) external view returns (uint256 premium) {
        int256[] memory row = new int256[](5);
        for (uint256 i; i < 5; ++i) {
            row[i] = features[i];
        }
        int256 volatility = MODEL.predictOne(row);
        if (volatility <= 0) revert NoForecast(volatility);
        return spot * uint256(volatility) * EXPECTED_MOVE / 1e36;
    }
}
