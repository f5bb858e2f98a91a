// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Signatures
/// @notice Recovers signers of 65-byte signatures (r, s, v) and refuses every second form of one.
library Signatures {
    /// @dev Half the order of secp256k1; a larger s is the mirror of a valid signature.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice Recovers the signer of a digest.
    /// @param digest Digest that was signed.
    /// @param signature r, s, v with v 27 or 28.
    /// @return signer Address of the signer; zero for a malformed or malleable signature.
    function recover(bytes32 digest, bytes calldata signature) internal pure returns (address signer) {
        if (signature.length != 65) return address(0);
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        uint8 v = uint8(signature[64]);
        if (uint256(s) > HALF_ORDER) return address(0);
        if (v != 27 && v != 28) return address(0);
        signer = ecrecover(digest, v, r, s);
    }
}
