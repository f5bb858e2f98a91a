// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Fallback} from "../../src/guard/GuardedModel.sol";
import {Rules} from "../../src/guard/Rules.sol";
import {Model} from "../../src/interfaces/IInference.sol";
import {PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Feed, GuardFixture} from "./GuardedModel.t.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Whatever the model says, what is kept and used obeys the rules.
contract GuardedModelInvariants is GuardFixture {
    GuardHandler internal handler;

    function setUp() public {
        prepare(Fallback.LastGoodOrSafe, true);
        handler = new GuardHandler(feed, double, CHAMPION);
        targetContract(address(handler));
    }

    function invariant_used_values_obey_bounds_and_fit_together() public view {
        int256[] memory used = handler.used();
        if (used.length == 0) return;
        assertTrue(used[0] >= 10 && used[0] <= 1000);
        assertTrue(used[1] >= 0 && used[1] <= 500);
        assertLt(used[1], used[0]);
    }

    function invariant_kept_values_move_no_faster_than_allowed() public view {
        assertFalse(handler.tooFast());
    }
}

contract GuardHandler is Test {
    Feed internal immutable feed;
    PrecompileDouble internal immutable double;
    Model internal immutable model;
    int256[] internal used_;
    bool public tooFast;

    constructor(Feed feed_, PrecompileDouble double_, Model model_) {
        (feed, double, model) = (feed_, double_, model_);
    }

    function used() external view returns (int256[] memory) {
        return used_;
    }

    function answer(int256 a, int256 b, bool wild) external {
        int256[] memory v = new int256[](2);
        v[0] = wild ? a : bound(a, 0, 1100);
        v[1] = wild ? b : bound(b, 0, 600);
        double.setAnswer(model, v);
        update();
    }

    function fail(bytes4 reason) external {
        double.setFailure(model, abi.encode(reason));
        update();
    }

    function pass(uint16 time) external {
        vm.warp(block.timestamp + time);
    }

    function update() internal {
        (int256[] memory before, uint64 then) = feed.lastGood("pair");
        (used_,) = feed.update("pair");
        (int256[] memory present, uint64 time) = feed.lastGood("pair");
        if (before.length == 0 || time - then > 1 hours) return;
        uint256 step = Rules.distance(before[0], present[0]);
        if (step > 100 || step > 5 * (time - then)) tooFast = true;
    }
}
