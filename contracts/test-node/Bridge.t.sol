// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model, Tensor} from "../src/interfaces/IInference.sol";
import {Inference} from "../src/libraries/Inference.sol";
import {AssayTest} from "../test/AssayTest.sol";

/// @notice Checks the bridge itself against a node whose precompile is scripted (tools/test-bridge).
contract BridgeTest is AssayTest {
    using Inference for Model;

    Model internal constant GOOD = Model.wrap(bytes32(uint256(1)));
    Model internal constant BAD = Model.wrap(bytes32(uint256(2)));

    function setUp() public {
        startAssay();
    }

    function row() internal pure returns (int256[] memory features) {
        features = new int256[](2);
        (features[0], features[1]) = (1, 2);
    }

    function predictOne(Model model) external view returns (int256) {
        return model.predictOne(row());
    }

    function test_answers_come_from_the_node_in_static_calls_too() public view {
        assertEq(this.predictOne(GOOD), -42);
        assertEq(GOOD.predictOne(row()), -42);
        assertEq(GOOD.predictBatch(3, new int256[](6)).length, 3);
    }

    function test_tensors_travel_both_ways() public view {
        Tensor[] memory inputs = new Tensor[](1);
        inputs[0] = Tensor(1, new uint64[](1), hex"0000803f");
        assertEq(abi.encode(GOOD.run(inputs)), abi.encode(inputs));
    }

    function test_typed_reverts_come_through() public {
        vm.expectRevert(abi.encodeWithSelector(IInference.NonFinite.selector, 7));
        this.predictOne(BAD);
        vm.expectRevert(abi.encodeWithSelector(IInference.UnknownModel.selector, bytes32(uint256(9))));
        this.predictOne(Model.wrap(bytes32(uint256(9))));
    }

    function test_the_quote_is_burnt() public view {
        uint256 before = gasleft();
        this.predictOne(GOOD);
        uint256 used = before - gasleft();
        assertGe(used, 1_050_000);
        assertLt(used, 1_500_000);
        assertEq(GOOD.quote(), 1_050_000);
    }

    function test_too_little_gas_returns_nothing() public view {
        (bool ok, bytes memory data) =
            address(this).staticcall{gas: 900_000}(abi.encodeCall(this.predictOne, (GOOD)));
        assertFalse(ok);
        assertEq(data.length, 0);
    }
}
