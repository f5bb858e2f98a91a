// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {VolatilityFeeHook} from "../src/examples/hook/VolatilityFeeHook.sol";
import {Fallback, Setup} from "../src/guard/GuardedModel.sol";
import {FieldRule} from "../src/guard/Rules.sol";
import {Deployment} from "./Deployment.sol";
import {IPoolManager} from "@uniswap/v4-core/src/interfaces/IPoolManager.sol";
import {Hooks} from "@uniswap/v4-core/src/libraries/Hooks.sol";

/// @notice Deploys the volatility fee hook at an address that carries its permissions; POOL_MANAGER is an
/// address, or empty to deploy v4-core's own build of one.
contract DeployHook is Deployment {
    /// @dev The deployer of `new C{salt: s}` in a broadcast: the deterministic deployment proxy.
    address private constant DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    uint160 private constant ALL_FLAGS = (1 << 14) - 1;

    /// @notice Deploys.
    /// @return hook The hook.
    function run() external returns (VolatilityFeeHook hook) {
        startAssay();
        address manager = vm.envOr("POOL_MANAGER", address(0));
        vm.startBroadcast();
        if (manager == address(0)) {
            manager = deployCode(
                "node_modules/@uniswap/v4-core/out/PoolManager.sol/PoolManager.json", abi.encode(msg.sender)
            );
        }
        // At most 20% a day, 2% more or less than the day before, 5% when nothing is known.
        FieldRule memory rule =
            FieldRule({min: 0, max: 0.2e18, maxStep: 0.02e18, maxPerSecond: type(uint256).max, safe: 0.05e18});
        Setup memory setup = setupFor(rule, policyOf(Fallback.LastGoodOrSafe, true, 2 days));
        bytes32 salt = mine(abi.encodePacked(type(VolatilityFeeHook).creationCode, abi.encode(setup, manager)));
        hook = new VolatilityFeeHook{salt: salt}(setup, IPoolManager(manager));
        vm.stopBroadcast();
    }

    /// @dev Finds the salt whose address ends in the hook's permissions.
    function mine(bytes memory code) private pure returns (bytes32 salt) {
        uint160 wanted = Hooks.AFTER_INITIALIZE_FLAG | Hooks.BEFORE_SWAP_FLAG;
        bytes32 hash = keccak256(code);
        while (uint160(vm.computeCreate2Address(salt, hash, DEPLOYER)) & ALL_FLAGS != wanted) {
            salt = bytes32(uint256(salt) + 1);
        }
    }
}
