// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {VolatilityFeeHook} from "../../src/examples/hook/VolatilityFeeHook.sol";
import {Fallback, GuardedModel, Setup} from "../../src/guard/GuardedModel.sol";
import {FieldRule, Rule} from "../../src/guard/Rules.sol";
import {IInference} from "../../src/interfaces/IInference.sol";
import {ExampleFixture, OneFeature} from "./ExampleFixture.sol";
import {IHooks} from "@uniswap/v4-core/src/interfaces/IHooks.sol";
import {IPoolManager} from "@uniswap/v4-core/src/interfaces/IPoolManager.sol";
import {Hooks} from "@uniswap/v4-core/src/libraries/Hooks.sol";
import {LPFeeLibrary} from "@uniswap/v4-core/src/libraries/LPFeeLibrary.sol";
import {PoolModifyLiquidityTest} from "@uniswap/v4-core/src/test/PoolModifyLiquidityTest.sol";
import {PoolSwapTest} from "@uniswap/v4-core/src/test/PoolSwapTest.sol";
import {Currency} from "@uniswap/v4-core/src/types/Currency.sol";
import {PoolId, PoolIdLibrary} from "@uniswap/v4-core/src/types/PoolId.sol";
import {PoolKey} from "@uniswap/v4-core/src/types/PoolKey.sol";
import {ModifyLiquidityParams, SwapParams} from "@uniswap/v4-core/src/types/PoolOperation.sol";
import {Vm} from "forge-std/Vm.sol";
import {MockERC20} from "solmate/src/test/utils/mocks/MockERC20.sol";

/// @notice Runs the hook in the real pool manager, from the build that v4-core publishes on npm.
contract VolatilityFeeHookTest is ExampleFixture {
    using PoolIdLibrary for PoolKey;

    uint160 internal constant PRICE_ONE = 1 << 96;
    IPoolManager internal manager;
    PoolSwapTest internal swapper;
    VolatilityFeeHook internal hook;
    PoolKey internal key;
    PoolId internal pool;

    function setUp() public {
        startModel();
        answer(0.01e18);
        manager = IPoolManager(
            deployCode("node_modules/@uniswap/v4-core/out/PoolManager.sol/PoolManager.json", abi.encode(address(this)))
        );
        swapper = new PoolSwapTest(manager);
        PoolModifyLiquidityTest liquidity = new PoolModifyLiquidityTest(manager);
        hook =
            deployHook(address(uint160(0x4444 << 144) | uint160(Hooks.AFTER_INITIALIZE_FLAG | Hooks.BEFORE_SWAP_FLAG)));

        MockERC20 a = newToken("a");
        MockERC20 b = newToken("b");
        (address low, address high) = address(a) < address(b) ? (address(a), address(b)) : (address(b), address(a));
        key = PoolKey(Currency.wrap(low), Currency.wrap(high), LPFeeLibrary.DYNAMIC_FEE_FLAG, 60, IHooks(address(hook)));
        pool = key.toId();
        for (uint256 i; i < 2; ++i) {
            MockERC20 token = i == 0 ? a : b;
            token.mint(address(this), 1e30);
            token.approve(address(swapper), type(uint256).max);
            token.approve(address(liquidity), type(uint256).max);
        }
        manager.initialize(key, PRICE_ONE);
        liquidity.modifyLiquidity(key, ModifyLiquidityParams(-6000, 6000, 1e24, 0), "");
    }

    function setup() internal view returns (Setup memory) {
        // Volatility of a day: at most 20%, 2% more or less than the day before, 5% when nothing is known.
        FieldRule memory rule = FieldRule(0, 0.2e18, 0.02e18, type(uint256).max, 0.05e18);
        return setupFor(rule, Fallback.LastGoodOrSafe, true, 2 days);
    }

    function deployHook(address at) internal returns (VolatilityFeeHook) {
        deployCodeTo("VolatilityFeeHook.sol:VolatilityFeeHook", abi.encode(setup(), manager), at);
        return VolatilityFeeHook(at);
    }

    /// @dev Swaps and answers the fee the pool manager charged.
    function swap(bool zeroForOne) internal returns (uint24 fee) {
        uint160 limit = zeroForOne ? PRICE_ONE * 9 / 10 : PRICE_ONE * 11 / 10;
        vm.recordLogs();
        swapper.swap(key, SwapParams(zeroForOne, -1e21, limit), PoolSwapTest.TestSettings(false, false), "");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter == address(manager) && logs[i].topics[0] == IPoolManager.Swap.selector) {
                (,,,,, fee) = abi.decode(logs[i].data, (int128, int128, uint160, uint128, int24, uint24));
            }
        }
    }

    /// @dev Days with two swaps each, the first of which closes the day before.
    function pass(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            vm.warp(block.timestamp + 1 days - 60);
            swap(true);
            vm.warp(block.timestamp + 60);
            swap(false);
        }
    }

    function test_swaps_pay_the_safe_fee_until_there_is_a_history() public {
        assertEq(swap(true), 5500); // 500 + 5% of 100,000
        pass(21);
        assertEq(swap(false), 5500);
    }

    function test_the_model_sets_the_fee_from_the_pools_own_history() public {
        pass(22);
        assertEq(hook.currentFee(pool), 1500); // 500 + 1% of 100,000
        assertEq(swap(true), 1500);
        int256[] memory row = hook.featuresOf(pool);
        assertEq(row.length, 5);
        // A swap of 1e21 in 1e24 moves the price 0.2%: some twenty ticks, one such move a day.
        assertTrue(row[0] >= 1900 && row[0] <= 4200);
        assertApproxEqAbs(row[1], row[0], 1000);
        assertApproxEqAbs(row[2], row[0], 1000);
    }

    function test_the_swap_that_closes_a_day_is_charged_by_the_past() public {
        pass(22);
        double.setFunction(MODEL, new OneFeature(0, 1e12, 5)); // yesterday's volatility
        vm.warp(block.timestamp + 1 days);
        uint24 fee = swap(true);
        assertEq(fee, hook.feeAt(hook.featuresOf(pool)[0] * 1e12));
        assertEq(swap(true), fee);
    }

    function test_the_model_is_asked_once_a_day() public {
        pass(22);
        vm.expectCall(address(0x0a11), "", 0);
        assertEq(swap(true), 1500);
        vm.warp(block.timestamp + 120);
        assertEq(swap(false), 1500);
    }

    function test_quiet_days_count_as_days() public {
        pass(22);
        answer(0.02e18);
        vm.warp(block.timestamp + 100 days);
        assertEq(swap(true), 2500); // the reading was stale: nothing to compare with
        int256[] memory row = hook.featuresOf(pool);
        for (uint256 i; i < 5; ++i) {
            assertEq(row[i], 0);
        }
    }

    function test_a_failing_model_never_stops_a_swap() public {
        pass(22);
        double.setFailure(MODEL, abi.encodeWithSelector(IInference.NonFinite.selector, 0));
        vm.warp(block.timestamp + 1 days);
        vm.expectEmit(address(hook));
        emit GuardedModel.FallbackUsed(PoolId.unwrap(pool), Rule.CallFailed, one(0.01e18));
        assertEq(swap(true), 1500); // the last good answer
        vm.warp(block.timestamp + 2 days);
        assertEq(swap(false), 5500); // stale: the safe one
    }

    function one(int256 value) internal pure returns (int256[] memory v) {
        v = new int256[](1);
        v[0] = value;
    }

    function test_the_fee_is_bounded_and_moves_in_steps() public {
        pass(22);
        answer(0.19e18);
        pass(1);
        assertEq(swap(true), 3500); // 1% and 2% more
        answer(0.21e18);
        pass(1);
        assertEq(swap(true), 3500); // out of bounds: the last good answer
        answer(0.19e18);
        pass(4);
        assertEq(swap(true), 10_000);
        assertEq(hook.feeAt(-1), 500);
        assertEq(hook.feeAt(type(int256).max), 10_000);
    }

    function test_a_pause_leaves_the_safe_fee() public {
        pass(22);
        vm.prank(guardian);
        hook.pause();
        assertEq(swap(true), 5500);
        pass(1);
        assertEq(swap(false), 5500);
    }

    function test_only_the_pool_manager_calls_and_only_dynamic_pools_join() public {
        vm.expectRevert(abi.encodeWithSelector(VolatilityFeeHook.NotPoolManager.selector, address(this)));
        hook.beforeSwap(address(0), key, SwapParams(true, 1, 1), "");
        vm.expectRevert(abi.encodeWithSelector(VolatilityFeeHook.NotPoolManager.selector, address(this)));
        hook.afterInitialize(address(0), key, 1, 1);
        key.fee = 3000;
        vm.expectRevert();
        manager.initialize(key, PRICE_ONE);
    }

    function test_an_address_without_the_permissions_is_refused() public {
        vm.expectRevert();
        this.deployWrong();
    }

    function deployWrong() external {
        new VolatilityFeeHook(setup(), manager);
    }

    function test_an_empty_history_answers_zeros() public view {
        int256[] memory row = hook.featuresOf(PoolId.wrap("none"));
        for (uint256 i; i < row.length; ++i) {
            assertEq(row[i], 0);
        }
    }
}
