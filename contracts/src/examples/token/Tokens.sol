// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @notice What the examples need of an ERC-20 token.
interface IERC20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

/// @title Tokens
/// @notice Moves tokens, also those that return nothing, and reverts when they do not move.
library Tokens {
    /// @notice The token refused.
    error TransferFailed(address token);

    /// @notice Sends tokens of this contract.
    /// @param token Token to send.
    /// @param to Receiver.
    /// @param amount Amount.
    function push(IERC20 token, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    /// @notice Takes tokens that were approved.
    /// @param token Token to take.
    /// @param from Giver.
    /// @param amount Amount.
    function pull(IERC20 token, address from, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transferFrom, (from, address(this), amount)));
    }

    function _call(IERC20 token, bytes memory data) private {
        (bool ok, bytes memory answer) = address(token).call(data);
        bool moved = ok && (answer.length == 0 ? address(token).code.length != 0 : abi.decode(answer, (bool)));
        if (!moved) revert TransferFailed(address(token));
    }
}

/// @title Reentrancy lock
/// @notice Keeps a function from being entered again before it ends.
abstract contract Lock {
    /// @notice The contract is in the middle of a call.
    error Reentered();

    /// @dev Transient slot of the lock: keccak256("assay.examples.lock").
    bytes32 private constant SLOT = keccak256("assay.examples.lock");

    modifier locked() {
        _enter();
        _;
        _leave();
    }

    function _enter() private {
        bytes32 slot = SLOT;
        bool entered;
        assembly ("memory-safe") {
            entered := tload(slot)
            tstore(slot, 1)
        }
        if (entered) revert Reentered();
    }

    function _leave() private {
        bytes32 slot = SLOT;
        assembly ("memory-safe") {
            tstore(slot, 0)
        }
    }
}
