// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IPriceSource, LendingMarket} from "../src/examples/lending/LendingMarket.sol";
import {IERC20} from "../src/examples/token/Tokens.sol";
import {Fallback} from "../src/guard/GuardedModel.sol";
import {FieldRule} from "../src/guard/Rules.sol";
import {Deployment} from "./Deployment.sol";

/// @notice Deploys the lending market; DEBT_ASSET, COLLATERAL and PRICES are addresses.
contract DeployLending is Deployment {
    /// @notice Deploys.
    /// @return market The market.
    function run() external returns (LendingMarket market) {
        startAssay();
        IERC20[] memory collaterals = new IERC20[](1);
        collaterals[0] = IERC20(vm.envAddress("COLLATERAL"));
        // A probability; at most 0.3 more at once and 0.36 in an hour; the greatest risk when unknown.
        FieldRule memory rule = FieldRule({min: 0, max: 1e18, maxStep: 0.3e18, maxPerSecond: 1e14, safe: 1e18});
        vm.startBroadcast();
        market = new LendingMarket(
            setupFor(rule, policyOf(Fallback.Safe, true, 1 days)),
            IERC20(vm.envAddress("DEBT_ASSET")),
            IPriceSource(vm.envAddress("PRICES")),
            collaterals
        );
        vm.stopBroadcast();
    }
}
