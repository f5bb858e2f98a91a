// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Fallback, Policy, Setup} from "../../src/guard/GuardedModel.sol";
import {FieldRule} from "../../src/guard/Rules.sol";
import {Model, ModelInfo} from "../../src/interfaces/IInference.sol";
import {Doubles, IRowFunction, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Test} from "forge-std/Test.sol";
import {MockERC20} from "solmate/src/test/utils/mocks/MockERC20.sol";

/// @notice Gives the examples a model that answers one column from one feature, times a factor.
contract OneFeature is IRowFunction {
    uint256 internal immutable index;
    int256 internal immutable factor;
    uint256 internal immutable width;

    constructor(uint256 index_, int256 factor_, uint256 width_) {
        (index, factor, width) = (index_, factor_, width_);
    }

    function row(int256[] calldata features) external view returns (int256[] memory columns) {
        require(features.length == width, "wrong feature count");
        columns = new int256[](1);
        columns[0] = features[index] * factor;
    }
}

abstract contract ExampleFixture is Test {
    Model internal constant MODEL = Model.wrap(keccak256("example"));
    bytes32 internal constant SCHEMA = keccak256("schema");
    address internal owner = makeAddr("owner");
    address internal guardian = makeAddr("guardian");
    PrecompileDouble internal double;

    function startModel() internal {
        vm.warp(1_700_000_000);
        double = Doubles.install();
        ModelInfo memory info = Doubles.info("", "");
        double.setInfo(MODEL, info);
    }

    function answer(int256 value) internal {
        int256[] memory values = new int256[](1);
        values[0] = value;
        double.setFunction(MODEL, IRowFunction(address(0)));
        double.setAnswer(MODEL, values);
    }

    function setupFor(FieldRule memory rule, Fallback mode, bool clamp, uint64 maxAge)
        internal
        view
        returns (Setup memory setup)
    {
        setup.owner = owner;
        setup.guardian = guardian;
        setup.champion = MODEL;
        setup.schemaHash = SCHEMA;
        setup.switchDelay = 2 days;
        setup.policy =
            Policy({fallbackMode: mode, clamp: clamp, maxAge: maxAge, reserve: 200_000, shadowGas: 5_000_000});
        setup.rules = new FieldRule[](1);
        setup.rules[0] = rule;
    }

    function newToken(string memory name) internal returns (MockERC20) {
        return new MockERC20(name, name, 18);
    }
}
