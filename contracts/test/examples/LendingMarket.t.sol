// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IPriceSource, LendingMarket} from "../../src/examples/lending/LendingMarket.sol";
import {IERC20, Lock, Tokens} from "../../src/examples/token/Tokens.sol";
import {Fallback} from "../../src/guard/GuardedModel.sol";
import {FieldRule, Rule} from "../../src/guard/Rules.sol";
import {IInference} from "../../src/interfaces/IInference.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {ExampleFixture, OneFeature} from "./ExampleFixture.sol";
import {MockERC20} from "solmate/src/test/utils/mocks/MockERC20.sol";

contract Prices is IPriceSource {
    mapping(IERC20 asset => uint256) public price;

    function set(IERC20 asset, uint256 value) external {
        price[asset] = value;
    }
}

/// @notice Enters the market again while it is being paid.
contract ReentrantToken is MockERC20 {
    LendingMarket internal market;
    bytes internal attack;

    constructor() MockERC20("evil", "evil", 18) {}

    function arm(LendingMarket market_, bytes calldata attack_) external {
        (market, attack) = (market_, attack_);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (attack.length != 0) {
            (bool ok, bytes memory data) = address(market).call(attack);
            if (!ok) {
                assembly {
                    revert(add(data, 0x20), mload(data))
                }
            }
        }
        return super.transfer(to, amount);
    }
}

abstract contract LendingFixture is ExampleFixture {
    LendingMarket internal market;
    Prices internal prices;
    MockERC20 internal cash;
    ReentrantToken internal gold;
    IERC20 internal asset;
    address internal lender = makeAddr("lender");
    address internal borrower = makeAddr("borrower");
    address internal liquidator = makeAddr("liquidator");

    function startMarket() internal {
        startModel();
        answer(0.25e18);
        cash = newToken("cash");
        gold = new ReentrantToken();
        asset = IERC20(address(gold));
        prices = new Prices();
        prices.set(asset, 100e18);
        IERC20[] memory collaterals = new IERC20[](1);
        collaterals[0] = asset;
        FieldRule memory rule = FieldRule(0, 1e18, 0.3e18, 1e14, 1e18);
        market =
            new LendingMarket(setupFor(rule, Fallback.Safe, true, 1 days), IERC20(address(cash)), prices, collaterals);
        fund(lender, 1_000_000e18, 0);
        fund(borrower, 1000e18, 100e18);
        fund(liquidator, 1_000_000e18, 0);
        vm.prank(lender);
        market.supply(100_000e18);
        vm.prank(borrower);
        market.addCollateral(asset, 10e18);
    }

    function fund(address account, uint256 cashAmount, uint256 goldAmount) internal {
        cash.mint(account, cashAmount);
        gold.mint(account, goldAmount);
        vm.startPrank(account);
        cash.approve(address(market), type(uint256).max);
        gold.approve(address(market), type(uint256).max);
        vm.stopPrank();
    }

    function borrow(uint256 amount) internal {
        vm.prank(borrower);
        market.borrow(asset, amount);
    }
}

contract LendingMarketTest is LendingFixture {
    function setUp() public {
        startMarket();
    }

    function test_the_models_risk_sets_the_loan_to_value() public {
        assertEq(market.ltvAt(0), 0.8e18);
        assertEq(market.ltvAt(0.25e18), 0.7e18);
        assertEq(market.ltvAt(1e18), 0.4e18);
        assertEq(market.ltvAt(-5), 0.8e18);
        assertEq(market.ltvAt(5e18), 0.4e18);
        // 10 gold at 100: 1,000; at risk 0.25 one may owe 700.
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 701e18, 700e18));
        borrow(701e18);
        borrow(700e18);
        assertEq(market.debtOf(borrower, asset), 700e18);
        assertEq(cash.balanceOf(borrower), 1700e18);
    }

    function test_the_model_gets_the_position_as_it_will_be() public {
        double.setFunction(MODEL, new OneFeature(1, 1e12, 6)); // risk = loan-to-value after the loan
        // 0.8 - 0.4 x = x at x = 4/7.
        borrow(571e18);
        int256[] memory row = market.featuresOf(borrower, asset);
        assertEq(row.length, market.FEATURES());
        assertEq(row[0], 1_488_616); // 850 / 571
        assertEq(row[1], 571_000);
        assertEq(row[2], 0);
        assertEq(row[3], 0);
        assertEq(row[4], 49_999); // 5% a year
        assertEq(row[5], Inference.MISSING);
        vm.warp(block.timestamp + 1 hours);
        vm.expectRevert();
        borrow(5e18);
    }

    function test_a_wrong_feature_count_cannot_happen_in_silence() public {
        double.setFunction(MODEL, new OneFeature(0, 1, 5));
        // The typed failure of the call makes this the greatest risk: 400 at most.
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 401e18, 400e18));
        borrow(401e18);
    }

    function test_a_failing_model_lends_at_the_least_and_liquidates_nobody() public {
        borrow(700e18);
        double.setFailure(MODEL, abi.encodeWithSelector(IInference.NonFinite.selector, 0));
        vm.expectRevert();
        borrow(1e18);
        vm.warp(block.timestamp + 2 days); // the last good answer is stale too
        uint256 debt = market.debtOf(borrower, asset);
        vm.prank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.Healthy.selector, accrued(debt, 2 days), 850e18));
        market.liquidate(borrower, asset, 100e18);
    }

    function accrued(uint256 debt, uint256 time) internal view returns (uint256) {
        return debt + debt * market.RATE() * time / 1e18;
    }

    function test_a_paused_model_lends_at_the_least() public {
        vm.prank(guardian);
        market.pause();
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 401e18, 400e18));
        borrow(401e18);
        borrow(400e18);
        assertEq(market.liquidationLimit(borrower, asset), 850e18);
    }

    function test_a_risk_out_of_bounds_counts_as_the_greatest() public {
        answer(1.5e18);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 401e18, 400e18));
        borrow(401e18);
    }

    function test_a_jump_of_risk_gives_borrowers_time_and_lends_nothing_more() public {
        borrow(700e18);
        vm.warp(block.timestamp + 1000);
        answer(0.9e18);
        (int256[] memory risks, Rule[] memory rules) = rescore();
        // 1e14 a second: 0.1 in 1,000 s.
        assertEq(uint8(rules[0]), uint8(Rule.TooFast));
        assertEq(risks[0], 0.35e18);
        assertEq(market.liquidationLimit(borrower, asset), 710e18); // 0.66 + 0.05
        vm.expectRevert();
        borrow(1e18);
        vm.warp(block.timestamp + 3000);
        (risks, rules) = rescore();
        assertEq(risks[0], 0.65e18);
        vm.prank(liquidator);
        (uint256 paid, uint256 seized) = market.liquidate(borrower, asset, 100e18);
        assertEq(paid, 100e18);
        assertEq(seized, 1.06e18);
        (, uint32 liquidations) = market.records(borrower);
        assertEq(liquidations, 1);
    }

    function rescore() internal returns (int256[] memory, Rule[] memory) {
        address[] memory borrowers = new address[](1);
        borrowers[0] = borrower;
        IERC20[] memory assets = new IERC20[](1);
        assets[0] = asset;
        return market.rescore(borrowers, assets);
    }

    function test_rescoring_answers_many_positions_in_one_call() public {
        borrow(100e18);
        address[] memory borrowers = new address[](3);
        IERC20[] memory assets = new IERC20[](3);
        for (uint256 i; i < 3; ++i) {
            (borrowers[i], assets[i]) = (address(uint160(i + 1)), asset);
        }
        borrowers[0] = borrower;
        vm.warp(block.timestamp + 1);
        double.setFunction(MODEL, new OneFeature(1, 2e12, 6));
        (int256[] memory risks, Rule[] memory rules) = market.rescore(borrowers, assets);
        assertEq(risks.length, 3);
        assertEq(uint8(rules[0]), uint8(Rule.TooFast));
        assertEq(risks[1], int256(0));
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadAmount.selector, 0));
        market.rescore(borrowers, new IERC20[](0));
    }

    function test_a_fall_of_the_price_liquidates() public {
        borrow(700e18);
        prices.set(asset, 90e18);
        vm.prank(liquidator);
        vm.expectEmit(address(market));
        emit LendingMarket.Liquidated(borrower, asset, liquidator, 700e18, uint256(700e18) * 1.06e18 / 90e18);
        market.liquidate(borrower, asset, type(uint256).max);
        assertEq(market.debtOf(borrower, asset), 0);
    }

    function test_bad_debt_is_borne_at_once() public {
        borrow(700e18);
        prices.set(asset, 50e18);
        uint256 supplied = market.cash() + market.totalDebt();
        vm.expectEmit(true, true, false, false, address(market));
        emit LendingMarket.BadDebt(borrower, asset, 0);
        vm.prank(liquidator);
        (uint256 paid, uint256 seized) = market.liquidate(borrower, asset, type(uint256).max);
        assertEq(seized, 10e18);
        assertEq(paid, uint256(500e18 * 1e18 - 1) / 1.06e18 + 1);
        assertEq(market.totalDebt(), 0);
        assertEq(market.totalDebtShares(), 0);
        assertEq(market.cash() + market.totalDebt(), supplied - (700e18 - paid));
    }

    function test_interest_accrues_to_lenders_and_is_repaid() public {
        borrow(700e18);
        vm.warp(block.timestamp + 365 days);
        cash.mint(borrower, 1000e18);
        vm.prank(borrower);
        uint256 paid = market.repay(asset, type(uint256).max);
        assertApproxEqRel(paid, 735e18, 0.001e18);
        vm.warp(block.timestamp + 3 days);
        assertEq(market.featuresOf(borrower, asset)[5], 3);
        uint256 shares = market.supplyShares(lender);
        vm.prank(lender);
        uint256 amount = market.withdraw(shares);
        assertGt(amount, 100_000e18 + 34e18);
        assertEq(market.totalSupplyShares(), 0);
    }

    function test_collateral_leaves_only_within_the_limit() public {
        borrow(350e18);
        vm.startPrank(borrower);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 350e18, 349.3e18));
        market.removeCollateral(asset, 5.01e18);
        market.removeCollateral(asset, 5e18);
        cash.approve(address(market), type(uint256).max);
        market.repay(asset, 350e18);
        market.removeCollateral(asset, 5e18);
        assertEq(gold.balanceOf(borrower), 100e18);
    }

    function test_the_market_writes_its_own_price_history() public {
        for (uint256 i; i < 30; ++i) {
            prices.set(asset, i % 2 == 0 ? 100e18 : 110e18);
            market.observe(asset);
            market.observe(asset); // too soon: nothing
            vm.warp(block.timestamp + 1 hours);
        }
        prices.set(asset, 99e18);
        int256[] memory row = market.featuresOf(borrower, asset);
        assertApproxEqAbs(row[2], 587_000, 1000); // 10% up, 9.09% down every hour, times sqrt(12 pi)
        assertEq(row[3], -10_000);
        assertEq(row[0], 100_000_000);
        assertEq(row[1], 0);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.NotCollateral.selector, IERC20(address(cash))));
        market.observe(IERC20(address(cash)));
    }

    function test_reentrancy_is_refused() public {
        borrow(100e18);
        gold.arm(market, abi.encodeCall(LendingMarket.withdraw, (0)));
        vm.prank(borrower);
        vm.expectRevert(abi.encodeWithSelector(Tokens.TransferFailed.selector, address(gold)));
        market.removeCollateral(asset, 1e18);
        gold.arm(market, "");
        vm.prank(borrower);
        market.removeCollateral(asset, 1e18);
    }

    function test_bad_input_is_refused() public {
        vm.startPrank(borrower);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.NotCollateral.selector, IERC20(address(cash))));
        market.addCollateral(IERC20(address(cash)), 1);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadAmount.selector, 0));
        market.addCollateral(asset, 0);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadAmount.selector, 0));
        market.borrow(asset, 0);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.NoLiquidity.selector, 100_000e18, 100_001e18));
        market.borrow(asset, 100_001e18);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadAmount.selector, 1));
        market.repay(asset, 1);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadAmount.selector, 0));
        market.supply(0);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.Healthy.selector, 0, 850e18));
        market.liquidate(borrower, asset, 1);
        prices.set(asset, 0);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.BadPrice.selector, asset, 0));
        market.borrow(asset, 1);
        vm.stopPrank();
        prices.set(asset, 100e18);
        borrow(700e18);
        uint256 shares = market.supplyShares(lender);
        vm.prank(lender);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.NoLiquidity.selector, 99_300e18, 100_000e18));
        market.withdraw(shares);
    }
}

/// @notice However people act and whatever the model says, the books balance.
contract LendingInvariants is LendingFixture {
    LendingHandler internal handler;

    function setUp() public {
        startMarket();
        handler = new LendingHandler(market, prices, cash, gold);
        double.setFunction(MODEL, handler.model());
        fund(address(handler), 0, 0);
        targetContract(address(handler));
    }

    function invariant_tokens_cover_the_books() public view {
        assertEq(cash.balanceOf(address(market)), market.cash());
        uint256 collateral = held(borrower);
        for (uint256 i; i < 3; ++i) {
            collateral += held(handler.actors(i));
        }
        assertEq(gold.balanceOf(address(market)), collateral);
    }

    function held(address account) internal view returns (uint256 collateral) {
        (collateral,) = market.positions(account, asset);
    }

    function invariant_debts_add_up() public view {
        uint256 debt;
        uint256 shares;
        for (uint256 i; i < 3; ++i) {
            (, uint128 own) = market.positions(handler.actors(i), asset);
            shares += own;
            debt += market.debtOf(handler.actors(i), asset);
        }
        assertEq(shares, market.totalDebtShares());
        assertApproxEqAbs(debt, market.totalDebt(), 1e6);
    }

    function invariant_no_loan_was_given_above_its_limit() public view {
        assertFalse(handler.lentTooMuch());
    }
}

contract Dial {
    int256 public value = 0.3e18;

    function set(int256 to) external {
        value = to;
    }

    function row(int256[] calldata) external view returns (int256[] memory columns) {
        columns = new int256[](1);
        columns[0] = value;
    }
}

contract LendingHandler is ExampleFixture {
    LendingMarket internal immutable market;
    Prices internal immutable prices;
    MockERC20 internal immutable cash;
    MockERC20 internal immutable gold;
    IERC20 internal immutable asset;
    Dial internal immutable dial = new Dial();
    address[3] public actors;
    bool public lentTooMuch;

    constructor(LendingMarket market_, Prices prices_, MockERC20 cash_, MockERC20 gold_) {
        (market, prices, cash, gold) = (market_, prices_, cash_, gold_);
        asset = IERC20(address(gold_));
        for (uint256 i; i < 3; ++i) {
            actors[i] = makeAddr(string.concat("actor", vm.toString(i)));
            cash.mint(actors[i], 1e27);
            gold.mint(actors[i], 1e24);
            vm.startPrank(actors[i]);
            cash.approve(address(market), type(uint256).max);
            gold.approve(address(market), type(uint256).max);
            vm.stopPrank();
        }
    }

    function model() external view returns (OneFeature) {
        return OneFeature(address(dial));
    }

    modifier by(uint256 seed) {
        vm.startPrank(actors[seed % 3]);
        _;
        vm.stopPrank();
    }

    function supply(uint256 who, uint256 amount) external by(who) {
        try market.supply(bound(amount, 1, 1e24)) {} catch {}
    }

    function withdraw(uint256 who, uint256 part) external by(who) {
        uint256 shares = market.supplyShares(actors[who % 3]);
        try market.withdraw(bound(part, 0, shares)) {} catch {}
    }

    function add(uint256 who, uint256 amount) external by(who) {
        try market.addCollateral(asset, bound(amount, 1, 1e20)) {} catch {}
    }

    function remove(uint256 who, uint256 amount) external by(who) {
        (uint128 held,) = market.positions(actors[who % 3], asset);
        try market.removeCollateral(asset, bound(amount, 0, held)) {} catch {}
    }

    function borrow(uint256 who, uint256 amount) external by(who) {
        address actor = actors[who % 3];
        try market.borrow(asset, bound(amount, 1, 1e22)) {
            (uint128 held,) = market.positions(actor, asset);
            uint256 limit = uint256(held) * prices.price(asset) / 1e18 * market.MAX_LTV() / 1e18;
            if (market.debtOf(actor, asset) > limit) lentTooMuch = true;
        } catch {}
    }

    function repay(uint256 who, uint256 amount) external by(who) {
        try market.repay(asset, bound(amount, 1, 1e22)) {} catch {}
    }

    function liquidate(uint256 who, uint256 whom, uint256 amount) external by(who) {
        try market.liquidate(actors[whom % 3], asset, bound(amount, 1, 1e22)) {} catch {}
    }

    function move(uint256 price, int256 risk, uint16 time) external {
        prices.set(asset, bound(price, 20e18, 200e18));
        dial.set(bound(risk, -0.5e18, 1.5e18));
        vm.warp(block.timestamp + time);
        market.accrue();
        market.observe(asset);
    }
}
