// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Observations
/// @notice Turns the ticks of a pool into days: the realised volatility and the return of each.
/// @dev A tick is a hundredth of a percent, so a move of n ticks is a return of n / 10,000. A day's realised
/// volatility is the root of the sum of its squared moves, sampled at most once a minute.
library Observations {
    /// @notice Days kept.
    uint256 internal constant DAYS = 22;
    /// @notice Least seconds between two samples.
    uint256 internal constant INTERVAL = 60;

    /// @dev One tick as a fraction at 6 decimals.
    int256 private constant TICK = 100;

    /// @notice One closed day, at 6 decimals.
    struct Day {
        uint64 volatility;
        int64 dayReturn;
    }

    /// @notice Days closed, and the one that runs; the newest closed is at `(count - 1) % DAYS`.
    struct History {
        uint64 count;
        uint32 day;
        uint32 sampledAt;
        int24 open;
        int24 last;
        uint80 squares;
        Day[DAYS] closed;
    }

    /// @notice Starts a history.
    /// @param self History to start.
    /// @param tick Tick of the pool.
    function start(History storage self, int24 tick) internal {
        (self.open, self.last) = (tick, tick);
        self.day = uint32(block.timestamp / 1 days);
        self.sampledAt = uint32(block.timestamp);
    }

    /// @notice Takes a tick in, unless the last sample is too recent.
    /// @param self History to write to.
    /// @param tick Tick of the pool.
    /// @return closed Whether a day was closed.
    function sample(History storage self, int24 tick) internal returns (bool closed) {
        uint32 time = uint32(block.timestamp);
        unchecked {
            // Seconds wrap in 2106; differences stay right.
            if (time - self.sampledAt < INTERVAL) return false;
        }
        int256 move = int256(tick) - self.last;
        // Ticks have 24 bits: a day of samples every minute stays below 2^61.
        self.squares += uint80(uint256(move * move));
        self.last = tick;
        self.sampledAt = time;
        uint32 today = uint32(block.timestamp / 1 days);
        if (today == self.day) return false;
        _close(self, today - self.day);
        self.day = today;
        return true;
    }

    /// @notice Tells whether there are enough days for a row.
    /// @param self History to look at.
    /// @return Whether every slot was written.
    function isFull(History storage self) internal view returns (bool) {
        return self.count >= DAYS;
    }

    /// @notice Answers volatility_1d, volatility_5d, volatility_22d, return_1d and abs_return_5d.
    /// @param self History to read.
    /// @return row Fractions at 6 decimals; zeros where there are no days yet.
    function features(History storage self) internal view returns (int256[] memory row) {
        row = new int256[](5);
        uint64 count = self.count;
        for (uint64 back = 0; back < DAYS && back < count; ++back) {
            Day memory one = self.closed[(count - 1 - back) % DAYS];
            int256 volatility = int256(uint256(one.volatility));
            if (back == 0) (row[0], row[3]) = (volatility, one.dayReturn);
            if (back < 5) {
                row[1] += volatility;
                row[4] += one.dayReturn < 0 ? -one.dayReturn : one.dayReturn;
            }
            row[2] += volatility;
        }
        row[1] /= 5;
        row[2] /= int256(DAYS);
        row[4] /= 5;
    }

    /// @dev Writes the day that ran, and a quiet one for every day without a swap.
    function _close(History storage self, uint256 elapsed) private {
        uint64 count = self.count;
        self.closed[count % DAYS] = Day({
            volatility: uint64(_root(self.squares) * uint256(TICK)),
            dayReturn: int64((int256(self.last) - self.open) * TICK)
        });
        ++count;
        uint256 quiet = elapsed - 1 < DAYS ? elapsed - 1 : DAYS;
        for (uint256 i; i < quiet; ++i) {
            delete self.closed[count % DAYS];
            ++count;
        }
        self.count = count;
        self.squares = 0;
        self.open = self.last;
    }

    /// @dev Integer square root, rounded down, by Newton's steps from above.
    function _root(uint256 value) private pure returns (uint256 root) {
        if (value == 0) return 0;
        root = 1 << 40; // above the root of any sum that fits 80 bits
        uint256 next = (root + value / root) / 2;
        while (next < root) {
            root = next;
            next = (root + value / root) / 2;
        }
    }
}
