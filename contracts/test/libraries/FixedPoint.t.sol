// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {FixedPoint} from "../../src/libraries/FixedPoint.sol";
import {Test} from "forge-std/Test.sol";

contract FixedPointTest is Test {
    function rescale(int256 v, uint8 from, uint8 to) external pure returns (int256) {
        return FixedPoint.rescale(v, from, to);
    }

    function floor(int256 v, uint8 from, uint8 to) external pure returns (int256) {
        return FixedPoint.rescaleFloor(v, from, to);
    }

    function toUint(int256 v) external pure returns (uint256) {
        return FixedPoint.toUint(v);
    }

    function fromUint(uint256 v) external pure returns (int256) {
        return FixedPoint.fromUint(v);
    }

    function testFuzz_rescale_up_and_back_is_the_identity(int128 value, uint8 from, uint8 to) public view {
        from = uint8(bound(from, 0, 36));
        to = uint8(bound(to, from, 36));
        assertEq(this.rescale(this.rescale(value, from, to), to, from), value);
    }

    function testFuzz_floor_is_the_greatest_value_not_above(int256 value, uint8 from, uint8 to) public view {
        from = uint8(bound(from, 1, 36));
        to = uint8(bound(to, 0, from - 1));
        int256 factor = int256(10 ** uint256(from - to));
        int256 down = this.floor(value, from, to);
        unchecked {
            int256 rest = value - down * factor; // wraps together with the product
            assertTrue(rest >= 0 && rest < factor);
        }
    }

    function testFuzz_up_never_wraps(int256 value, uint8 to) public {
        to = uint8(bound(to, 1, 36));
        int256 factor = int256(10 ** uint256(to));
        bool fits = value <= type(int256).max / factor && value >= type(int256).min / factor;
        if (!fits) vm.expectRevert(abi.encodeWithSelector(FixedPoint.ValueOverflow.selector, value, 0, to));
        int256 scaled = this.rescale(value, 0, to);
        if (fits) assertEq(scaled / factor, value);
    }

    function test_lost_digits_and_wild_scales_revert() public {
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.PrecisionLost.selector, 15, 1, 0));
        this.rescale(15, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.BadDecimals.selector, 37));
        this.rescale(1, 37, 0);
        assertEq(this.floor(-15, 1, 0), -2);
        assertEq(this.floor(-15, 1, 2), -150);
        assertEq(FixedPoint.whole(-3, 2), -300);
    }

    function test_signs_and_bounds() public {
        assertEq(this.toUint(5), 5);
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.NegativeValue.selector, -1));
        this.toUint(-1);
        assertEq(this.fromUint(5), 5);
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.UnsignedOverflow.selector, 1 << 255));
        this.fromUint(1 << 255);
        assertEq(FixedPoint.clamp(5, 0, 3), 3);
        assertEq(FixedPoint.clamp(-5, 0, 3), 0);
        assertEq(FixedPoint.clamp(2, 0, 3), 2);
    }
}
