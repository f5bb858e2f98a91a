// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {ScreenedVault} from "../src/examples/screen/ScreenedVault.sol";
import {IERC20} from "../src/examples/token/Tokens.sol";
import {Fallback} from "../src/guard/GuardedModel.sol";
import {FieldRule} from "../src/guard/Rules.sol";
import {Deployment} from "./Deployment.sol";

/// @notice Deploys the screened vault; TOKEN is an address.
contract DeployScreen is Deployment {
    /// @notice Deploys.
    /// @return vault The vault.
    function run() external returns (ScreenedVault vault) {
        startAssay();
        uint256 free = type(uint256).max;
        FieldRule memory rule = FieldRule({min: 0, max: 1e18, maxStep: free, maxPerSecond: free, safe: 1e18});
        vm.startBroadcast();
        vault =
            new ScreenedVault(setupFor(rule, policyOf(Fallback.Safe, false, 1 days)), IERC20(vm.envAddress("TOKEN")));
        vm.stopBroadcast();
    }
}
