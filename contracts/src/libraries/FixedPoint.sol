// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Fixed point
/// @notice Moves values between scales without ever losing a digit in silence.
library FixedPoint {
    /// @notice The value has digits below the wanted scale.
    error PrecisionLost(int256 value, uint8 from, uint8 to);
    /// @notice The value does not fit the type at the wanted scale.
    error ValueOverflow(int256 value, uint8 from, uint8 to);
    /// @notice The value must not be negative.
    error NegativeValue(int256 value);
    /// @notice An unsigned value does not fit int256.
    error UnsignedOverflow(uint256 value);
    /// @notice Scales go to 36.
    error BadDecimals(uint8 decimals);

    /// @notice Largest scale of a feature or column.
    uint8 internal constant MAX_DECIMALS = 36;

    /// @notice Changes a value's scale exactly.
    /// @param value Value times 10^from.
    /// @param from Scale of the value.
    /// @param to Scale wanted.
    /// @return Value times 10^to.
    function rescale(int256 value, uint8 from, uint8 to) internal pure returns (int256) {
        if (to >= from) return _up(value, from, to);
        int256 factor = _power(from - to);
        if (value % factor != 0) revert PrecisionLost(value, from, to);
        return value / factor;
    }

    /// @notice Changes a value's scale and rounds toward negative infinity where digits fall away.
    /// @param value Value times 10^from.
    /// @param from Scale of the value.
    /// @param to Scale wanted.
    /// @return scaled Value times 10^to, rounded down.
    function rescaleFloor(int256 value, uint8 from, uint8 to) internal pure returns (int256 scaled) {
        if (to >= from) return _up(value, from, to);
        int256 factor = _power(from - to);
        scaled = value / factor;
        if (value < 0 && value % factor != 0) --scaled;
    }

    /// @notice Writes a whole number at a scale.
    /// @param number Whole number.
    /// @param decimals Scale wanted.
    /// @return number * 10^decimals.
    function whole(int256 number, uint8 decimals) internal pure returns (int256) {
        return _up(number, 0, decimals);
    }

    /// @notice Reads an unsigned value as a signed one of the same scale.
    /// @param value Value to read.
    /// @return The same value.
    function fromUint(uint256 value) internal pure returns (int256) {
        if (value > uint256(type(int256).max)) revert UnsignedOverflow(value);
        return int256(value);
    }

    /// @notice Reads a value that must not be negative as an unsigned one of the same scale.
    /// @param value Value to read.
    /// @return The same value.
    function toUint(int256 value) internal pure returns (uint256) {
        if (value < 0) revert NegativeValue(value);
        return uint256(value);
    }

    /// @notice Moves a value into an interval.
    /// @param value Value to move.
    /// @param low Least result.
    /// @param high Greatest result; at least `low`.
    /// @return The nearest value of the interval.
    function clamp(int256 value, int256 low, int256 high) internal pure returns (int256) {
        if (value < low) return low;
        return value > high ? high : value;
    }

    function _up(int256 value, uint8 from, uint8 to) private pure returns (int256 scaled) {
        int256 factor = _power(to - from);
        unchecked {
            scaled = value * factor;
        }
        // A factor is positive, so the product wrapped exactly when it does not divide back.
        if (scaled / factor != value) revert ValueOverflow(value, from, to);
    }

    function _power(uint8 decimals) private pure returns (int256) {
        if (decimals > MAX_DECIMALS) revert BadDecimals(decimals);
        return int256(10 ** uint256(decimals));
    }
}
