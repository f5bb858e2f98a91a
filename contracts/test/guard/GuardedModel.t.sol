// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Fallback, GuardedModel, Policy, Setup} from "../../src/guard/GuardedModel.sol";
import {Guardian} from "../../src/guard/Guardian.sol";
import {ModelSwitch} from "../../src/guard/ModelSwitch.sol";
import {Owned} from "../../src/guard/Owned.sol";
import {FieldRule, Rule, Rules} from "../../src/guard/Rules.sol";
import {IInference, Model, ModelInfo} from "../../src/interfaces/IInference.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {Doubles, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Two fields, a price and a spread; the spread must stay below the price.
contract Feed is GuardedModel {
    constructor(Setup memory setup) GuardedModel(setup) {}

    function update(bytes32 key) external returns (int256[] memory fields, Rule fired) {
        return _update(key, new int256[](1));
    }

    function updateBatch(bytes32[] memory keys) external returns (int256[] memory fields, Rule[] memory fired) {
        return _updateBatch(keys, new int256[](keys.length));
    }

    function read(bytes32 key) external view returns (int256[] memory fields, Rule fired) {
        return _read(key);
    }

    function _inconsistency(bytes32, int256[] memory fields) internal pure override returns (bytes32) {
        return fields[1] < fields[0] ? bytes32(0) : bytes32("spread above price");
    }
}

abstract contract GuardFixture is Test {
    Model internal constant CHAMPION = Model.wrap(keccak256("champion"));
    Model internal constant CHALLENGER = Model.wrap(keccak256("challenger"));
    bytes32 internal constant KEY = "pair";
    address internal owner = makeAddr("owner");
    address internal guardian = makeAddr("guardian");
    PrecompileDouble internal double;
    Feed internal feed;

    function prepare(Fallback mode, bool clamp) internal {
        vm.warp(1_000_000);
        double = Doubles.install();
        double.setInfo(CHAMPION, Doubles.info("", "x"));
        double.setInfo(CHALLENGER, Doubles.info("", "x"));
        Setup memory setup;
        setup.owner = owner;
        setup.guardian = guardian;
        setup.champion = CHAMPION;
        setup.schemaHash = keccak256("schema");
        setup.switchDelay = 1 days;
        setup.policy = Policy(mode, clamp, 1 hours, 200_000, 1_000_000);
        setup.rules = new FieldRule[](2);
        setup.rules[0] = FieldRule(10, 1000, 100, 5, 50);
        setup.rules[1] = FieldRule(0, 500, type(uint256).max, type(uint256).max, 1);
        feed = new Feed(setup);
        say(CHAMPION, 100, 2);
    }

    function pair(int256 a, int256 b) internal pure returns (int256[] memory v) {
        v = new int256[](2);
        (v[0], v[1]) = (a, b);
    }

    function say(Model model, int256 a, int256 b) internal {
        double.setAnswer(model, pair(a, b));
    }

    function expectUpdate(int256 a, int256 b, Rule rule) internal {
        (int256[] memory fields, Rule fired) = feed.update(KEY);
        assertEq(uint8(fired), uint8(rule));
        assertEq(fields, pair(a, b));
    }

    function expectRead(int256 a, int256 b, Rule rule) internal view {
        (int256[] memory fields, Rule fired) = feed.read(KEY);
        assertEq(uint8(fired), uint8(rule));
        assertEq(fields, pair(a, b));
    }
}

contract GuardedModelTest is GuardFixture {
    function setUp() public {
        prepare(Fallback.LastGoodOrSafe, false);
    }

    function test_a_good_answer_is_used_and_kept() public {
        expectRead(50, 1, Rule.NoReading);
        vm.expectEmit(address(feed));
        emit GuardedModel.Updated(KEY, CHAMPION, pair(100, 2));
        expectUpdate(100, 2, Rule.None);
        expectRead(100, 2, Rule.None);
        (int256[] memory fields, uint64 time) = feed.lastGood(KEY);
        assertEq(fields, pair(100, 2));
        assertEq(time, block.timestamp);
    }

    function test_bounds_hold_for_every_field_and_all_or_none_are_applied() public {
        feed.update(KEY);
        say(CHAMPION, 100, 501);
        vm.expectEmit(address(feed));
        emit GuardedModel.RuleFired(KEY, Rule.AboveMax, 1, 501, 2, "");
        vm.expectEmit(address(feed));
        emit GuardedModel.FallbackUsed(KEY, Rule.AboveMax, pair(100, 2));
        expectUpdate(100, 2, Rule.AboveMax);
        say(CHAMPION, 9, 2);
        expectUpdate(100, 2, Rule.BelowMin);
        expectRead(100, 2, Rule.None);
    }

    function test_the_first_answer_is_bounded_too_and_falls_back_to_safe_values() public {
        say(CHAMPION, 1001, 2);
        expectUpdate(50, 1, Rule.AboveMax);
        (int256[] memory fields,) = feed.lastGood(KEY);
        assertEq(fields.length, 0);
    }

    function test_change_is_limited_per_update_and_per_second() public {
        feed.update(KEY);
        say(CHAMPION, 101, 2);
        expectUpdate(100, 2, Rule.TooFast); // same second
        vm.warp(block.timestamp + 10);
        say(CHAMPION, 151, 2);
        expectUpdate(100, 2, Rule.TooFast); // 51 in 10 s
        say(CHAMPION, 150, 2);
        expectUpdate(150, 2, Rule.None);
        vm.warp(block.timestamp + 1000);
        say(CHAMPION, 251, 2);
        expectUpdate(150, 2, Rule.StepTooLarge);
        say(CHAMPION, 50, 2);
        expectUpdate(50, 2, Rule.None);
    }

    function test_fields_that_do_not_fit_each_other_are_refused_together() public {
        feed.update(KEY);
        vm.warp(block.timestamp + 60);
        say(CHAMPION, 90, 95);
        vm.expectEmit(address(feed));
        emit GuardedModel.RuleFired(KEY, Rule.Inconsistent, 0, 0, 100, abi.encode(bytes32("spread above price")));
        expectUpdate(100, 2, Rule.Inconsistent);
        expectRead(100, 2, Rule.None);
    }

    function test_a_failed_call_falls_back_and_carries_the_reason() public {
        feed.update(KEY);
        bytes memory reason = abi.encodeWithSelector(IInference.ModelSuspended.selector, CHAMPION);
        double.setFailure(CHAMPION, reason);
        vm.expectEmit(address(feed));
        emit GuardedModel.RuleFired(KEY, Rule.CallFailed, 0, 0, 100, reason);
        expectUpdate(100, 2, Rule.CallFailed);
    }

    function test_a_stale_reading_is_not_used_and_judges_nothing() public {
        feed.update(KEY);
        vm.warp(block.timestamp + 1 hours);
        expectRead(100, 2, Rule.None);
        vm.warp(block.timestamp + 1);
        expectRead(50, 1, Rule.Stale);
        say(CHAMPION, 900, 2);
        expectUpdate(900, 2, Rule.None);
    }

    function test_another_number_of_columns_is_refused() public {
        int256[] memory three = new int256[](3);
        double.setAnswer(CHAMPION, three);
        expectUpdate(50, 1, Rule.WrongColumnCount);
    }

    function test_the_guardian_stops_and_only_the_owner_starts() public {
        feed.update(KEY);
        vm.prank(guardian);
        feed.pause();
        expectUpdate(50, 1, Rule.Paused);
        expectRead(50, 1, Rule.Paused);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(Owned.NotOwner.selector, guardian));
        feed.unpause();
        vm.prank(owner);
        feed.unpause();
        expectRead(100, 2, Rule.None);
        vm.expectRevert(abi.encodeWithSelector(Guardian.NotGuardian.selector, address(this)));
        feed.pause();
        vm.prank(owner);
        feed.setGuardian(address(this));
        feed.pause();
    }

    function test_the_guardian_tightens_and_never_loosens() public {
        feed.update(KEY);
        FieldRule memory rule = feed.fieldRules()[0];
        rule.max = 90;
        vm.prank(guardian);
        feed.tightenRule(0, rule);
        // The last reading breaks the new rule: it is neither used nor compared with.
        expectRead(50, 1, Rule.AboveMax);
        say(CHAMPION, 60, 2);
        expectUpdate(60, 2, Rule.None);
        bytes memory refused = abi.encodeWithSelector(GuardedModel.NotTighter.selector, 0);
        for (uint256 i; i < 5; ++i) {
            FieldRule memory loose = feed.fieldRules()[0];
            if (i == 0) loose.max += 1;
            if (i == 1) loose.min -= 1;
            if (i == 2) loose.maxStep += 1;
            if (i == 3) loose.maxPerSecond += 1;
            if (i == 4) loose.safe += 1;
            vm.prank(guardian);
            vm.expectRevert(refused);
            feed.tightenRule(0, loose);
        }
        rule.min = 51;
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(Rules.BadRule.selector, 0));
        feed.tightenRule(0, rule);
    }

    function test_looser_rules_wait_and_can_be_dropped() public {
        FieldRule[] memory rules = feed.fieldRules();
        rules[0].max = 5000;
        vm.startPrank(owner);
        vm.expectRevert(GuardedModel.NoRulesWaiting.selector);
        feed.applyRules();
        feed.proposeRules(rules);
        vm.expectRevert(abi.encodeWithSelector(ModelSwitch.TooEarly.selector, block.timestamp + 1 days));
        feed.applyRules();
        vm.stopPrank();
        vm.startPrank(guardian);
        feed.cancelRules();
        vm.expectRevert(GuardedModel.NoRulesWaiting.selector);
        feed.cancelRules();
        vm.stopPrank();
        vm.startPrank(owner);
        feed.proposeRules(rules);
        vm.warp(block.timestamp + 1 days);
        feed.applyRules();
        assertEq(feed.fieldRules()[0].max, 5000);
        vm.expectRevert(abi.encodeWithSelector(GuardedModel.WrongRuleCount.selector, 2, 1));
        feed.proposeRules(new FieldRule[](1));
    }

    function test_a_challenger_runs_in_the_shadow_and_decides_nothing() public {
        say(CHALLENGER, 999, 3);
        vm.prank(owner);
        feed.proposeChallenger(CHALLENGER);
        vm.expectEmit(address(feed));
        emit GuardedModel.ShadowRun(KEY, CHAMPION, CHALLENGER, pair(100, 2), pair(999, 3), "");
        expectUpdate(100, 2, Rule.None);
        // However it fails.
        bytes memory reason = abi.encodeWithSelector(IInference.NonFinite.selector, 0);
        double.setFailure(CHALLENGER, reason);
        vm.expectEmit(address(feed));
        emit GuardedModel.ShadowRun(KEY, CHAMPION, CHALLENGER, pair(100, 2), new int256[](0), reason);
        expectUpdate(100, 2, Rule.None);
        double.setCost(CHALLENGER, 900_000, 100_001);
        vm.expectEmit(address(feed));
        emit GuardedModel.ShadowSkipped(CHALLENGER, 1_000_001);
        expectUpdate(100, 2, Rule.None);
    }

    function test_a_challenger_without_a_quote_is_recorded() public {
        Model ghost = Model.wrap(keccak256("ghost"));
        ModelInfo memory info = Doubles.info("", "x");
        double.setRawInfo(ghost, abi.encode(info)); // describes itself, and is unknown to the quote
        vm.prank(owner);
        feed.proposeChallenger(ghost);
        bytes memory reason = abi.encodeWithSelector(IInference.UnknownModel.selector, ghost);
        vm.expectEmit(address(feed));
        emit GuardedModel.ShadowRun(KEY, CHAMPION, ghost, pair(100, 2), new int256[](0), reason);
        expectUpdate(100, 2, Rule.None);
    }

    function test_a_switch_waits_and_the_guardian_may_drop_it() public {
        vm.startPrank(owner);
        vm.expectRevert(ModelSwitch.NoChallenger.selector);
        feed.promoteChallenger();
        feed.proposeChallenger(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(ModelSwitch.TooEarly.selector, block.timestamp + 1 days));
        feed.promoteChallenger();
        vm.stopPrank();
        vm.startPrank(guardian);
        vm.expectRevert(abi.encodeWithSelector(Owned.NotOwner.selector, guardian));
        feed.promoteChallenger();
        feed.cancelChallenger();
        vm.expectRevert(ModelSwitch.NoChallenger.selector);
        feed.cancelChallenger();
        vm.stopPrank();
        vm.startPrank(owner);
        feed.proposeChallenger(CHALLENGER);
        vm.warp(block.timestamp + 1 days);
        vm.expectEmit(address(feed));
        emit ModelSwitch.ChampionChanged(CHAMPION, CHALLENGER);
        feed.promoteChallenger();
        assertEq(Model.unwrap(feed.champion()), Model.unwrap(CHALLENGER));
        assertEq(Model.unwrap(feed.challenger()), 0);
    }

    function test_another_schema_is_never_used() public {
        ModelInfo memory info = Doubles.info("", "x");
        info.schemaHash = keccak256("permuted");
        double.setInfo(CHALLENGER, info);
        bytes memory refused =
            abi.encodeWithSelector(Inference.SchemaMismatch.selector, keccak256("schema"), keccak256("permuted"));
        vm.prank(owner);
        vm.expectRevert(refused);
        feed.proposeChallenger(CHALLENGER);
    }

    function test_a_batch_judges_every_row_by_itself() public {
        bytes32[] memory keys = new bytes32[](2);
        (keys[0], keys[1]) = (KEY, "other");
        feed.update(KEY);
        vm.warp(block.timestamp + 1);
        say(CHAMPION, 300, 2);
        (int256[] memory fields, Rule[] memory fired) = feed.updateBatch(keys);
        assertEq(uint8(fired[0]), uint8(Rule.TooFast));
        assertEq(uint8(fired[1]), uint8(Rule.None));
        assertEq(fields[0], 100);
        assertEq(fields[2], 300);
        double.setFailure(CHAMPION, hex"01020304");
        (fields, fired) = feed.updateBatch(keys);
        assertEq(uint8(fired[1]), uint8(Rule.CallFailed));
        assertEq(fields[3], 2);
    }

    /// @dev Whatever gas the sender picks, a good model is used or the transaction reverts.
    function test_too_little_gas_never_makes_a_fallback() public {
        double.setCost(CHAMPION, 3_000_000, 100_000);
        uint256 used;
        for (uint256 gas = 50_000; gas <= 6_500_000; gas += 50_000) {
            uint256 snapshot = vm.snapshotState();
            (bool success, bytes memory data) = address(feed).call{gas: gas}(abi.encodeCall(Feed.update, (KEY)));
            if (success) {
                (, Rule fired) = abi.decode(data, (int256[], Rule));
                assertEq(uint8(fired), uint8(Rule.None));
                ++used;
            }
            vm.revertToState(snapshot);
        }
        assertGt(used, 40);
    }

    function test_ownership_moves_in_two_steps() public {
        vm.prank(owner);
        feed.offerOwner(guardian);
        vm.expectRevert(abi.encodeWithSelector(Owned.NotPendingOwner.selector, address(this)));
        feed.acceptOwner();
        vm.prank(guardian);
        feed.acceptOwner();
        assertEq(feed.owner(), guardian);
    }

    function testFuzz_nearest_stays_between_and_within_the_limit(
        int256 last,
        int256 value,
        FieldRule memory rule,
        uint32 t
    ) public pure {
        (Rule fired, int256 nearest) = Rules.change(rule, last, value, t);
        if (fired == Rule.None) {
            assertEq(nearest, value);
        } else {
            assertTrue(nearest != value);
            assertTrue(value > last ? nearest >= last && nearest < value : nearest <= last && nearest > value);
        }
        assertLe(Rules.distance(last, nearest), rule.maxStep);
    }
}

contract GuardedModelModesTest is GuardFixture {
    function test_clamping_moves_as_far_as_allowed() public {
        prepare(Fallback.LastGoodOrSafe, true);
        feed.update(KEY);
        vm.warp(block.timestamp + 10);
        say(CHAMPION, 900, 2);
        vm.expectEmit(address(feed));
        emit GuardedModel.RuleFired(KEY, Rule.TooFast, 0, 900, 150, "");
        expectUpdate(150, 2, Rule.TooFast);
        vm.warp(block.timestamp + 100);
        expectUpdate(250, 2, Rule.StepTooLarge);
        expectRead(250, 2, Rule.None);
        // What clamping leaves must still fit together.
        say(CHAMPION, 900, 300);
        vm.warp(block.timestamp + 1);
        expectUpdate(250, 2, Rule.Inconsistent);
    }

    function test_revert_mode_changes_nothing() public {
        prepare(Fallback.Revert, false);
        feed.update(KEY);
        say(CHAMPION, 5, 2);
        vm.expectRevert(abi.encodeWithSelector(GuardedModel.GuardFired.selector, KEY, Rule.BelowMin, 0, ""));
        feed.update(KEY);
        expectRead(100, 2, Rule.None);
        vm.warp(block.timestamp + 2 hours);
        vm.expectRevert(abi.encodeWithSelector(GuardedModel.GuardFired.selector, KEY, Rule.Stale, 0, ""));
        feed.read(KEY);
    }

    function test_a_fallback_that_fails_is_a_typed_error_and_changes_nothing() public {
        prepare(Fallback.LastGood, false);
        say(CHAMPION, 5, 2);
        vm.expectRevert(
            abi.encodeWithSelector(GuardedModel.FallbackFailed.selector, KEY, Rule.BelowMin, Rule.NoReading)
        );
        feed.update(KEY);
        say(CHAMPION, 100, 2);
        feed.update(KEY);
        vm.warp(block.timestamp + 1 hours + 1);
        say(CHAMPION, 5, 2);
        vm.expectRevert(abi.encodeWithSelector(GuardedModel.FallbackFailed.selector, KEY, Rule.BelowMin, Rule.Stale));
        feed.update(KEY);
        vm.prank(guardian);
        feed.pause();
        expectUpdate(50, 1, Rule.Paused);
    }

    function test_safe_mode_ignores_the_last_reading() public {
        prepare(Fallback.Safe, false);
        feed.update(KEY);
        say(CHAMPION, 5, 2);
        expectUpdate(50, 1, Rule.BelowMin);
    }

    function test_unsound_setups_are_refused() public {
        prepare(Fallback.Safe, false);
        Setup memory setup;
        setup.champion = CHAMPION;
        setup.schemaHash = keccak256("schema");
        vm.expectRevert(ModelSwitch.ZeroDelay.selector);
        new Feed(setup);
        setup.switchDelay = 1;
        setup.rules = new FieldRule[](1);
        setup.rules[0].min = 1;
        vm.expectRevert(abi.encodeWithSelector(Rules.BadRule.selector, 0));
        new Feed(setup);
        setup.schemaHash = "x";
        vm.expectRevert(abi.encodeWithSelector(Inference.SchemaMismatch.selector, bytes32("x"), keccak256("schema")));
        new Feed(setup);
    }
}
