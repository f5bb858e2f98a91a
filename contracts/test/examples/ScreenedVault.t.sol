// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {ScreenedVault} from "../../src/examples/screen/ScreenedVault.sol";
import {IERC20, Lock, Tokens} from "../../src/examples/token/Tokens.sol";
import {Fallback} from "../../src/guard/GuardedModel.sol";
import {Guardian} from "../../src/guard/Guardian.sol";
import {FieldRule, Rule} from "../../src/guard/Rules.sol";
import {IInference} from "../../src/interfaces/IInference.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {ExampleFixture, OneFeature} from "./ExampleFixture.sol";
import {MockERC20} from "solmate/src/test/utils/mocks/MockERC20.sol";

contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    bool public refuses;

    function transfer(address to, uint256 amount) external {
        require(!refuses);
        balanceOf[to] += amount;
    }

    function transferFrom(address, address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function refuse() external {
        refuses = true;
    }
}

contract ScreenedVaultTest is ExampleFixture {
    ScreenedVault internal vault;
    MockERC20 internal token;
    address internal user = makeAddr("user");

    function setUp() public {
        startModel();
        answer(0.1e18);
        token = newToken("token");
        vault = newVault(IERC20(address(token)));
        token.mint(user, 1000e18);
        vm.startPrank(user);
        token.approve(address(vault), type(uint256).max);
        vault.deposit(1000e18);
        vm.stopPrank();
    }

    function newVault(IERC20 token_) internal returns (ScreenedVault) {
        FieldRule memory rule = FieldRule(0, 1e18, type(uint256).max, type(uint256).max, 1e18);
        return new ScreenedVault(setupFor(rule, Fallback.Safe, false, 1 days), token_);
    }

    function withdraw(uint256 amount) internal returns (uint256) {
        vm.prank(user);
        return vault.withdraw(amount);
    }

    function test_an_ordinary_withdrawal_is_paid_at_once() public {
        assertEq(withdraw(100e18), 0);
        assertEq(token.balanceOf(user), 100e18);
        assertEq(vault.balances(user), 900e18);
    }

    function test_an_unusual_withdrawal_waits_a_day_and_is_then_its_owners() public {
        answer(0.6e18);
        uint256 ticket = withdraw(100e18);
        assertEq(ticket, 1);
        assertEq(token.balanceOf(user), 0);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.StillHeld.selector, block.timestamp + 1 days));
        vault.release(ticket);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.NotYourTicket.selector, ticket));
        vault.release(ticket);
        vm.warp(block.timestamp + 1 days);
        // Neither a pause nor a dead model can keep it.
        vm.prank(guardian);
        vault.pause();
        double.setFailure(MODEL, hex"01");
        vm.prank(user);
        vault.release(ticket);
        assertEq(token.balanceOf(user), 100e18);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.NotYourTicket.selector, ticket));
        vault.release(ticket);
    }

    function test_a_held_withdrawal_can_be_called_off() public {
        answer(1e18);
        uint256 ticket = withdraw(100e18);
        vm.prank(user);
        vault.cancel(ticket);
        assertEq(vault.balances(user), 1000e18);
        assertEq(vault.totalBalance(), 1000e18);
    }

    function test_the_guardian_extends_once_and_only_before_the_release() public {
        answer(1e18);
        uint256 ticket = withdraw(100e18);
        vm.expectRevert(abi.encodeWithSelector(Guardian.NotGuardian.selector, address(this)));
        vault.extend(ticket);
        vm.startPrank(guardian);
        vault.extend(ticket);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.CannotExtend.selector, ticket));
        vault.extend(ticket);
        vm.stopPrank();
        uint256 second = withdraw(1e18);
        vm.warp(block.timestamp + 1 days);
        vm.startPrank(guardian);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.CannotExtend.selector, second));
        vault.extend(second);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.CannotExtend.selector, 99));
        vault.extend(99);
        vm.stopPrank();
        vm.startPrank(user);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.StillHeld.selector, block.timestamp + 3 days));
        vault.release(ticket);
        vm.warp(block.timestamp + 3 days);
        vault.release(ticket);
    }

    function test_a_failing_model_holds_and_says_which_rule_fired() public {
        double.setFailure(MODEL, abi.encodeWithSelector(IInference.MissingNotAllowed.selector, 2));
        vm.expectEmit(address(vault));
        emit ScreenedVault.Screened(user, 5e18, 1e18, Rule.CallFailed, true);
        withdraw(5e18);
        answer(-1);
        vm.expectEmit(address(vault));
        emit ScreenedVault.Screened(user, 5e18, 1e18, Rule.BelowMin, true);
        withdraw(5e18);
    }

    function test_the_first_withdrawal_has_missing_features_and_the_next_has_not() public {
        int256[] memory row = vault.featuresOf(user, 250e18);
        assertEq(row[0], 250_000);
        assertEq(row[1], 250_000);
        assertEq(row[2], Inference.MISSING);
        assertEq(row[3], Inference.MISSING);
        assertEq(row[4], 0);
        withdraw(100e18);
        withdraw(200e18);
        vm.warp(block.timestamp + 10);
        row = vault.featuresOf(user, 300e18);
        assertEq(row[2], 2_000_000);
        assertEq(row[3], 10);
        assertEq(row[4], 2);
        assertEq(row[5], 10);
        vm.warp(block.timestamp + 1 days);
        assertEq(vault.featuresOf(user, 1)[4], 0);
        withdraw(1e18);
        assertEq(vault.featuresOf(user, 1)[4], 1);
        assertEq(vault.featuresOf(guardian, 1)[0], 1e12);
        assertEq(vault.featuresOf(guardian, 1)[5], 0);
        assertEq(vault.featuresOf(user, type(uint256).max / 8)[0], 1e12);
    }

    function test_bad_input_is_refused() public {
        vm.startPrank(user);
        vm.expectRevert(ScreenedVault.ZeroAmount.selector);
        vault.withdraw(0);
        vm.expectRevert(ScreenedVault.ZeroAmount.selector);
        vault.deposit(0);
        vm.expectRevert(abi.encodeWithSelector(ScreenedVault.NotEnough.selector, 1000e18, 1001e18));
        vault.withdraw(1001e18);
    }

    function test_tokens_that_say_nothing_or_refuse() public {
        SilentToken silent = new SilentToken();
        vault = newVault(IERC20(address(silent)));
        vault.deposit(10);
        vault.withdraw(5);
        assertEq(silent.balanceOf(address(this)), 5);
        silent.refuse();
        vm.expectRevert(abi.encodeWithSelector(Tokens.TransferFailed.selector, address(silent)));
        vault.withdraw(5);
        vault = newVault(IERC20(address(0xdead)));
        vm.expectRevert(abi.encodeWithSelector(Tokens.TransferFailed.selector, address(0xdead)));
        vault.deposit(10);
    }

    function testFuzz_the_vault_owes_what_it_holds(uint96[8] memory amounts, uint256 unusual) public {
        for (uint256 i; i < 8; ++i) {
            answer((unusual >> i) & 1 == 1 ? int256(1e18) : int256(0));
            uint256 amount = bound(amounts[i], 1, 200e18);
            if (amount > vault.balances(user)) continue;
            withdraw(amount);
        }
        uint256 owed = vault.totalBalance();
        for (uint256 t = 1; t <= vault.ticketCount(); ++t) {
            (,,, uint256 amount) = vault.tickets(t);
            owed += amount;
        }
        assertEq(token.balanceOf(address(vault)), owed);
    }
}
