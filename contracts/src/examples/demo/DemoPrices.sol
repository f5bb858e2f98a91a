// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IPriceSource} from "../lending/LendingMarket.sol";
import {IERC20} from "../token/Tokens.sol";

/// @title Demo prices
/// @notice Answers the prices anybody wrote: for demonstrations on chains without value only.
contract DemoPrices is IPriceSource {
    mapping(IERC20 asset => uint256) public price;

    /// @notice Writes a price.
    /// @param asset Asset.
    /// @param value Its price in debt units, at 18 decimals.
    function set(IERC20 asset, uint256 value) external {
        price[asset] = value;
    }
}
