// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Fallback, Policy, Setup} from "../../guard/GuardedModel.sol";
import {FieldRule} from "../../guard/Rules.sol";
import {Model} from "../../interfaces/IInference.sol";
import {Inference} from "../../libraries/Inference.sol";
import {LendingMarket} from "../lending/LendingMarket.sol";
import {IERC20} from "../token/Tokens.sol";
import {DemoPrices} from "./DemoPrices.sol";
import {DemoToken} from "./DemoToken.sol";

/// @title Lending demo
/// @notice Sets the lending market up for `assay demo` in one transaction: two tokens, a gold
/// that fell from 120 to 100 cash today, a funded market, and ten gold for whoever deploys it.
contract LendingDemo {
    using Inference for Model;

    uint256 private constant SUPPLY = 1_000_000e18;
    uint256 private constant GOLD = 10e18;
    uint256 private constant PRICE_BEFORE = 120e18;
    uint256 private constant PRICE = 100e18;

    DemoToken public immutable cash;
    DemoToken public immutable gold;
    DemoPrices public immutable prices;
    LendingMarket public immutable market;

    constructor(Model model) {
        cash = new DemoToken("cash");
        gold = new DemoToken("gold");
        prices = new DemoPrices();
        prices.set(IERC20(address(gold)), PRICE_BEFORE);
        IERC20[] memory collaterals = new IERC20[](1);
        collaterals[0] = IERC20(address(gold));
        market = new LendingMarket(_setup(model), IERC20(address(cash)), prices, collaterals);
        // The market saw the day's fall: the model has something to think about.
        market.observe(collaterals[0]);
        prices.set(collaterals[0], PRICE);
        cash.mint(address(this), SUPPLY);
        cash.approve(address(market), SUPPLY);
        market.supply(SUPPLY);
        gold.mint(msg.sender, GOLD);
    }

    /// @dev The rules of script/DeployLending.s.sol: a probability, the greatest risk when unknown.
    function _setup(Model model) private view returns (Setup memory setup) {
        setup.owner = msg.sender;
        setup.guardian = msg.sender;
        setup.champion = model;
        setup.schemaHash = model.schemaHash();
        setup.switchDelay = 2 days;
        setup.policy =
            Policy({fallbackMode: Fallback.Safe, clamp: true, maxAge: 1 days, reserve: 200_000, shadowGas: 5_000_000});
        setup.rules = new FieldRule[](1);
        setup.rules[0] = FieldRule({min: 0, max: 1e18, maxStep: 0.3e18, maxPerSecond: 1e14, safe: 1e18});
    }
}
