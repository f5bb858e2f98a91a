// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model, ModelInfo, Tensor} from "../interfaces/IInference.sol";
import {InferenceCall} from "./InferenceCall.sol";

/// @title Inference
/// @notice Makes a model a value one can ask: `using Inference for Model; model.predictOne(features)`.
/// @dev Three families. Plain calls revert as the precompile reverts. Try calls return its typed errors
/// as `reason`, but first require gas for the quote and a reserve, and let an out-of-gas call (no return
/// data) revert: the sender of a transaction chooses its gas, so too little gas must never look like a
/// failed model. Batch calls answer rows at once; their bits equal the single calls'.
library Inference {
    /// @notice The model does not have exactly one column.
    error NotOneColumn(uint256 columns);
    /// @notice No column holds the probability of this class.
    error UnknownClass(string classLabel);
    /// @notice The model has one column, or the greatest holds no class: there is no label to choose.
    error NotClassifier();
    /// @notice The model's schema is not the one the contract was written for.
    error SchemaMismatch(bytes32 expected, bytes32 got);

    /// @notice Marks a feature as missing.
    int256 internal constant MISSING = type(int256).min;
    /// @notice Gas a try call keeps back when the caller names no reserve.
    uint256 internal constant DEFAULT_RESERVE = 50_000;

    bytes32 private constant EMPTY_HASH = keccak256("");

    // --- Plain calls ---

    /// @notice Answers one row.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @return Columns of the primary output.
    function predict(Model model, int256[] memory features) internal view returns (int256[] memory) {
        InferenceCall.call(InferenceCall.encodePredict(model, features));
        return InferenceCall.returnedArray();
    }

    /// @notice Answers one row of a model that has exactly one column.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @return The column.
    function predictOne(Model model, int256[] memory features) internal view returns (int256) {
        int256[] memory columns = predict(model, features);
        if (columns.length != 1) revert NotOneColumn(columns.length);
        return columns[0];
    }

    /// @notice Answers the probability of a class.
    /// @param model Model to ask.
    /// @param classLabel Class, as the model's columns name it.
    /// @param features One value per feature, in schema order and scale.
    /// @return Probability at the column's scale.
    function probability(Model model, string memory classLabel, int256[] memory features)
        internal
        view
        returns (int256)
    {
        uint256 column = columnOf(model, classLabel);
        return _columnAt(predict(model, features), column);
    }

    /// @notice Answers the class with the greatest probability; the first of equals.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @return Class, as the model's columns name it.
    function label(Model model, int256[] memory features) internal view returns (string memory) {
        (bytes memory columns, uint256 width) = _classes(model);
        int256[] memory values = predict(model, features);
        return _classAt(columns, _greatest(values, 0, width));
    }

    // --- Batch calls ---

    /// @notice Answers many rows.
    /// @param model Model to ask.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return Rows of the primary output one after the other.
    function predictBatch(Model model, uint256 rows, int256[] memory features) internal view returns (int256[] memory) {
        InferenceCall.call(InferenceCall.encodePredictBatch(model, rows, features));
        return InferenceCall.returnedArray();
    }

    /// @notice Answers many rows of a model that has exactly one column.
    /// @param model Model to ask.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return values One value per row.
    function predictOneBatch(Model model, uint256 rows, int256[] memory features)
        internal
        view
        returns (int256[] memory values)
    {
        values = predictBatch(model, rows, features);
        if (values.length != rows) revert NotOneColumn(rows == 0 ? 0 : values.length / rows);
    }

    /// @notice Answers the probability of a class for many rows.
    /// @param model Model to ask.
    /// @param classLabel Class, as the model's columns name it.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return values One probability per row.
    function probabilityBatch(Model model, string memory classLabel, uint256 rows, int256[] memory features)
        internal
        view
        returns (int256[] memory values)
    {
        (uint256 column, uint256 width) = _column(model, classLabel);
        int256[] memory flat = predictBatch(model, rows, features);
        if (flat.length != rows * width) revert InferenceCall.NoPrecompile();
        values = new int256[](rows);
        for (uint256 row; row < rows; ++row) {
            values[row] = flat[row * width + column];
        }
    }

    /// @notice Answers the class with the greatest probability for many rows.
    /// @param model Model to ask.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return labels One class per row.
    function labelBatch(Model model, uint256 rows, int256[] memory features)
        internal
        view
        returns (string[] memory labels)
    {
        (bytes memory columns, uint256 width) = _classes(model);
        int256[] memory flat = predictBatch(model, rows, features);
        if (flat.length != rows * width) revert InferenceCall.NoPrecompile();
        labels = new string[](rows);
        for (uint256 row; row < rows; ++row) {
            labels[row] = _classAt(columns, _greatest(flat, row * width, width));
        }
    }

    // --- Tensors ---

    /// @notice Runs the graph on raw tensors.
    /// @param model Model to run.
    /// @param inputs One tensor per input.
    /// @return Every output.
    function run(Model model, Tensor[] memory inputs) internal view returns (Tensor[] memory) {
        InferenceCall.call(abi.encodeCall(IInference.run, (model, inputs)));
        return abi.decode(InferenceCall.returned(), (Tensor[]));
    }

    // --- Quotes and descriptions ---

    /// @notice Quotes `predict`, as if everything were cold.
    /// @param model Model to quote.
    /// @return gas Most gas the call is charged.
    function quote(Model model) internal view returns (uint256 gas) {
        return quoteBatch(model, 1);
    }

    /// @notice Quotes `predictBatch`, as if everything were cold.
    /// @param model Model to quote.
    /// @param rows Number of rows.
    /// @return gas Most gas the call is charged.
    function quoteBatch(Model model, uint256 rows) internal view returns (uint256 gas) {
        InferenceCall.call(abi.encodeCall(IInference.quotePredict, (model, rows)));
        return _quoted();
    }

    /// @notice Quotes `run`, as if everything were cold.
    /// @param model Model to quote.
    /// @param shapes Shape of every input.
    /// @return gas Most gas the call is charged.
    function quoteRun(Model model, uint64[][] memory shapes) internal view returns (uint256 gas) {
        InferenceCall.call(abi.encodeCall(IInference.quoteRun, (model, shapes)));
        return _quoted();
    }

    /// @notice Describes a model.
    /// @param model Model to describe.
    /// @return Schema, inputs, outputs, cost and status.
    function describe(Model model) internal view returns (ModelInfo memory) {
        InferenceCall.describe(model);
        return abi.decode(InferenceCall.returned(), (ModelInfo));
    }

    /// @notice Answers a model's schema hash without copying the rest of its description.
    /// @param model Model to describe.
    /// @return Hash of feature schema and columns.
    function schemaHash(Model model) internal view returns (bytes32) {
        InferenceCall.describe(model);
        return InferenceCall.returnedSchema();
    }

    /// @notice Requires a model to have the schema a contract was written for: call it where the model is
    /// chosen, not where it is asked.
    /// @param model Model to check.
    /// @param expected Schema hash the contract was written for.
    function requireSchema(Model model, bytes32 expected) internal view {
        bytes32 got = schemaHash(model);
        if (got != expected) revert SchemaMismatch(expected, got);
    }

    /// @notice Finds the column of a class: store it where the model is chosen and index `predict` with it
    /// to save the look-up of `probability`.
    /// @param model Model to describe.
    /// @param classLabel Class to find.
    /// @return column Position among the columns.
    function columnOf(Model model, string memory classLabel) internal view returns (uint256 column) {
        (column,) = _column(model, classLabel);
    }

    // --- Try calls ---

    /// @notice Answers one row, or the model's typed error, with the default reserve.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @return ok Whether the model answered.
    /// @return columns Columns of the primary output; empty without an answer.
    /// @return reason Typed error of IInference; empty with an answer.
    function tryPredict(Model model, int256[] memory features)
        internal
        view
        returns (bool ok, int256[] memory columns, bytes memory reason)
    {
        return tryPredict(model, features, DEFAULT_RESERVE);
    }

    /// @notice Answers one row, or the model's typed error.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @param reserve Gas the caller needs after the call, on the dearest of its paths.
    /// @return ok Whether the model answered.
    /// @return columns Columns of the primary output; empty without an answer.
    /// @return reason Typed error of IInference; empty with an answer.
    function tryPredict(Model model, int256[] memory features, uint256 reserve)
        internal
        view
        returns (bool ok, int256[] memory columns, bytes memory reason)
    {
        bytes memory call = InferenceCall.encodePredict(model, features);
        (ok, reason) = _try(abi.encodeCall(IInference.quotePredict, (model, 1)), call, reserve);
        if (ok) columns = InferenceCall.returnedArray();
    }

    /// @notice Answers one row of a model with one column, or an error.
    /// @param model Model to ask.
    /// @param features One value per feature, in schema order and scale.
    /// @param reserve Gas the caller needs after the call, on the dearest of its paths.
    /// @return ok Whether the model answered one column.
    /// @return value The column; zero without an answer.
    /// @return reason Typed error of IInference, or NotOneColumn; empty with an answer.
    function tryPredictOne(Model model, int256[] memory features, uint256 reserve)
        internal
        view
        returns (bool ok, int256 value, bytes memory reason)
    {
        int256[] memory columns;
        (ok, columns, reason) = tryPredict(model, features, reserve);
        if (!ok) return (false, 0, reason);
        if (columns.length != 1) return (false, 0, abi.encodeWithSelector(NotOneColumn.selector, columns.length));
        return (true, columns[0], "");
    }

    /// @notice Answers many rows, or the model's typed error.
    /// @param model Model to ask.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @param reserve Gas the caller needs after the call, on the dearest of its paths.
    /// @return ok Whether the model answered.
    /// @return values Rows of the primary output; empty without an answer.
    /// @return reason Typed error of IInference; empty with an answer.
    function tryPredictBatch(Model model, uint256 rows, int256[] memory features, uint256 reserve)
        internal
        view
        returns (bool ok, int256[] memory values, bytes memory reason)
    {
        bytes memory call = InferenceCall.encodePredictBatch(model, rows, features);
        (ok, reason) = _try(abi.encodeCall(IInference.quotePredict, (model, rows)), call, reserve);
        if (ok) values = InferenceCall.returnedArray();
    }

    /// @notice Quotes `predictBatch`, or answers the model's typed error.
    /// @param model Model to quote.
    /// @param rows Number of rows.
    /// @return ok Whether there is a quote.
    /// @return gas Most gas the call is charged; zero without a quote.
    /// @return reason Typed error of IInference; empty with a quote.
    function tryQuoteBatch(Model model, uint256 rows)
        internal
        view
        returns (bool ok, uint256 gas, bytes memory reason)
    {
        ok = InferenceCall.tryCall(abi.encodeCall(IInference.quotePredict, (model, rows)));
        if (!ok) return (false, 0, InferenceCall.returned());
        gas = _quoted();
    }

    /// @notice Runs the graph on raw tensors, or answers the model's typed error.
    /// @param model Model to run.
    /// @param inputs One tensor per input.
    /// @param reserve Gas the caller needs after the call, on the dearest of its paths.
    /// @return ok Whether the model answered.
    /// @return outputs Every output; empty without an answer.
    /// @return reason Typed error of IInference; empty with an answer.
    function tryRun(Model model, Tensor[] memory inputs, uint256 reserve)
        internal
        view
        returns (bool ok, Tensor[] memory outputs, bytes memory reason)
    {
        uint64[][] memory shapes = new uint64[][](inputs.length);
        for (uint256 i; i < inputs.length; ++i) {
            shapes[i] = inputs[i].shape;
        }
        bytes memory call = abi.encodeCall(IInference.run, (model, inputs));
        (ok, reason) = _try(abi.encodeCall(IInference.quoteRun, (model, shapes)), call, reserve);
        if (ok) outputs = abi.decode(InferenceCall.returned(), (Tensor[]));
    }

    // --- Private ---

    /// @dev Quotes, requires the gas, calls. The answer of a successful call is left as return data.
    function _try(bytes memory quoteCall, bytes memory call, uint256 reserve)
        private
        view
        returns (bool ok, bytes memory reason)
    {
        ok = InferenceCall.tryCall(quoteCall);
        if (!ok) return (false, InferenceCall.returned());
        InferenceCall.requireGas(_quoted(), reserve);
        ok = InferenceCall.tryCall(call);
        if (!ok) reason = InferenceCall.returned();
    }

    function _quoted() private pure returns (uint256) {
        (uint256 gas, uint256 coldExtra) = InferenceCall.returnedPair();
        return gas + coldExtra;
    }

    function _column(Model model, string memory classLabel) private view returns (uint256 column, uint256 width) {
        InferenceCall.describe(model);
        bytes memory columns = InferenceCall.returnedColumns();
        width = InferenceCall.columnCount(columns);
        bytes32 wanted = keccak256(bytes(classLabel));
        if (wanted != EMPTY_HASH) {
            for (; column < width; ++column) {
                if (InferenceCall.classHash(columns, column) == wanted) return (column, width);
            }
        }
        revert UnknownClass(classLabel);
    }

    /// @dev Reads the columns of a model that has a choice of them.
    function _classes(Model model) private view returns (bytes memory columns, uint256 width) {
        InferenceCall.describe(model);
        columns = InferenceCall.returnedColumns();
        width = InferenceCall.columnCount(columns);
        if (width < 2) revert NotClassifier();
    }

    function _classAt(bytes memory columns, uint256 column) private pure returns (string memory classLabel) {
        classLabel = InferenceCall.classLabel(columns, column);
        if (bytes(classLabel).length == 0) revert NotClassifier();
    }

    function _columnAt(int256[] memory values, uint256 column) private pure returns (int256) {
        if (column >= values.length) revert InferenceCall.NoPrecompile();
        return values[column];
    }

    /// @dev Finds the greatest of `count` values from `start` on; the first of equals.
    function _greatest(int256[] memory values, uint256 start, uint256 count) private pure returns (uint256 best) {
        if (start + count > values.length) revert InferenceCall.NoPrecompile();
        assembly ("memory-safe") {
            let row := add(add(values, 0x20), shl(5, start))
            let top := mload(row)
            for { let i := 1 } lt(i, count) { i := add(i, 1) } {
                let value := mload(add(row, shl(5, i)))
                if sgt(value, top) {
                    top := value
                    best := i
                }
            }
        }
    }
}
