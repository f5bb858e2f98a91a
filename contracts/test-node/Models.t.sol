// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../src/interfaces/IInference.sol";
import {Inference} from "../src/libraries/Inference.sol";
import {AssayTest} from "../test/AssayTest.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Checks the bridge with the trained models of a running `assay dev`; MODEL_VOLATILITY and MODEL_GROWTH
/// are ids there (scripts/with-dev-node sets them).
contract ModelsTest is AssayTest {
    using Inference for Model;

    Model internal volatility;
    Model internal growth;

    function setUp() public {
        startAssay();
        volatility = Model.wrap(vm.envBytes32("MODEL_VOLATILITY"));
        growth = Model.wrap(vm.envBytes32("MODEL_GROWTH"));
    }

    function week() internal pure returns (int256[] memory features) {
        features = new int256[](5);
        (features[0], features[1], features[2], features[3], features[4]) = (21_000, 19_000, 17_000, -12_000, 9000);
    }

    function grown(int256 rate, int256 count) public view returns (int256) {
        int256[] memory features = new int256[](2);
        (features[0], features[1]) = (rate, count);
        return growth.predictOne(features);
    }

    function test_the_trained_model_answers_the_same_bits_as_on_the_chain() public view {
        assertEq(volatility.predictOne(week()), 18_722_712_993_621_826);
    }

    function test_the_answer_grows_with_the_volatility_of_the_week() public view {
        int256[] memory wild = week();
        for (uint256 i; i < 3; ++i) {
            wild[i] *= 3;
        }
        assertGt(volatility.predictOne(wild), volatility.predictOne(week()));
    }

    function test_a_batch_answers_as_its_rows() public view {
        int256[] memory rows = new int256[](4);
        (rows[0], rows[1], rows[2], rows[3]) = (0, 100, 1e18, 300);
        int256[] memory answers = growth.predictBatch(2, rows);
        assertEq(answers[0], 1e18);
        assertEq(answers[1], grown(1e18, 300));
    }

    function test_typed_reverts_of_real_models_come_through() public {
        vm.expectRevert(abi.encodeWithSelector(IInference.NonFinite.selector, 0));
        this.grown(1000e18, 100);
        vm.expectRevert(abi.encodeWithSelector(IInference.OutOfRange.selector, 0));
        this.grown(150e18, 100);
        vm.expectRevert(abi.encodeWithSelector(IInference.NotInteger.selector, 1));
        this.grown(1e18, 150);
        vm.expectRevert(abi.encodeWithSelector(IInference.MissingNotAllowed.selector, 0));
        this.grown(Inference.MISSING, 100);
    }

    function test_the_quote_is_what_a_call_burns() public view {
        uint256 quoted = volatility.quote();
        int256[] memory features = week();
        uint256 before = gasleft();
        volatility.predictOne(features);
        assertGe(before - gasleft(), quoted);
    }
}

/// @notice Checks that forge can fork the node, as it forks anvil.
contract ForkTest is Test {
    function test_a_fork_sees_the_state_of_the_node() public {
        vm.createSelectFork(vm.envString("ASSAY_RPC_URL"));
        assertEq(block.chainid, 31_337);
        assertEq(address(0x0a11).code, hex"fe");
        assertGt(address(0x0a12).code.length, 0);
    }
}
