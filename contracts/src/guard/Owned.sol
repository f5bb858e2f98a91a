// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Owned
/// @notice One owner, handed over in two steps.
abstract contract Owned {
    /// @notice Only the owner may do this.
    error NotOwner(address caller);
    /// @notice Only the account the ownership was offered to may accept it.
    error NotPendingOwner(address caller);

    /// @notice The ownership was offered.
    event OwnerOffered(address indexed owner, address indexed pendingOwner);
    /// @notice The ownership moved.
    event OwnerChanged(address indexed owner);

    /// @notice Account that configures this contract.
    address public owner;
    /// @notice Account the ownership is offered to.
    address public pendingOwner;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    constructor(address owner_) {
        owner = owner_;
        emit OwnerChanged(owner_);
    }

    /// @notice Offers the ownership.
    /// @param newOwner Account that may accept; zero withdraws the offer.
    function offerOwner(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnerOffered(msg.sender, newOwner);
    }

    /// @notice Accepts the ownership.
    function acceptOwner() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
        emit OwnerChanged(msg.sender);
    }
}
