// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IPriceSource} from "../src/examples/lending/LendingMarket.sol";
import {IERC20} from "../src/examples/token/Tokens.sol";

/// @notice Answers the prices anybody wrote: for demonstrations on development chains only.
contract SettablePrices is IPriceSource {
    mapping(IERC20 asset => uint256) public price;

    function set(IERC20 asset, uint256 value) external {
        price[asset] = value;
    }
}
