// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {InferenceRecord} from "../interfaces/IInferenceVerifier.sol";

/// @title Record tree
/// @notice Recomputes the root that a block commits its inference records to.
/// @dev A leaf is `keccak256(0x00 || record)`, a node `keccak256(0x01 || left || right)`, an odd node is
/// promoted unchanged: no inner node passes for a record, and the number of leaves fixes every path.
library RecordTree {
    /// @notice Hashes a record as a leaf.
    /// @param record Record.
    /// @return Leaf of the tree.
    function leaf(InferenceRecord memory record) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint8(0),
                record.transactionIndex,
                record.callIndex,
                record.caller,
                record.model,
                record.method,
                record.inputHash,
                record.outputHash,
                record.gas,
                record.reverted
            )
        );
    }

    /// @notice Climbs from a leaf to the root.
    /// @param node Leaf.
    /// @param index Place of the leaf.
    /// @param count Number of leaves.
    /// @param branch Siblings from the leaf up.
    /// @return fits Whether the branch has as many siblings as such a place has.
    /// @return root Root it leads to.
    function climb(bytes32 node, uint256 index, uint256 count, bytes32[] calldata branch)
        internal
        pure
        returns (bool fits, bytes32 root)
    {
        if (index >= count) return (false, 0);
        uint256 used;
        for (uint256 width = count; width > 1; width = (width + 1) / 2) {
            bool promoted = index == width - 1 && width % 2 == 1;
            if (!promoted) {
                if (used == branch.length) return (false, 0);
                bytes32 sibling = branch[used++];
                node = index % 2 == 0 ? _parent(node, sibling) : _parent(sibling, node);
            }
            index /= 2;
        }
        return (used == branch.length, node);
    }

    function _parent(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(1), left, right));
    }
}
