// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title Names
/// @notice Reads `owner/name` and `owner/name@version` and hashes their parts.
library Names {
    /// @notice Most bytes in a namespace, and in the part after the slash.
    uint256 internal constant MAX_PART = 64;

    /// @notice Hashes a namespace.
    /// @param namespace Part of a name before the slash.
    /// @return Key of the namespace.
    function hashNamespace(string calldata namespace) internal pure returns (bytes32) {
        bytes calldata text = bytes(namespace);
        if (text.length == 0 || _partEnd(text, 0) != text.length) revert IModelRegistry.BadName(namespace);
        return keccak256(text);
    }

    /// @notice Reads a name without a version.
    /// @param name Text `owner/name`.
    /// @return namespaceHash Key of the namespace.
    /// @return nameHash Key of the whole name.
    function parse(string calldata name) internal pure returns (bytes32 namespaceHash, bytes32 nameHash) {
        bytes calldata text = bytes(name);
        uint256 slash = _partEnd(text, 0);
        uint256 end = _nameEnd(name, slash);
        if (end != text.length) revert IModelRegistry.BadName(name);
        return (keccak256(text[:slash]), keccak256(text));
    }

    /// @notice Reads a name that may carry a version.
    /// @param name Text `owner/name` or `owner/name@version`, the version decimal without leading zeros.
    /// @return nameHash Key of the name without the version.
    /// @return version Number after `@`; zero when there is none.
    function parseVersioned(string calldata name) internal pure returns (bytes32 nameHash, uint32 version) {
        bytes calldata text = bytes(name);
        uint256 end = _nameEnd(name, _partEnd(text, 0));
        nameHash = keccak256(text[:end]);
        if (end == text.length) return (nameHash, 0);

        uint256 digits = text.length - end - 1;
        if (text[end] != "@" || digits == 0 || digits > 10) revert IModelRegistry.BadName(name);
        uint256 number;
        for (uint256 i = end + 1; i < text.length; ++i) {
            uint8 c = uint8(text[i]);
            if (c < 0x30 || c > 0x39) revert IModelRegistry.BadName(name);
            number = number * 10 + (c - 0x30);
        }
        if (text[end + 1] == "0" || number > type(uint32).max) revert IModelRegistry.BadName(name);
        version = uint32(number);
    }

    function _nameEnd(string calldata name, uint256 slash) private pure returns (uint256 end) {
        bytes calldata text = bytes(name);
        if (slash == 0 || slash >= text.length || text[slash] != "/") revert IModelRegistry.BadName(name);
        end = _partEnd(text, slash + 1);
        if (end == slash + 1) revert IModelRegistry.BadName(name);
    }

    /// @dev Returns where the part that starts at `start` ends; `start` itself when it is empty or too long.
    function _partEnd(bytes calldata text, uint256 start) private pure returns (uint256 end) {
        end = start;
        while (end < text.length && _allowed(uint8(text[end]))) ++end;
        if (end - start > MAX_PART) end = start;
    }

    function _allowed(uint8 c) private pure returns (bool) {
        return (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c == 0x2d || c == 0x5f || c == 0x2e;
    }
}
