// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {DemoToken} from "../../src/examples/demo/DemoToken.sol";
import {LendingDemo} from "../../src/examples/demo/LendingDemo.sol";
import {LendingMarket} from "../../src/examples/lending/LendingMarket.sol";
import {IERC20} from "../../src/examples/token/Tokens.sol";
import {ExampleFixture} from "./ExampleFixture.sol";

contract LendingDemoTest is ExampleFixture {
    LendingDemo internal demo;
    LendingMarket internal market;
    IERC20 internal gold;

    function setUp() public {
        startModel();
        answer(0.25e18);
        demo = new LendingDemo(MODEL);
        (market, gold) = (demo.market(), IERC20(address(demo.gold())));
    }

    function test_deployer_can_borrow_what_the_model_allows_and_no_more() public {
        DemoToken(address(gold)).approve(address(market), 10e18);
        market.addCollateral(gold, 10e18);
        // Worth 1,000; at a risk of a quarter the loan-to-value is 0.7.
        market.borrow(gold, 300e18);
        assertEq(demo.cash().balanceOf(address(this)), 300e18);
        vm.expectRevert(abi.encodeWithSelector(LendingMarket.OverLimit.selector, 900e18, 700e18));
        market.borrow(gold, 600e18);
        // What a false price would let through: the limit follows the price.
        demo.prices().set(gold, 200e18);
        market.borrow(gold, 600e18);
    }

    function test_market_is_funded_and_owned_by_whoever_deploys() public view {
        assertEq(market.cash(), 1_000_000e18);
        assertEq(market.owner(), address(this));
        assertEq(market.guardian(), address(this));
        assertEq(demo.gold().balanceOf(address(this)), 10e18);
    }

    function test_token_moves_only_what_is_there_and_allowed() public {
        DemoToken token = demo.gold();
        token.transfer(owner, 4e18);
        assertEq(token.balanceOf(owner), 4e18);
        vm.expectRevert();
        token.transfer(owner, 7e18);
        vm.expectRevert();
        token.transferFrom(owner, address(this), 1e18);
        assertEq(token.symbol(), "gold");
    }
}
