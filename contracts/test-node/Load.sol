// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../src/interfaces/IInference.sol";
import {SolidityMlp} from "../test/gas/SolidityMlp.sol";

/// @notice Gives benches/chain the work it measures: each function answers the gas its loop used.
contract Load {
    IInference private constant INFERENCE = IInference(address(0x0a11));

    mapping(uint256 => uint256) private _slots;

    function arithmetic(uint256 rounds) external view returns (uint256 used, uint256 x) {
        used = gasleft();
        x = rounds;
        unchecked {
            for (uint256 i; i < rounds; ++i) {
                x = x * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407;
                x ^= x >> 33;
                x = addmod(x, i, 0xffffffffffffffc5);
            }
        }
        used -= gasleft();
    }

    function hashes(uint256 rounds) external view returns (uint256 used, bytes32 x) {
        used = gasleft();
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, rounds) { i := add(i, 1) } {
                mstore(0, x)
                x := keccak256(0, 64)
            }
        }
        used -= gasleft();
    }

    /// @notice Multiplies two square matrices of whole numbers held in memory.
    function matmul(uint256 n) external view returns (uint256 used, uint256 corner) {
        assembly ("memory-safe") {
            let a := mload(0x40)
            let size := mul(n, mul(n, 32))
            let b := add(a, size)
            let c := add(b, size)
            for { let p := a } lt(p, c) { p := add(p, 32) } { mstore(p, and(p, 0xff)) }
            used := gas()
            let row := mul(n, 32)
            for { let i := 0 } lt(i, row) { i := add(i, 32) } {
                for { let j := 0 } lt(j, row) { j := add(j, 32) } {
                    let sum := 0
                    let p := add(a, mul(i, n))
                    let end := add(p, row)
                    let q := add(b, j)
                    for {} lt(p, end) {} {
                        sum := add(sum, mul(mload(p), mload(q)))
                        p := add(p, 32)
                        q := add(q, row)
                    }
                    mstore(add(add(c, mul(i, n)), j), sum)
                }
            }
            used := sub(used, gas())
            corner := mload(c)
        }
    }

    /// @notice Writes slots nobody wrote before.
    function write(uint256 from, uint256 count) external {
        for (uint256 i; i < count; ++i) {
            _slots[from + i] = i + 1;
        }
    }

    /// @notice Asks a model for many rows that all differ, one call each, with calldata made beforehand: what is
    /// measured is the call, not Solidity's encoding.
    function predict(Model model, uint256 width, uint256 rounds, int256 seed) external view returns (uint256 used, int256 x) {
        bytes memory data = abi.encodeCall(IInference.predict, (model, new int256[](width)));
        (used, x) = repeat(address(INFERENCE), data, 0x84, 0x40, rounds, seed);
    }

    /// @notice Asks a model for many rows in one call; the first feature of each differs.
    function predictBatch(Model model, uint256 width, uint256 rows, int256 seed) external view returns (uint256 used, int256 x) {
        int256[] memory features = new int256[](width * rows);
        for (uint256 i; i < rows; ++i) {
            features[i * width] = seed + int256(i);
        }
        bytes memory data = abi.encodeCall(IInference.predictBatch, (model, rows, features));
        repeat(address(INFERENCE), data, 0xa4, 0x40, 0, seed);
        (used, x) = repeat(address(INFERENCE), data, 0xa4, 0x40, 1, seed);
    }

    /// @notice Runs the network written in Solidity on rows that all differ.
    function solidity(SolidityMlp mlp, uint256 rounds, int256 seed) external view returns (uint256 used, int256 x) {
        int256[30] memory row;
        (used, x) = repeat(address(mlp), abi.encodeCall(SolidityMlp.predict, (row)), 0x24, 0, rounds, seed);
    }

    /// @dev Calls once to warm up and then so many times, each with another word at `at` of the data; the answer is
    /// the word at `answer` of what comes back.
    function repeat(address target, bytes memory data, uint256 at, uint256 answer, uint256 rounds, int256 seed)
        private
        view
        returns (uint256 used, int256 x)
    {
        assembly ("memory-safe") {
            let out := mload(0x40)
            if iszero(staticcall(gas(), target, add(data, 0x20), mload(data), 0, 0)) {
                returndatacopy(out, 0, returndatasize())
                revert(out, returndatasize())
            }
            used := gas()
            for { let i := 0 } lt(i, rounds) { i := add(i, 1) } {
                mstore(add(data, at), add(seed, i))
                if iszero(staticcall(gas(), target, add(data, 0x20), mload(data), out, 0x60)) { revert(0, 0) }
                x := xor(x, mload(add(out, answer)))
            }
            used := sub(used, gas())
        }
    }

    /// @notice Feeds each answer into the next call, all in one transaction.
    function chained(Model model, uint256 width, uint256 rounds) external returns (int256 x) {
        int256[] memory features = new int256[](width);
        for (uint256 i; i < rounds; ++i) {
            features[i % width] = x % 1e18;
            x = INFERENCE.predict(model, features)[0];
        }
        _slots[type(uint256).max] = uint256(x);
    }
}
