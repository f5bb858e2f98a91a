// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @notice Names the rule that kept an answer from being used as it was.
enum Rule {
    None,
    Paused,
    CallFailed,
    WrongColumnCount,
    BelowMin,
    AboveMax,
    StepTooLarge,
    TooFast,
    Inconsistent,
    Stale,
    NoReading
}

/// @notice Holds the rules of one field.
/// @param min Least value.
/// @param max Greatest value.
/// @param maxStep Greatest change of one update; `type(uint256).max` for no limit.
/// @param maxPerSecond Greatest change per second since the last update; `type(uint256).max` for no limit.
/// @param safe Value that stands in when nothing better is known; within the bounds.
struct FieldRule {
    int256 min;
    int256 max;
    uint256 maxStep;
    uint256 maxPerSecond;
    int256 safe;
}

/// @title Rules
/// @notice Judges one value of one field.
library Rules {
    /// @notice The bounds are crossed, or the safe value lies outside.
    error BadRule(uint256 field);

    /// @notice Requires rules that can hold.
    /// @param rule Rules of the field.
    /// @param field Position of the field, for the error.
    function requireSound(FieldRule memory rule, uint256 field) internal pure {
        if (rule.min > rule.safe || rule.safe > rule.max) revert BadRule(field);
    }

    /// @notice Tells whether rules allow nothing that others forbid.
    /// @param next Rules that would hold.
    /// @param present Rules that hold.
    /// @return Whether `next` is at least as strict and has the same safe value.
    function isTighter(FieldRule memory next, FieldRule memory present) internal pure returns (bool) {
        return next.min >= present.min && next.max <= present.max && next.maxStep <= present.maxStep
            && next.maxPerSecond <= present.maxPerSecond && next.safe == present.safe;
    }

    /// @notice Judges a value against the bounds.
    /// @param rule Rules of the field.
    /// @param value Value offered.
    /// @return Rule that fired, or None.
    function bounds(FieldRule memory rule, int256 value) internal pure returns (Rule) {
        if (value < rule.min) return Rule.BelowMin;
        return value > rule.max ? Rule.AboveMax : Rule.None;
    }

    /// @notice Judges a change.
    /// @param rule Rules of the field.
    /// @param last Last good value.
    /// @param value Value offered.
    /// @param elapsed Seconds since the last good value.
    /// @return fired Rule that fired, or None.
    /// @return nearest Value nearest to the one offered that the rules allow.
    function change(FieldRule memory rule, int256 last, int256 value, uint256 elapsed)
        internal
        pure
        returns (Rule fired, int256 nearest)
    {
        uint256 step = distance(last, value);
        uint256 limit = _product(rule.maxPerSecond, elapsed);
        if (step > limit) fired = Rule.TooFast;
        if (step > rule.maxStep && rule.maxStep <= limit) (fired, limit) = (Rule.StepTooLarge, rule.maxStep);
        if (fired == Rule.None) return (fired, value);
        unchecked {
            // The limit is below the distance of two int256, so the sum lies between them.
            nearest = value > last ? int256(uint256(last) + limit) : int256(uint256(last) - limit);
        }
    }

    /// @notice Measures how far apart two values are.
    /// @param a One value.
    /// @param b Other value.
    /// @return Absolute difference; never overflows.
    function distance(int256 a, int256 b) internal pure returns (uint256) {
        unchecked {
            return a > b ? uint256(a) - uint256(b) : uint256(b) - uint256(a);
        }
    }

    /// @dev Multiplies, and answers the greatest number where the product does not fit.
    function _product(uint256 a, uint256 b) private pure returns (uint256) {
        if (a == type(uint256).max) return a;
        if (b != 0 && a > type(uint256).max / b) return type(uint256).max;
        return a * b;
    }
}
