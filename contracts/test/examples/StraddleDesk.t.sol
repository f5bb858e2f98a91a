// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {StraddleDesk} from "../../src/examples/straddle/StraddleDesk.sol";
import {IInference, Model} from "../../src/interfaces/IInference.sol";
import {Doubles, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {OneFeature} from "./ExampleFixture.sol";
import {Test, stdError} from "forge-std/Test.sol";

contract StraddleDeskTest is Test {
    StraddleDesk private desk;
    PrecompileDouble private double;
    Model private model;

    function setUp() public {
        double = Doubles.install();
        desk = new StraddleDesk();
        model = desk.MODEL();
    }

    function forecast(int256 volatility) private {
        int256[] memory columns = new int256[](1);
        columns[0] = volatility;
        double.setAnswer(model, columns);
    }

    function features() private pure returns (int256[5] memory) {
        return [int256(21_000), 19_000, 17_000, -12_000, 9000];
    }

    function test_the_premium_is_a_normal_move_of_the_forecast_size() public {
        forecast(18_722_712_993_621_826);
        // 2000 * 0.018722712993621826 * sqrt(2 / pi), as the README says.
        assertEq(desk.quote(2000e18, features()), 29_877_127_267_908_102_154);
        assertEq(desk.quote(0, features()), 0);
    }

    function test_every_feature_reaches_the_model_in_its_place() public {
        for (uint256 i; i < 5; ++i) {
            double.setFunction(model, new OneFeature(i, 1e12, 5));
            int256[5] memory row = features();
            if (row[i] <= 0) row[i] = -row[i];
            uint256 expected = 1e18 * uint256(row[i] * 1e12) * desk.EXPECTED_MOVE() / 1e36;
            assertEq(desk.quote(1e18, row), expected);
        }
    }

    function test_no_premium_without_a_positive_forecast() public {
        int256[2] memory bad = [int256(0), -1];
        for (uint256 i; i < 2; ++i) {
            forecast(bad[i]);
            vm.expectRevert(abi.encodeWithSelector(StraddleDesk.NoForecast.selector, bad[i]));
            desk.quote(2000e18, features());
        }
    }

    function test_the_models_error_comes_through() public {
        bytes memory failure = abi.encodeWithSelector(IInference.NonFinite.selector, 0);
        double.setFailure(model, failure);
        vm.expectRevert(failure);
        desk.quote(2000e18, features());
    }

    function test_a_price_too_large_reverts() public {
        forecast(1e16);
        vm.expectRevert(stdError.arithmeticError);
        desk.quote(type(uint256).max, features());
    }
}
