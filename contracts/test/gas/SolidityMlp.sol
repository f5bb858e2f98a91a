// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Solidity MLP
/// @notice Runs a 30-64-64-1 network in the EVM itself, to compare gas with the precompile.
/// @dev As lean as a careful author gets it: weights are 16-bit and live in the code of another account, one
/// word holds sixteen of them, the inner loop is unrolled and unchecked. Scale 2^12; inputs are padded to 32.
contract SolidityMlp {
    uint256 internal constant WEIGHT_BYTES = 2 * (64 * 32 + 64 * 64 + 64);

    /// @notice Account whose code is the weights, then the biases (129 of 16 bits), after one stop byte.
    address public immutable weights;

    constructor(address weights_) {
        weights = weights_;
    }

    /// @notice Answers one row.
    /// @dev Takes thirty values at scale 2^12, straight from calldata.
    /// @return answer Output at scale 2^12.
    function predict(int256[30] calldata) external view returns (int256 answer) {
        address source = weights;
        assembly ("memory-safe") {
            // Dot product of `count` words of sixteen weights with as many values of 32 bytes.
            function dot(weight, value, count) -> sum {
                for { let end := add(weight, shl(5, count)) } lt(weight, end) { weight := add(weight, 0x20) } {
                    let w := mload(weight)
                    sum := add(sum, mul(sar(240, w), mload(value)))
                    sum := add(sum, mul(signextend(1, shr(224, w)), mload(add(value, 0x020))))
                    sum := add(sum, mul(signextend(1, shr(208, w)), mload(add(value, 0x040))))
                    sum := add(sum, mul(signextend(1, shr(192, w)), mload(add(value, 0x060))))
                    sum := add(sum, mul(signextend(1, shr(176, w)), mload(add(value, 0x080))))
                    sum := add(sum, mul(signextend(1, shr(160, w)), mload(add(value, 0x0a0))))
                    sum := add(sum, mul(signextend(1, shr(144, w)), mload(add(value, 0x0c0))))
                    sum := add(sum, mul(signextend(1, shr(128, w)), mload(add(value, 0x0e0))))
                    sum := add(sum, mul(signextend(1, shr(112, w)), mload(add(value, 0x100))))
                    sum := add(sum, mul(signextend(1, shr(96, w)), mload(add(value, 0x120))))
                    sum := add(sum, mul(signextend(1, shr(80, w)), mload(add(value, 0x140))))
                    sum := add(sum, mul(signextend(1, shr(64, w)), mload(add(value, 0x160))))
                    sum := add(sum, mul(signextend(1, shr(48, w)), mload(add(value, 0x180))))
                    sum := add(sum, mul(signextend(1, shr(32, w)), mload(add(value, 0x1a0))))
                    sum := add(sum, mul(signextend(1, shr(16, w)), mload(add(value, 0x1c0))))
                    sum := add(sum, mul(signextend(1, w), mload(add(value, 0x1e0))))
                    value := add(value, 0x200)
                }
            }
            function layer(weight, bias, from, to, words) {
                for { let end := add(to, 0x800) } lt(to, end) { to := add(to, 0x20) } {
                    let sum := add(sar(12, dot(weight, from, words)), sar(240, mload(bias)))
                    mstore(to, mul(sum, sgt(sum, 0)))
                    weight := add(weight, shl(5, words))
                    bias := add(bias, 2)
                }
            }
            let base := mload(0x40)
            let biases := add(base, WEIGHT_BYTES)
            let first := add(biases, 0x120)
            let second := add(first, 0x800)
            let third := add(second, 0x800)
            extcodecopy(source, base, 1, add(WEIGHT_BYTES, 258))
            calldatacopy(first, 4, 0x3c0) // the words after it are zero: the padding
            mstore(add(first, 0x3c0), 0)
            mstore(add(first, 0x3e0), 0)
            layer(base, biases, first, second, 2)
            layer(add(base, 0x1000), add(biases, 128), second, third, 4)
            answer := add(sar(12, dot(add(base, 0x3000), third, 4)), sar(240, mload(add(biases, 256))))
        }
    }
}
