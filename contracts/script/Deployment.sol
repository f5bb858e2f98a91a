// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Fallback, Policy, Setup} from "../src/guard/GuardedModel.sol";
import {FieldRule} from "../src/guard/Rules.sol";
import {Model} from "../src/interfaces/IInference.sol";
import {Inference} from "../src/libraries/Inference.sol";
import {AssayBridges} from "../test/AssayTest.sol";
import {Script} from "forge-std/Script.sol";

/// @notice Reads what every deployment of an example needs.
/// @dev Environment: ASSAY_RPC_URL (the node, also for --rpc-url), MODEL (a registry name, or the id as 0x and
/// 64 digits), OWNER and GUARDIAN (default: the sender). Run with --skip-simulation: the bridges serve the
/// first pass only.
abstract contract Deployment is Script, AssayBridges {
    using Inference for Model;

    function modelFromEnv() internal view returns (Model) {
        string memory text = vm.envString("MODEL");
        bytes memory raw = bytes(text);
        if (raw.length == 66 && raw[0] == "0" && raw[1] == "x") return Model.wrap(vm.parseBytes32(text));
        return resolve(text);
    }

    /// @dev The schema is pinned to that of the model chosen now: no later challenger may have another.
    function setupFor(FieldRule memory rule, Policy memory policy) internal view returns (Setup memory setup) {
        setup.owner = vm.envOr("OWNER", msg.sender);
        setup.guardian = vm.envOr("GUARDIAN", msg.sender);
        setup.champion = modelFromEnv();
        setup.schemaHash = setup.champion.schemaHash();
        setup.switchDelay = 2 days;
        setup.policy = policy;
        setup.rules = new FieldRule[](1);
        setup.rules[0] = rule;
    }

    function policyOf(Fallback mode, bool clamp, uint64 maxAge) internal pure returns (Policy memory) {
        return Policy({fallbackMode: mode, clamp: clamp, maxAge: maxAge, reserve: 200_000, shadowGas: 5_000_000});
    }
}
