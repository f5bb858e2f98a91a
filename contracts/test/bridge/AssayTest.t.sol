// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../../src/interfaces/IInference.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {AssayTest, Bridge, ReadBridge} from "../AssayTest.sol";
import {Test} from "forge-std/Test.sol";

/// @notice What the bridge does without a node; with one, see `node/`.
contract AssayTestWithoutNode is AssayTest {
    using Inference for Model;

    function setUp() public {
        vm.setEnv("ASSAY_RPC_URL", "http://127.0.0.1:9");
        startAssay();
    }

    function ask() external view returns (int256) {
        return Model.wrap("model").predictOne(new int256[](1));
    }

    function test_no_node_is_a_clear_failure() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                Bridge.NoAssayNode.selector,
                "http://127.0.0.1:9",
                "no answer: start one with `assay dev`, or set ASSAY_RPC_URL"
            )
        );
        this.ask();
    }

    function test_writes_to_predeploys_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(ReadBridge.ReadOnlyInTests.selector, IModelRegistry.publish.selector));
        REGISTRY.publish("acme/credit", Model.wrap("model"));
    }

    function test_value_and_delegated_calls_are_refused_as_by_the_precompile() public {
        (bool ok, bytes memory data) = address(0x0a11).call{value: 1}("");
        assertFalse(ok);
        assertEq(bytes4(data), IInference.NotPayable.selector);
        (ok, data) = address(0x0a11).delegatecall("");
        assertFalse(ok);
        assertEq(bytes4(data), IInference.DirectCallOnly.selector);
    }
}
