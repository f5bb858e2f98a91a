// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @title Observations
/// @notice Keeps the last ticks of a pool with their times.
library Observations {
    /// @notice Samples kept: eight moves.
    uint256 internal constant SAMPLES = 9;
    /// @notice Least seconds between two samples.
    uint256 internal constant INTERVAL = 60;

    /// @notice One sample.
    struct Sample {
        int24 tick;
        uint32 time;
    }

    /// @notice Ring of samples; the newest is at `(count - 1) % SAMPLES`.
    struct Ring {
        uint64 count;
        Sample[SAMPLES] samples;
    }

    /// @notice Writes a tick, unless the last sample is too recent.
    /// @param self Ring to write to.
    /// @param tick Tick of the pool.
    /// @return written Whether it was written.
    function sample(Ring storage self, int24 tick) internal returns (bool written) {
        uint64 count = self.count;
        uint32 time = uint32(block.timestamp);
        unchecked {
            // Times wrap in 2106; differences stay right.
            if (count != 0 && time - self.samples[(count - 1) % SAMPLES].time < INTERVAL) return false;
        }
        self.samples[count % SAMPLES] = Sample({tick: tick, time: time});
        self.count = count + 1;
        return true;
    }

    /// @notice Tells whether there are enough samples for a row.
    /// @param self Ring to look at.
    /// @return Whether every slot was written.
    function isFull(Ring storage self) internal view returns (bool) {
        return self.count >= SAMPLES;
    }

    /// @notice Answers the moves in ticks and the seconds they took, oldest first.
    /// @param self Full ring.
    /// @return row Moves, then seconds.
    function features(Ring storage self) internal view returns (int256[] memory row) {
        uint256 moves = SAMPLES - 1;
        row = new int256[](2 * moves);
        uint64 count = self.count;
        if (count < SAMPLES) return row;
        Sample memory last = self.samples[count % SAMPLES];
        for (uint256 i; i < moves; ++i) {
            Sample memory next = self.samples[(count + 1 + i) % SAMPLES];
            row[i] = int256(next.tick) - last.tick;
            unchecked {
                row[moves + i] = int256(uint256(next.time - last.time));
            }
            last = next;
        }
    }
}
