// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @notice Names a model by `keccak256` of its canonical manifest, and so by the exact bytes that run.
type Model is bytes32;

/// @notice Tells where a model stands in its life; a model never goes back to an earlier state.
/// @dev `Scheduled` is computed, never stored: an attested model below its activation height.
enum ModelStatus {
    Unknown,
    Pending,
    Scheduled,
    Active,
    Suspended
}

/// @notice Carries one tensor in `run`.
/// @param dtype Element type: the number of ONNX `TensorProto.DataType`.
/// @param shape Extent of every dimension, outermost first; empty for a scalar.
/// @param data Elements in row-major order, each little-endian. bool is one byte, 0 or 1; f16 and bf16
/// are two bytes; every narrower type takes one byte for each element (int4 and int2 in two's complement);
/// a string is a uint32 byte length followed by its UTF-8 bytes.
struct Tensor {
    uint8 dtype;
    uint64[] shape;
    bytes data;
}

/// @notice Describes one input or output of a model's graph.
/// @param shape Extents; `type(uint64).max` stands for a dimension the caller chooses.
struct TensorInfo {
    string name;
    uint8 dtype;
    uint64[] shape;
}

/// @notice Describes one value a categorical feature takes.
/// @param code Whole value the caller passes, at the feature's scale.
/// @param label What it stands for.
struct CategoryInfo {
    int64 code;
    string label;
}

/// @notice Describes one feature of `predict`, in the order `predict` takes them.
/// @param decimals Fixed-point scale: the caller passes value * 10^decimals.
/// @param min Least value seen in training, at that scale; `type(int256).min` when not stated.
/// @param max Greatest value seen in training, at that scale; `type(int256).max` when not stated.
/// @param nullable Whether `type(int256).min` (missing) is accepted.
/// @param categories Values of a categorical feature, by ascending code; empty for a quantity.
struct FeatureInfo {
    string name;
    string unit;
    uint8 decimals;
    int256 min;
    int256 max;
    bool nullable;
    CategoryInfo[] categories;
}

/// @notice Describes one column of the primary output.
/// @param classLabel Class whose probability the column holds; empty when it is not a probability.
/// @param decimals Fixed-point scale: the answer is value * 10^decimals.
struct ColumnInfo {
    string name;
    string classLabel;
    string unit;
    uint8 decimals;
}

/// @notice Describes a model.
/// @param status State at the current block.
/// @param deprecated Whether the owner warns against new use; the model runs all the same.
/// @param numericsVersion Version of the arithmetic rules that run the model.
/// @param schemaHash `keccak256` of feature schema and columns: equal hashes are interchangeable.
/// @param sizeBytes Bytes of the bundle's files.
/// @param predictGas What one `predict` of a warm model is charged; 0 without a feature schema.
/// @param coldExtra What the first touch in a transaction adds.
/// @param columns Columns of the primary output; the last field, so that a caller can copy it alone.
struct ModelInfo {
    ModelStatus status;
    bool deprecated;
    uint32 numericsVersion;
    bytes32 schemaHash;
    uint64 sizeBytes;
    uint256 predictGas;
    uint256 coldExtra;
    string name;
    TensorInfo[] inputs;
    TensorInfo[] outputs;
    FeatureInfo[] features;
    ColumnInfo[] columns;
}

/// @title Inference precompile
/// @notice Answers models inside the EVM; every validator recomputes every answer bit for bit.
/// @dev Read-only: no storage write, no log. Fixed address 0x0a11. This file is the one source of the
/// ABI: the node generates its types from it.
interface IInference {
    /// @notice No registry entry has this id.
    error UnknownModel(bytes32 model);
    /// @notice The model waits for attestations or for its activation height.
    error ModelNotActive(bytes32 model);
    /// @notice More than two thirds of the voting power suspended the model.
    error ModelSuspended(bytes32 model);
    /// @notice The model has no feature schema: it answers `run` only.
    error PredictUnsupported(bytes32 model);
    /// @notice The number of features (per row), or of tensors, is not what the model takes.
    error WrongInputCount(uint256 expected, uint256 got);
    /// @notice A tensor's shape does not fit; `type(uint64).max` in `expected` accepts any extent.
    error WrongShape(uint256 input, uint64[] expected, uint64[] got);
    /// @notice A tensor's element type does not fit.
    error WrongType(uint256 input, uint8 expected, uint8 got);
    /// @notice A value of the primary output is NaN or infinite; `output` is its flat position.
    error NonFinite(uint256 output);
    /// @notice A value of the primary output does not fit int256 at its scale.
    error OutOfRange(uint256 output);
    /// @notice A feature does not fit the type of the model's input, or is not a listed category.
    error InputOutOfRange(uint256 index);
    /// @notice A limit of the protocol does not allow the call; `what` is a short ASCII name.
    error LimitExceeded(bytes32 what, uint256 limit, uint256 got);
    /// @notice A feature must be a whole value at its scale.
    error NotInteger(uint256 index);
    /// @notice A feature is missing and not nullable.
    error MissingNotAllowed(uint256 index);
    /// @notice The graph met an error only the data could show, such as an integer division by zero.
    error ExecutionFailed(uint256 node, bytes32 what);
    /// @notice DELEGATECALL and CALLCODE are refused.
    error DirectCallOnly();
    /// @notice The precompile takes no value.
    error NotPayable();
    /// @notice The selector is unknown or the arguments are not strict ABI.
    error BadCalldata();

    /// @notice Answers one row: features in schema order, fixed point in and out.
    /// @param model Model to run.
    /// @param features One value per feature; `type(int256).min` means missing.
    /// @return Columns of the primary output.
    function predict(Model model, int256[] calldata features) external view returns (int256[] memory);

    /// @notice Answers many rows in one call; each row's bits equal those of `predict` alone.
    /// @param model Model to run; one dimension of each input must be named as the batch.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return Rows of the primary output one after the other.
    function predictBatch(Model model, uint256 rows, int256[] calldata features) external view returns (int256[] memory);

    /// @notice Runs the graph on raw tensors, one per input in declared order.
    /// @param model Model to run.
    /// @param inputs Input tensors.
    /// @return outputs Every declared output, in declared order.
    function run(Model model, Tensor[] calldata inputs) external view returns (Tensor[] memory outputs);

    /// @notice Quotes `predict` (rows = 1) and `predictBatch` without warming the model.
    /// @param model Model to quote.
    /// @param rows Number of rows.
    /// @return gas Charge for a warm model, without the CALL's own cost.
    /// @return coldExtra Surcharge for the first touch in a transaction.
    function quotePredict(Model model, uint256 rows) external view returns (uint256 gas, uint256 coldExtra);

    /// @notice Quotes `run` for inputs of the given shapes without warming the model.
    /// @param model Model to quote.
    /// @param shapes Shape of every input, in declared order.
    /// @return gas Charge for a warm model, without the CALL's own cost.
    /// @return coldExtra Surcharge for the first touch in a transaction.
    function quoteRun(Model model, uint64[][] calldata shapes) external view returns (uint256 gas, uint256 coldExtra);

    /// @notice Describes a model that is at least pending and whose bytes this network holds.
    /// @param model Model to describe.
    /// @return info Schema, inputs, outputs, cost and status.
    function describe(Model model) external view returns (ModelInfo memory info);
}
