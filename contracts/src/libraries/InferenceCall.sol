// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../interfaces/IInference.sol";

/// @title Inference call
/// @notice Speaks to the precompile with as little copying as the ABI allows.
/// @dev One dynamic array of words is already laid out in memory as the ABI wants it, so a call is one
/// `mcopy` and an answer one `returndatacopy`; the compiler would loop over both.
library InferenceCall {
    /// @notice The gas at hand cannot pay for the call and for what must follow it.
    /// @dev The sender of a transaction chooses its gas: too little of it must never look like a failed model.
    error InsufficientGas(uint256 available, uint256 required);
    /// @notice Nothing answers at the precompile's address, or not in its ABI: this is not an Assay chain.
    error NoPrecompile();

    /// @notice Address of the inference precompile.
    address internal constant PRECOMPILE = address(0x0a11);

    /// @dev Position of `columns` among the words of an encoded ModelInfo, after the leading offset.
    uint256 private constant COLUMNS_WORD = 12;
    /// @dev Position of `schemaHash` there.
    uint256 private constant SCHEMA_WORD = 4;

    /// @notice Encodes `predict`.
    /// @param model Model to run.
    /// @param features One row.
    /// @return data Calldata.
    function encodePredict(Model model, int256[] memory features) internal pure returns (bytes memory data) {
        bytes4 selector = IInference.predict.selector;
        assembly ("memory-safe") {
            data := mload(0x40)
            let body := add(data, 0x20)
            mstore(body, selector)
            mstore(add(body, 0x04), model)
            mstore(add(body, 0x24), 0x40)
            let size := shl(5, add(mload(features), 1))
            mcopy(add(body, 0x44), features, size)
            mstore(data, add(size, 0x44))
            mstore(0x40, and(add(add(body, size), 0x63), not(0x1f)))
        }
    }

    /// @notice Encodes `predictBatch`.
    /// @param model Model to run.
    /// @param rows Number of rows.
    /// @param features Rows one after the other.
    /// @return data Calldata.
    function encodePredictBatch(Model model, uint256 rows, int256[] memory features)
        internal
        pure
        returns (bytes memory data)
    {
        bytes4 selector = IInference.predictBatch.selector;
        assembly ("memory-safe") {
            data := mload(0x40)
            let body := add(data, 0x20)
            mstore(body, selector)
            mstore(add(body, 0x04), model)
            mstore(add(body, 0x24), rows)
            mstore(add(body, 0x44), 0x60)
            let size := shl(5, add(mload(features), 1))
            mcopy(add(body, 0x64), features, size)
            mstore(data, add(size, 0x64))
            mstore(0x40, and(add(add(body, size), 0x83), not(0x1f)))
        }
    }

    /// @notice Calls the precompile and reverts as it reverts.
    /// @param data Calldata.
    function call(bytes memory data) internal view {
        if (!_staticcall(data)) bubble();
        _requireAnswer();
    }

    /// @notice Calls `describe` and reverts as it reverts; the answer is left as return data.
    /// @param model Model to describe.
    function describe(Model model) internal view {
        bytes4 selector = IInference.describe.selector;
        address target = PRECOMPILE;
        bool ok;
        assembly ("memory-safe") {
            mstore(0x00, selector)
            mstore(0x04, model)
            ok := staticcall(gas(), target, 0x00, 0x24, 0x00, 0x00)
        }
        if (!ok) bubble();
        _requireAnswer();
    }

    /// @notice Calls the precompile; only an answer or a typed error comes back.
    /// @param data Calldata.
    /// @return ok Whether the precompile answered; else its typed error is the return data.
    function tryCall(bytes memory data) internal view returns (bool ok) {
        ok = _staticcall(data);
        if (ok) _requireAnswer();
        else bubbleEmpty();
    }

    /// @notice Requires gas for a call and for what follows it.
    /// @param quote Most gas the call may be charged.
    /// @param reserve Gas the caller needs afterwards.
    function requireGas(uint256 quote, uint256 reserve) internal view {
        uint256 available = gasleft() * 63 / 64;
        uint256 required = quote + reserve;
        if (available < required) revert InsufficientGas(available, required);
    }

    /// @notice Reverts with the return data of the last call.
    function bubble() internal pure {
        assembly ("memory-safe") {
            let at := mload(0x40)
            returndatacopy(at, 0, returndatasize())
            revert(at, returndatasize())
        }
    }

    /// @notice Reverts with nothing when the last call returned nothing: it ran out of gas.
    function bubbleEmpty() internal pure {
        assembly ("memory-safe") {
            if iszero(returndatasize()) { revert(0, 0) }
        }
    }

    /// @notice Copies the return data of the last call.
    /// @return data Return data.
    function returned() internal pure returns (bytes memory data) {
        assembly ("memory-safe") {
            data := mload(0x40)
            mstore(data, returndatasize())
            returndatacopy(add(data, 0x20), 0, returndatasize())
            mstore(0x40, and(add(add(data, returndatasize()), 0x3f), not(0x1f)))
        }
    }

    /// @notice Reads the return data of the last call as one array of words.
    /// @return values The array.
    function returnedArray() internal pure returns (int256[] memory values) {
        bool good;
        assembly ("memory-safe") {
            if gt(returndatasize(), 0x3f) {
                values := mload(0x40)
                returndatacopy(0x00, 0x00, 0x20)
                let size := sub(returndatasize(), 0x20)
                returndatacopy(values, 0x20, size)
                mstore(0x40, add(values, and(add(size, 0x1f), not(0x1f))))
                // An offset of one word, and a length that accounts for every byte.
                good := and(eq(mload(0x00), 0x20), eq(shl(5, add(mload(values), 1)), size))
            }
        }
        if (!good) revert NoPrecompile();
    }

    /// @notice Reads the return data of the last call as two words.
    /// @return first First word.
    /// @return second Second word.
    function returnedPair() internal pure returns (uint256 first, uint256 second) {
        bool good;
        assembly ("memory-safe") {
            if eq(returndatasize(), 0x40) {
                returndatacopy(0x00, 0x00, 0x40)
                first := mload(0x00)
                second := mload(0x20)
                good := 1
            }
        }
        if (!good) revert NoPrecompile();
    }

    /// @notice Reads the schema hash out of an answer of `describe`.
    /// @return hash Schema hash.
    function returnedSchema() internal pure returns (bytes32 hash) {
        _requireInfo();
        assembly ("memory-safe") {
            returndatacopy(0x00, mul(SCHEMA_WORD, 0x20), 0x20)
            hash := mload(0x00)
        }
    }

    /// @notice Copies the columns out of an answer of `describe`, still encoded.
    /// @return columns Encoded ColumnInfo[], without the offset an encoding by itself starts with.
    function returnedColumns() internal pure returns (bytes memory columns) {
        _requireInfo();
        bool good;
        assembly ("memory-safe") {
            returndatacopy(0x00, mul(COLUMNS_WORD, 0x20), 0x20)
            let start := add(mload(0x00), 0x20)
            // A wrapped start is below the head; the array needs its length at least.
            if and(gt(start, mul(COLUMNS_WORD, 0x20)), lt(start, sub(returndatasize(), 0x1f))) {
                let size := sub(returndatasize(), start)
                columns := mload(0x40)
                mstore(columns, size)
                returndatacopy(add(columns, 0x20), start, size)
                mstore(0x40, and(add(add(columns, size), 0x3f), not(0x1f)))
                good := 1
            }
        }
        if (!good) revert NoPrecompile();
    }

    /// @notice Hashes the class label of one column.
    /// @param columns What `returnedColumns` gave.
    /// @param index Column, below the count.
    /// @return hash keccak256 of the label; that of the empty string for a column without a class.
    function classHash(bytes memory columns, uint256 index) internal pure returns (bytes32 hash) {
        uint256 label = _class(columns, index);
        assembly ("memory-safe") {
            hash := keccak256(add(label, 0x20), mload(label))
        }
    }

    /// @notice Answers the class label of one column.
    /// @param columns What `returnedColumns` gave.
    /// @param index Column, below the count.
    /// @return label The label, in place.
    function classLabel(bytes memory columns, uint256 index) internal pure returns (string memory label) {
        uint256 at = _class(columns, index);
        assembly ("memory-safe") {
            label := at
        }
    }

    /// @dev Finds the label of a column: an encoded string is laid out as memory lays it out.
    function _class(bytes memory columns, uint256 index) private pure returns (uint256 label) {
        bool good;
        assembly ("memory-safe") {
            let size := mload(columns)
            let array := add(columns, 0x20)
            let offset := mload(add(add(array, 0x20), shl(5, index)))
            // Offsets count from the word after the length; every one is checked against the whole.
            if lt(offset, size) {
                let column := add(add(array, 0x20), offset)
                let labelOffset := mload(add(column, 0x20))
                if lt(labelOffset, size) {
                    label := add(column, labelOffset)
                    let length := mload(label)
                    good := and(lt(length, size), iszero(gt(add(add(label, 0x20), length), add(array, size))))
                }
            }
        }
        if (!good) revert NoPrecompile();
    }

    /// @notice Counts encoded columns.
    /// @param columns What `returnedColumns` gave.
    /// @return count Number of columns.
    function columnCount(bytes memory columns) internal pure returns (uint256 count) {
        assembly ("memory-safe") {
            count := mload(add(columns, 0x20))
        }
        if (count > columns.length / 32) revert NoPrecompile();
    }

    /// @dev An account without code succeeds with nothing.
    function _requireAnswer() private pure {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        if (size == 0) revert NoPrecompile();
    }

    function _requireInfo() private pure {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        if (size < (COLUMNS_WORD + 2) * 32) revert NoPrecompile();
    }

    function _staticcall(bytes memory data) private view returns (bool ok) {
        address target = PRECOMPILE;
        assembly ("memory-safe") {
            ok := staticcall(gas(), target, add(data, 0x20), mload(data), 0x00, 0x00)
        }
    }
}
