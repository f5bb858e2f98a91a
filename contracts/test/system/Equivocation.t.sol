// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Ballot, Change, Equivocation, IValidatorSet, Misdeed, Signed} from "../../src/interfaces/IValidatorSet.sol";
import {Predeploys} from "./Predeploys.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Evidence that a validator signed two things, as the chain takes it.
contract EquivocationTest is Predeploys {
    bytes32 internal constant ONE = keccak256("one");
    bytes32 internal constant OTHER = keccak256("other");
    uint64 internal constant HEIGHT = 7;
    uint32 internal constant ROUND = 2;

    function setUp() public {
        startChain(four());
        vm.roll(HEIGHT + 1);
    }

    /// @dev The digests once more, from docs/spec/consensus.md and not from the library under test.
    function digest(Ballot kind, uint64 height, Signed memory what) internal view returns (bytes32) {
        bytes memory place = abi.encode(GENESIS_HASH, block.chainid, uint256(height), uint256(ROUND));
        if (kind == Ballot.Proposal) {
            bytes memory rest = abi.encode(uint256(what.validRound), what.blockHash);
            return keccak256(abi.encodePacked(keccak256("assay.proposal.v1"), place, rest));
        }
        string memory name = kind == Ballot.Prevote ? "assay.prevote" : "assay.precommit";
        if (what.forNone) return keccak256(abi.encodePacked(keccak256(bytes(string.concat(name, "-nil.v1"))), place));
        return keccak256(abi.encodePacked(keccak256(bytes(string.concat(name, ".v1"))), place, what.blockHash));
    }

    function sign(Vm.Wallet memory by, Ballot kind, uint64 height, Signed memory what)
        internal
        returns (Signed memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(by, digest(kind, height, what));
        what.signature = abi.encodePacked(r, s, v);
        return what;
    }

    function forBlock(bytes32 hash) internal pure returns (Signed memory) {
        return Signed(hash, false, 0, "");
    }

    function forNone() internal pure returns (Signed memory) {
        return Signed(0, true, 0, "");
    }

    function both(Vm.Wallet memory by, Ballot kind, uint64 height, Signed memory first, Signed memory second)
        internal
        returns (Equivocation memory)
    {
        return Equivocation(kind, height, ROUND, sign(by, kind, height, first), sign(by, kind, height, second));
    }

    function twice(Vm.Wallet memory by, Ballot kind) internal returns (Equivocation memory) {
        return both(by, kind, HEIGHT, forBlock(ONE), forBlock(OTHER));
    }

    function refused(Equivocation memory proof, bytes memory why) internal {
        vm.expectRevert(why);
        set.proveEquivocation(proof);
    }

    function refused(Equivocation memory proof) internal {
        refused(proof, abi.encodeWithSelector(IValidatorSet.NoEquivocation.selector));
    }

    function change(Vm.Wallet memory wallet, uint64 value) internal {
        Change[] memory changes = new Change[](1);
        changes[0] = Change(wallet.addr, value, bytes32(wallet.publicKeyX), bytes32(wallet.publicKeyY));
        vm.prank(admin);
        set.changeByAdmin(changes);
    }

    function test_what_excludes_itself_is_stored_answered_and_announced() public {
        Ballot[3] memory kinds = [Ballot.Prevote, Ballot.Precommit, Ballot.Proposal];
        for (uint256 i; i < kinds.length; ++i) {
            Equivocation memory proof = twice(wallets[i], kinds[i]);
            address liar = wallets[i].addr;
            assertEq(set.provenAt(liar, HEIGHT, ROUND, kinds[i]), 0);
            vm.expectEmit(address(set));
            emit IValidatorSet.Equivocated(liar, HEIGHT, ROUND, kinds[i], ONE, OTHER);
            vm.prank(makeAddr("anybody"));
            set.proveEquivocation(proof);
            assertEq(set.provenAt(liar, HEIGHT, ROUND, kinds[i]), HEIGHT + 1);
            assertEq(set.misdeeds(), i + 1);
            Misdeed memory found = set.misdeed(i);
            assertEq(found.account, liar);
            assertEq(found.height, HEIGHT);
            assertEq(found.round, ROUND);
            assertEq(uint8(found.kind), uint8(kinds[i]));
            assertEq(found.provenAt, HEIGHT + 1);
            // Nobody loses power for it.
            assertEq(set.powerOf(liar), 100);
        }
    }

    function test_a_misdeed_lies_where_the_storage_page_says() public {
        set.proveEquivocation(twice(wallets[1], Ballot.Precommit));
        address liar = wallets[1].addr;
        uint256 data = uint256(keccak256(abi.encode(9)));
        assertEq(uint256(vm.load(address(set), bytes32(uint256(9)))), 1);
        uint256 place = uint160(liar) | uint256(HEIGHT) << 160 | uint256(ROUND) << 224;
        assertEq(uint256(vm.load(address(set), bytes32(data))), place);
        assertEq(uint256(vm.load(address(set), bytes32(data + 1))), 1 | uint256(HEIGHT + 1) << 8);
        bytes32 deed = keccak256(abi.encode(liar, HEIGHT, ROUND, Ballot.Precommit));
        assertEq(uint256(vm.load(address(set), keccak256(abi.encode(deed, 10)))), HEIGHT + 1);
    }

    function test_a_vote_for_a_block_and_one_for_none_exclude_each_other() public {
        vm.expectEmit(address(set));
        emit IValidatorSet.Equivocated(wallets[0].addr, HEIGHT, ROUND, Ballot.Prevote, ONE, 0);
        set.proveEquivocation(both(wallets[0], Ballot.Prevote, HEIGHT, forBlock(ONE), forNone()));
        set.proveEquivocation(both(wallets[1], Ballot.Precommit, HEIGHT, forNone(), forBlock(OTHER)));
        // A block whose hash is zero is not none: nobody escapes by voting for it.
        set.proveEquivocation(both(wallets[2], Ballot.Precommit, HEIGHT, forBlock(0), forBlock(ONE)));
        set.proveEquivocation(both(wallets[3], Ballot.Precommit, HEIGHT, forBlock(0), forNone()));
        assertEq(set.misdeeds(), 4);
    }

    function test_proposals_of_one_block_with_two_valid_rounds_exclude_each_other() public {
        Equivocation memory proof =
            both(wallets[0], Ballot.Proposal, HEIGHT, Signed(ONE, false, 1, ""), Signed(ONE, false, 2, ""));
        // What the digest does not bind changes nothing, in the event either.
        proof.second.forNone = true;
        vm.expectEmit(address(set));
        emit IValidatorSet.Equivocated(wallets[0].addr, HEIGHT, ROUND, Ballot.Proposal, ONE, ONE);
        set.proveEquivocation(proof);
    }

    function test_one_misdeed_is_proven_once() public {
        set.proveEquivocation(twice(wallets[0], Ballot.Precommit));
        bytes memory again = abi.encodeWithSelector(
            IValidatorSet.AlreadyProven.selector, wallets[0].addr, HEIGHT, ROUND, Ballot.Precommit
        );
        refused(both(wallets[0], Ballot.Precommit, HEIGHT, forBlock(OTHER), forBlock(ONE)), again);
        refused(both(wallets[0], Ballot.Precommit, HEIGHT, forNone(), forBlock(ONE)), again);
        set.proveEquivocation(twice(wallets[0], Ballot.Prevote));
    }

    function test_one_thing_signed_is_no_equivocation() public {
        refused(both(wallets[0], Ballot.Prevote, HEIGHT, forBlock(ONE), forBlock(ONE)));
        // Fields that a digest does not bind do not make two things of one.
        refused(both(wallets[0], Ballot.Prevote, HEIGHT, forNone(), Signed(ONE, true, 0, "")));
        refused(both(wallets[0], Ballot.Precommit, HEIGHT, forBlock(ONE), Signed(ONE, false, 3, "")));
    }

    function test_what_two_validators_signed_is_no_equivocation() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Prevote);
        proof.second = sign(wallets[1], Ballot.Prevote, HEIGHT, forBlock(OTHER));
        refused(proof);
    }

    function test_a_prevote_and_a_precommit_do_not_exclude_each_other() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Prevote);
        proof.second = sign(wallets[0], Ballot.Precommit, HEIGHT, forBlock(OTHER));
        refused(proof);
    }

    function test_signatures_of_another_height_round_or_chain_prove_nothing() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Prevote);
        --proof.height;
        refused(proof);
        (proof.height, proof.round) = (HEIGHT, ROUND + 1);
        refused(proof);
        proof.round = ROUND;
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        refused(proof);
        vm.chainId(chain);
        set.proveEquivocation(proof);
    }

    function test_a_height_to_come_is_refused() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Prevote);
        vm.roll(HEIGHT - 1);
        refused(proof);
        // The block of that height may hold it: a later round's proposer saw an earlier round.
        vm.roll(HEIGHT);
        set.proveEquivocation(proof);
    }

    function test_others_than_validators_may_sign_what_they_like() public {
        Vm.Wallet memory stranger = vm.createWallet("stranger");
        bytes memory why = abi.encodeWithSelector(IValidatorSet.NotValidator.selector, stranger.addr);
        refused(twice(stranger, Ballot.Prevote), why);
    }

    function test_a_malformed_signature_is_named() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Prevote);
        bytes memory whole = proof.first.signature;
        proof.first.signature = hex"01";
        refused(proof, abi.encodeWithSelector(IValidatorSet.BadSignature.selector, 0));
        proof.first.signature = whole;
        proof.second.signature = new bytes(65);
        refused(proof, abi.encodeWithSelector(IValidatorSet.BadSignature.selector, 1));
    }

    function test_the_set_of_the_height_decides() public {
        Vm.Wallet memory leaver = wallets[3];
        Vm.Wallet memory joiner = vm.createWallet("joiner");
        change(leaver, 0);
        vm.roll(EPOCH);
        change(joiner, 50);
        vm.roll(2 * EPOCH);
        uint64 height = EPOCH + 1;
        // The older stored set, without the leaver, answers for the heights of the sets before it.
        bytes memory why = abi.encodeWithSelector(IValidatorSet.NotValidator.selector, leaver.addr);
        refused(twice(leaver, Ballot.Precommit), why);
        refused(both(leaver, Ballot.Precommit, height, forBlock(ONE), forNone()), why);
        why = abi.encodeWithSelector(IValidatorSet.NotValidator.selector, joiner.addr);
        refused(both(joiner, Ballot.Precommit, height, forBlock(ONE), forNone()), why);
        set.proveEquivocation(both(joiner, Ballot.Precommit, 2 * EPOCH, forBlock(ONE), forNone()));
    }

    function test_a_validator_that_left_can_still_be_caught() public {
        Equivocation memory proof = twice(wallets[3], Ballot.Precommit);
        change(wallets[3], 0);
        vm.roll(EPOCH);
        assertEq(set.powerOf(wallets[3].addr), 0);
        set.proveEquivocation(proof);
        assertEq(set.misdeed(0).account, wallets[3].addr);
        bytes memory why = abi.encodeWithSelector(IValidatorSet.NotValidator.selector, wallets[3].addr);
        refused(both(wallets[3], Ballot.Precommit, EPOCH, forBlock(ONE), forNone()), why);
    }

    function test_a_proof_costs_less_than_what_the_node_offers() public {
        Equivocation memory proof = twice(wallets[0], Ballot.Proposal);
        uint256 before = gasleft();
        set.proveEquivocation(proof);
        assertLt(before - gasleft(), 200_000);
    }
}
