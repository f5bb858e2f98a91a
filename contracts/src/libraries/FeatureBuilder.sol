// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {FeatureInfo, Model} from "../interfaces/IInference.sol";
import {FixedPoint} from "./FixedPoint.sol";
import {Inference} from "./Inference.sol";

/// @notice Holds a row under construction; made by `FeatureBuilder.start`.
/// @param schema Features of the model, in order.
/// @param values Row so far.
/// @param filled Which features are given.
/// @param cursor Position after the feature given last: rows are mostly given in order.
struct FeatureRow {
    FeatureInfo[] schema;
    int256[] values;
    bool[] filled;
    uint256 cursor;
}

/// @title Feature builder
/// @notice Builds a row by feature names, so that order, scale and missing values cannot go wrong in
/// silence.
/// @dev Binding reads the whole description, which costs gas for every feature. Where that matters, check
/// the schema once with `Inference.requireSchema` and fill the array by position.
library FeatureBuilder {
    using FixedPoint for int256;
    using Inference for Model;

    /// @notice The schema has no feature of this name.
    error UnknownFeature(string name);
    /// @notice A feature was given twice.
    error FeatureGivenTwice(uint256 index);
    /// @notice A feature was not given; a missing value must be said to be missing.
    error FeatureNotGiven(uint256 index);
    /// @notice The feature does not take missing values.
    error FeatureNotNullable(uint256 index);
    /// @notice The feature takes a category, or does not.
    error CategoryMismatch(uint256 index);
    /// @notice The feature has no such category.
    error UnknownCategory(uint256 index, string category);

    /// @notice Starts a row for a model whose schema must be the expected one.
    /// @param model Model the row is for.
    /// @param schemaHash Schema hash the contract was written for.
    /// @return row Empty row.
    function start(Model model, bytes32 schemaHash) internal view returns (FeatureRow memory row) {
        model.requireSchema(schemaHash);
        row.schema = model.describe().features;
        row.values = new int256[](row.schema.length);
        row.filled = new bool[](row.schema.length);
    }

    /// @notice Gives a numeric feature; its scale is adapted exactly, or the call reverts.
    /// @param row Row to fill.
    /// @param name Feature.
    /// @param value Value times 10^decimals.
    /// @param decimals Scale of `value`.
    /// @return The row.
    function set(FeatureRow memory row, string memory name, int256 value, uint8 decimals)
        internal
        pure
        returns (FeatureRow memory)
    {
        uint256 index = _take(row, name);
        if (row.schema[index].categories.length != 0) revert CategoryMismatch(index);
        row.values[index] = value.rescale(decimals, row.schema[index].decimals);
        // The scaled value may be the mark of a missing one only when the caller says so.
        if (row.values[index] == Inference.MISSING) revert FeatureNotNullable(index);
        return row;
    }

    /// @notice Gives a categorical feature by its label.
    /// @param row Row to fill.
    /// @param name Feature.
    /// @param category Label.
    /// @return The row.
    function setCategory(FeatureRow memory row, string memory name, string memory category)
        internal
        pure
        returns (FeatureRow memory)
    {
        uint256 index = _take(row, name);
        FeatureInfo memory feature = row.schema[index];
        if (feature.categories.length == 0) revert CategoryMismatch(index);
        bytes32 wanted = keccak256(bytes(category));
        for (uint256 i; i < feature.categories.length; ++i) {
            if (keccak256(bytes(feature.categories[i].label)) == wanted) {
                row.values[index] = int256(feature.categories[i].code).whole(feature.decimals);
                return row;
            }
        }
        revert UnknownCategory(index, category);
    }

    /// @notice Says that a feature is missing.
    /// @param row Row to fill.
    /// @param name Feature; must be nullable.
    /// @return The row.
    function setMissing(FeatureRow memory row, string memory name) internal pure returns (FeatureRow memory) {
        uint256 index = _take(row, name);
        if (!row.schema[index].nullable) revert FeatureNotNullable(index);
        row.values[index] = Inference.MISSING;
        return row;
    }

    /// @notice Finishes a row; every feature must have been given.
    /// @param row Row to finish.
    /// @return Values in schema order.
    function build(FeatureRow memory row) internal pure returns (int256[] memory) {
        for (uint256 i; i < row.filled.length; ++i) {
            if (!row.filled[i]) revert FeatureNotGiven(i);
        }
        return row.values;
    }

    function _take(FeatureRow memory row, string memory name) private pure returns (uint256 index) {
        bytes32 wanted = keccak256(bytes(name));
        uint256 count = row.schema.length;
        for (uint256 i; i < count; ++i) {
            index = (row.cursor + i) % count;
            if (keccak256(bytes(row.schema[index].name)) == wanted) {
                if (row.filled[index]) revert FeatureGivenTwice(index);
                row.filled[index] = true;
                row.cursor = index + 1;
                return index;
            }
        }
        revert UnknownFeature(name);
    }
}
