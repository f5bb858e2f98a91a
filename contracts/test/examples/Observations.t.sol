// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Observations} from "../../src/examples/hook/Observations.sol";
import {Test} from "forge-std/Test.sol";

contract ObservationsTest is Test {
    using Observations for Observations.History;

    Observations.History internal history;

    function setUp() public {
        vm.warp(1000 days);
        history.start(500);
    }

    function test_a_day_is_the_root_of_its_squared_moves_and_its_return() public {
        vm.warp(1000 days + 60);
        assertFalse(history.sample(503)); // 3
        vm.warp(1000 days + 119);
        assertFalse(history.sample(9999)); // too soon: not taken
        vm.warp(1000 days + 120);
        assertFalse(history.sample(499)); // -4
        vm.warp(1001 days);
        assertTrue(history.sample(499));
        int256[] memory row = history.features();
        assertEq(row[0], 500); // 5 ticks
        assertEq(row[1], 100);
        assertEq(row[2], 22);
        assertEq(row[3], -100);
        assertEq(row[4], 20);
        assertFalse(history.isFull());
    }

    function testFuzz_the_root_is_the_greatest_not_above(int24 move) public {
        move = int24(bound(move, -887_272 * 2, 887_272 * 2));
        vm.warp(1001 days);
        history.start(0);
        vm.warp(1002 days);
        assertTrue(history.sample(move));
        int256 size = move < 0 ? -int256(move) : int256(move);
        assertEq(history.features()[0], size * 100);
    }

    function test_the_ring_keeps_the_newest_days() public {
        for (uint256 i = 1; i <= 30; ++i) {
            vm.warp((1000 + i) * 1 days);
            assertTrue(history.sample(int24(int256(500 + i * (i + 1) / 2))));
        }
        assertTrue(history.isFull());
        int256[] memory row = history.features();
        assertEq(row[0], 3000);
        assertEq(row[1], 2800); // 26 to 30
        assertEq(row[2], 1950); // 9 to 30
        assertEq(row[3], 3000);
    }
}
