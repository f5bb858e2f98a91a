// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {GuardedModel, Setup} from "../../guard/GuardedModel.sol";
import {Rule} from "../../guard/Rules.sol";
import {Inference} from "../../libraries/Inference.sol";
import {IERC20, Lock, Tokens} from "../token/Tokens.sol";

/// @title Screened vault
/// @notice Pays ordinary withdrawals at once and holds unusual ones for a day.
/// @dev The screen delays, it never takes: a held withdrawal is its owner's after the hold, whatever the
/// model, the guardian or the owner of this contract do. A model that fails holds withdrawals, it pays none
/// early and loses none.
contract ScreenedVault is GuardedModel, Lock {
    using Tokens for IERC20;

    /// @notice What an account did here before.
    struct History {
        uint64 since;
        uint64 lastAt;
        uint64 dayStart;
        uint32 dayCount;
        uint32 count;
        uint256 total;
    }

    /// @notice A held withdrawal.
    struct Ticket {
        address account;
        uint64 createdAt;
        uint64 releaseAt;
        uint256 amount;
    }

    /// @notice The amount is zero.
    error ZeroAmount();
    /// @notice The account does not have that much.
    error NotEnough(uint256 balance, uint256 amount);
    /// @notice The ticket is not the caller's, or is done.
    error NotYourTicket(uint256 ticket);
    /// @notice The hold is not over.
    error StillHeld(uint256 releaseAt);
    /// @notice A ticket is extended once, before its release.
    error CannotExtend(uint256 ticket);

    event Deposited(address indexed account, uint256 amount);
    event Paid(address indexed account, uint256 amount);
    event Screened(address indexed account, uint256 amount, int256 score, Rule rule, bool held);
    event Held(uint256 indexed ticket, address indexed account, uint256 amount, uint256 releaseAt);
    event HoldExtended(uint256 indexed ticket, uint256 releaseAt);
    event Cancelled(uint256 indexed ticket);

    /// @notice Score from which a withdrawal is held, at 18 decimals.
    int256 public constant THRESHOLD = 0.6e18;
    /// @notice Seconds a withdrawal is held.
    uint64 public constant HOLD = 1 days;
    /// @notice Seconds a withdrawal is held at most, when the guardian asks for more time.
    uint64 public constant MAX_HOLD = 4 days;

    /// @notice Token the vault keeps.
    IERC20 public immutable token;
    mapping(address account => uint256) public balances;
    mapping(address account => History) public histories;
    mapping(uint256 ticket => Ticket) public tickets;
    uint256 public ticketCount;
    uint256 public totalBalance;

    constructor(Setup memory setup, IERC20 token_) GuardedModel(setup) {
        token = token_;
    }

    /// @notice Deposits.
    /// @param amount Amount.
    function deposit(uint256 amount) external locked {
        if (amount == 0) revert ZeroAmount();
        if (histories[msg.sender].since == 0) histories[msg.sender].since = uint64(block.timestamp);
        balances[msg.sender] += amount;
        totalBalance += amount;
        emit Deposited(msg.sender, amount);
        token.pull(msg.sender, amount);
    }

    /// @notice Withdraws: at once, or into a ticket when the screen finds it unusual.
    /// @param amount Amount.
    /// @return ticket Number of the ticket; zero when the amount was paid.
    function withdraw(uint256 amount) external locked returns (uint256 ticket) {
        if (amount == 0) revert ZeroAmount();
        uint256 balance = balances[msg.sender];
        if (amount > balance) revert NotEnough(balance, amount);
        bytes32 key = bytes32(uint256(uint160(msg.sender)));
        (int256[] memory fields, Rule rule) = _update(key, featuresOf(msg.sender, amount));
        bool held = rule != Rule.None || fields[0] >= THRESHOLD;
        emit Screened(msg.sender, amount, fields[0], rule, held);
        _remember(msg.sender, amount);
        balances[msg.sender] = balance - amount;
        totalBalance -= amount;
        if (held) return _hold(msg.sender, amount);
        emit Paid(msg.sender, amount);
        token.push(msg.sender, amount);
    }

    /// @notice Pays a held withdrawal once its hold is over.
    /// @param ticket Number of the ticket.
    function release(uint256 ticket) external locked {
        Ticket memory held = _take(ticket);
        if (block.timestamp < held.releaseAt) revert StillHeld(held.releaseAt);
        emit Paid(held.account, held.amount);
        token.push(held.account, held.amount);
    }

    /// @notice Calls a held withdrawal off; the amount is deposited again.
    /// @param ticket Number of the ticket.
    function cancel(uint256 ticket) external locked {
        Ticket memory held = _take(ticket);
        balances[held.account] += held.amount;
        totalBalance += held.amount;
        emit Cancelled(ticket);
    }

    /// @notice Gives the account's owner more time to notice a theft: once per ticket, to MAX_HOLD.
    /// @param ticket Number of the ticket.
    function extend(uint256 ticket) external onlyGuardian {
        Ticket storage held = tickets[ticket];
        uint64 releaseAt = held.createdAt + MAX_HOLD;
        if (held.account == address(0) || held.releaseAt == releaseAt || block.timestamp >= held.releaseAt) {
            revert CannotExtend(ticket);
        }
        held.releaseAt = releaseAt;
        emit HoldExtended(ticket, releaseAt);
    }

    /// @notice Answers the row the model gets for a withdrawal.
    /// @dev Schema order: balance_share, vault_share, mean_ratio (to the mean of former withdrawals, missing for
    /// the first one), at 6 decimals; seconds_since_last (missing for the first one), withdrawals_today,
    /// account_age (seconds), whole.
    /// @param account Account that withdraws.
    /// @param amount Amount.
    /// @return row Features in schema order.
    function featuresOf(address account, uint256 amount) public view returns (int256[] memory row) {
        History memory history = histories[account];
        row = new int256[](6);
        row[0] = _ratio(amount, balances[account]);
        row[1] = _ratio(amount, totalBalance);
        bool first = history.count == 0;
        row[2] = first ? Inference.MISSING : _ratio(amount * history.count, history.total);
        row[3] = first ? Inference.MISSING : int256(block.timestamp - history.lastAt);
        row[4] = block.timestamp - history.dayStart < 1 days ? int256(uint256(history.dayCount)) : int256(0);
        row[5] = history.since == 0 ? int256(0) : int256(block.timestamp - history.since);
    }

    function _remember(address account, uint256 amount) private {
        History storage history = histories[account];
        if (block.timestamp - history.dayStart >= 1 days) {
            history.dayStart = uint64(block.timestamp);
            history.dayCount = 0;
        }
        ++history.dayCount;
        ++history.count;
        history.lastAt = uint64(block.timestamp);
        history.total += amount;
    }

    function _hold(address account, uint256 amount) private returns (uint256 ticket) {
        ticket = ++ticketCount;
        uint64 time = uint64(block.timestamp);
        tickets[ticket] = Ticket({account: account, createdAt: time, releaseAt: time + HOLD, amount: amount});
        emit Held(ticket, account, amount, time + HOLD);
    }

    function _take(uint256 ticket) private returns (Ticket memory held) {
        held = tickets[ticket];
        if (held.account != msg.sender) revert NotYourTicket(ticket);
        delete tickets[ticket];
    }

    /// @dev A quotient at 6 decimals, at most a million: far beyond what the model knows.
    function _ratio(uint256 part, uint256 whole) private pure returns (int256) {
        if (whole == 0 || part / whole >= 1e6) return 1e12;
        if (part > type(uint256).max / 1e6) return int256(part / (whole / 1e6));
        return int256(part * 1e6 / whole);
    }
}
