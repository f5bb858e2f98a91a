// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {FeatureBuilder, FeatureRow} from "../../src/libraries/FeatureBuilder.sol";
import {FixedPoint} from "../../src/libraries/FixedPoint.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {Doubles, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Test} from "forge-std/Test.sol";

contract FeatureBuilderTest is Test {
    using FeatureBuilder for FeatureRow;

    Model internal constant MODEL = Model.wrap(keccak256("model"));
    bytes32 internal constant SCHEMA = keccak256("schema");

    function setUp() public {
        PrecompileDouble double = Doubles.install();
        double.setInfo(MODEL, Doubles.info("bad", ""));
    }

    /// @dev External, so that a revert of the library is a revert of a call.
    function build(bytes32 schema, uint8 decimals, bool twice, uint256 last) external view returns (int256[] memory) {
        FeatureRow memory row = FeatureBuilder.start(MODEL, schema);
        row.setCategory("home", "rent").set("income", 52_000_123, decimals);
        if (twice) row.setMissing("income");
        if (last == 1) row.set("age", 41, 0);
        if (last == 2) row.setMissing("age");
        if (last == 3) row.set("height", 1, 0);
        if (last == 4) row.setCategory("age", "old");
        if (last == 5) row.set("age", 4101, 2);
        return row.build();
    }

    function test_values_land_by_name_at_the_schemas_scale() public view {
        int256[] memory row = this.build(SCHEMA, 3, false, 1);
        assertEq(row[0], 52_000_123e15);
        assertEq(row[1], 41);
        assertEq(row[2], 7);
        assertEq(this.build(SCHEMA, 3, false, 2)[1], Inference.MISSING);
    }

    function test_another_schema_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Inference.SchemaMismatch.selector, bytes32("x"), SCHEMA));
        this.build("x", 3, false, 1);
    }

    function test_what_would_go_wrong_in_silence_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.FeatureNotGiven.selector, 1));
        this.build(SCHEMA, 3, false, 0);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.UnknownFeature.selector, "height"));
        this.build(SCHEMA, 3, false, 3);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.CategoryMismatch.selector, 1));
        this.build(SCHEMA, 3, false, 4);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.FeatureGivenTwice.selector, 0));
        this.build(SCHEMA, 3, true, 1);
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.PrecisionLost.selector, 4101, 2, 0));
        this.build(SCHEMA, 3, false, 5);
    }

    function strict(uint256 what) external view {
        FeatureRow memory row = FeatureBuilder.start(MODEL, SCHEMA);
        if (what == 0) row.setMissing("income");
        if (what == 1) row.set("home", 1, 0);
        if (what == 2) row.setCategory("home", "tent");
        if (what == 3) row.set("age", type(int256).min, 0);
    }

    function test_missing_and_categories_are_checked() public {
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.FeatureNotNullable.selector, 0));
        this.strict(0);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.CategoryMismatch.selector, 2));
        this.strict(1);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.UnknownCategory.selector, 2, "tent"));
        this.strict(2);
        vm.expectRevert(abi.encodeWithSelector(FeatureBuilder.FeatureNotNullable.selector, 1));
        this.strict(3);
    }
}
