// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";

/// @title Block header
/// @notice Reads the fields of an RLP-encoded Ethereum header that a light client needs.
/// @dev The caller compares the header's hash with one that validators signed, so this need not tell whether
/// the encoding is canonical: it only keeps every read within the bytes.
library BlockHeader {
    /// @dev Bytes before the first field of variable length: the list's head, parent, ommers, beneficiary,
    /// three roots, and the bloom filter.
    uint256 private constant FIXED_BYTES = 3 + 33 + 33 + 21 + 3 * 33 + 259;
    /// @dev Places of fields in the list.
    uint256 private constant DIFFICULTY = 7;
    uint256 private constant NUMBER = 8;
    uint256 private constant TIMESTAMP = 11;
    uint256 private constant REQUESTS_HASH = 20;

    /// @notice Reads number, time and requests hash of a header. Later forks may append fields.
    /// @param header RLP of a header.
    /// @return number Number of the block.
    /// @return time Timestamp of the block.
    /// @return requestsHash EIP-7685 hash of the block's requests.
    function read(bytes calldata header) internal pure returns (uint64 number, uint64 time, bytes32 requestsHash) {
        // A list whose length takes two bytes, and nothing behind it.
        uint256 size = header.length;
        if (size < FIXED_BYTES || header[0] != 0xf9 || uint16(bytes2(header[1:3])) != size - 3) {
            revert IInferenceVerifier.BadHeader();
        }
        uint256 at = FIXED_BYTES;
        for (uint256 i = DIFFICULTY; i <= REQUESTS_HASH; ++i) {
            if (at >= size) revert IInferenceVerifier.BadHeader();
            uint256 prefix = uint8(header[at]);
            // A byte below 0x80 stands for itself, else the prefix tells the length: none of these is over 55 bytes.
            uint256 length = 1;
            if (prefix >= 0x80) {
                if (prefix > 0xb7) revert IInferenceVerifier.BadHeader();
                length = prefix - 0x80;
                ++at;
            }
            uint256 end = at + length;
            if (end > size) revert IInferenceVerifier.BadHeader();
            if (i == NUMBER) number = _number(header[at:end]);
            else if (i == TIMESTAMP) time = _number(header[at:end]);
            else if (i == REQUESTS_HASH) requestsHash = _word(header[at:end]);
            at = end;
        }
    }

    function _number(bytes calldata content) private pure returns (uint64) {
        if (content.length > 8) revert IInferenceVerifier.BadHeader();
        return uint64(uint256(bytes32(content)) >> (256 - 8 * content.length));
    }

    function _word(bytes calldata content) private pure returns (bytes32) {
        if (content.length != 32) revert IInferenceVerifier.BadHeader();
        return bytes32(content);
    }
}
