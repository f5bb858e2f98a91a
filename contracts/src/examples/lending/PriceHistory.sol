// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Price history
/// @notice Keeps a day of hourly prices and measures them; nobody can write into the past.
library PriceHistory {
    /// @notice Prices kept.
    uint256 internal constant SLOTS = 24;
    /// @notice Least seconds between two prices.
    uint256 internal constant INTERVAL = 1 hours;

    uint256 private constant ONE = 1e18;
    /// @dev sqrt(24) * sqrt(pi / 2) at 18 decimals.
    uint256 private constant HOURLY_TO_DAILY = 6_139_960_247_678_930_816;

    /// @notice Ring of prices; `count` grows for ever, the newest is at `(count - 1) % SLOTS`.
    struct History {
        uint64 time;
        uint64 count;
        uint96[SLOTS] prices;
    }

    /// @notice Writes a price, unless the last one is too recent.
    /// @param self History to write to.
    /// @param price Price at 18 decimals; the caller checks that it fits.
    /// @return written Whether it was written.
    function observe(History storage self, uint256 price) internal returns (bool written) {
        if (self.count != 0 && block.timestamp - self.time < INTERVAL) return false;
        self.prices[self.count % SLOTS] = uint96(price);
        self.time = uint64(block.timestamp);
        ++self.count;
        return true;
    }

    /// @notice Measures the history up to a present price.
    /// @dev The volatility of a day is the mean absolute hourly move times sqrt(24) and times sqrt(pi / 2), the
    /// ratio of deviation to mean absolute move of a normal distribution.
    /// @param self History to measure.
    /// @param present Price now.
    /// @return volatility Volatility of a day as a fraction, at 18 decimals; zero without two prices.
    /// @return dayReturn Move from the oldest price kept to the present one, at 18 decimals.
    function measure(History storage self, uint256 present)
        internal
        view
        returns (uint256 volatility, int256 dayReturn)
    {
        uint256 count = self.count;
        if (count == 0) return (0, 0);
        uint256 kept = count < SLOTS ? count : SLOTS;
        uint256 oldest = self.prices[(count - kept) % SLOTS];
        uint256 last = oldest;
        for (uint256 i = count - kept + 1; i < count; ++i) {
            uint256 price = self.prices[i % SLOTS];
            volatility += (price > last ? price - last : last - price) * ONE / last;
            last = price;
        }
        if (kept > 1) volatility = volatility * HOURLY_TO_DAILY / (kept - 1) / ONE;
        dayReturn = (int256(present) - int256(oldest)) * int256(ONE) / int256(oldest);
    }
}
