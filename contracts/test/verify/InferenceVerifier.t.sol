// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {
    Decision,
    IInferenceVerifier,
    InferenceReceipt,
    InferenceRecord,
    Place,
    TrustedSet
} from "../../src/interfaces/IInferenceVerifier.sol";
import {Validator} from "../../src/interfaces/IValidatorSet.sol";
import {InferenceVerifier} from "../../src/verify/InferenceVerifier.sol";
import {SourceChain} from "./SourceChain.sol";

contract InferenceVerifierTest is SourceChain {
    bytes32[] private none;

    function setUp() public {
        start(4);
    }

    /// @dev Makes the next set of four and the proof that block `height` hands over to it.
    function handover(uint64 height, uint64 time) private returns (Decision memory decision, bytes32 next) {
        Validator[] memory before = set();
        Validator[] memory later = new Validator[](3);
        for (uint256 i; i < 3; ++i) {
            later[i] = before[i];
        }
        next = hashOf(later);
        bytes32 requests = sha256(bytes.concat(recordsDigest(), nextSetDigest(next)));
        decision = decidedUnder(tag(), height, 0, headerOf(height, time, requests), 3);
    }

    function recordsBefore() private pure returns (bytes32[] memory digests) {
        digests = new bytes32[](1);
        digests[0] = recordsDigest();
    }

    function test_a_receipt_proves_its_record() public {
        InferenceReceipt memory receipt = cut(3);
        (InferenceRecord memory record, Place memory place) = verifier.verify(receipt);
        assertEq(abi.encode(record), abi.encode(records()[2]));
        assertEq(place.height, HEIGHT);
        assertEq(place.time, TIME);
        assertEq(place.blockHash, keccak256(receipt.decision.header));
        assertEq(place.id, keccak256(abi.encode(place.blockHash, uint32(2))));
    }

    function test_every_quorum_and_every_round_will_do() public {
        verifier.verify(cut(4));
        InferenceReceipt memory receipt = cut(0);
        receipt.decision = decidedUnder(tag(), HEIGHT, 9, receipt.decision.header, 4);
        verifier.verify(receipt);
    }

    function test_the_answer_is_what_the_record_says() public {
        InferenceReceipt memory receipt = cut(3);
        verifier.verifyAnswer(receipt, INPUT, OUTPUT);
        bytes32 wanted = keccak256(INPUT);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.WrongInput.selector, wanted, keccak256("other")));
        verifier.verifyAnswer(receipt, "other", OUTPUT);
        wanted = keccak256(OUTPUT);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.WrongOutput.selector, wanted, keccak256("other")));
        verifier.verifyAnswer(receipt, INPUT, "other");
    }

    function test_a_new_set_is_taken_up_from_the_old_one() public {
        (Decision memory decision, bytes32 next) = handover(HEIGHT, TIME);
        vm.expectEmit(address(verifier));
        emit IInferenceVerifier.SetTrusted(HEIGHT + 1, next, TIME);
        verifier.update(decision, next, recordsBefore(), none);
        assertEq(verifier.trustedSets(), 2);
        assertEq(abi.encode(verifier.trustedSet(1)), abi.encode(TrustedSet(HEIGHT + 1, TIME, next)));
        assertEq(verifier.trustedSet(0).confirmed, TIME);
        // The old set's blocks are still its own.
        verifier.verify(cut(3));
    }

    function test_each_height_has_its_own_set() public {
        (uint64 height, uint64 time) = (HEIGHT, TIME);
        bytes32[6] memory hashes;
        // Sets of four, three, two... members, ten blocks each.
        for (uint256 i; i < 3; ++i) {
            hashes[i] = hashOf(set());
            uint256 left = signers.length;
            signers.pop();
            bytes32 next = hashOf(set());
            makeSigners("validator", 4);
            while (signers.length > left) signers.pop();
            bytes32 requests = sha256(bytes.concat(nextSetDigest(next)));
            vm.warp(time);
            verifier.update(decidedUnder(tag(), height, 0, headerOf(height, time, requests), left), next, none, none);
            signers.pop();
            (height, time) = (height + 10, time + 10);
        }
        for (uint64 at = HEIGHT; at < HEIGHT + 30; ++at) {
            uint256 members = at <= HEIGHT ? 4 : at <= HEIGHT + 10 ? 3 : at <= HEIGHT + 20 ? 2 : 1;
            makeSigners("validator", 4);
            while (signers.length > members) signers.pop();
            InferenceReceipt memory receipt = cut(0);
            bytes32 requests = sha256(bytes.concat(recordsDigest(), receipt.requestsAfter[0]));
            receipt.decision = decidedUnder(tag(), at, 0, headerOf(at, TIME, requests), members);
            (, Place memory place) = verifier.verify(receipt);
            assertEq(place.height, at);
        }
    }

    function test_a_confirmation_starts_the_trusting_period_anew() public {
        uint64 later = START + PERIOD;
        vm.warp(later);
        bytes memory last = headerOf(HEIGHT + 7, later, keccak256("requests"));
        vm.expectEmit(address(verifier));
        emit IInferenceVerifier.SetConfirmed(FROM, HEIGHT + 7, later);
        verifier.confirm(decidedUnder(tag(), HEIGHT + 7, 0, last, 3));
        vm.warp(later + PERIOD);
        verifier.verify(cut(3));
        // An older block takes nothing back.
        vm.warp(later + 1);
        verifier.confirm(decided(headerOf(HEIGHT, TIME, keccak256("requests")), 3));
        assertEq(verifier.trustedSet(0).confirmed, later);
    }

    function test_no_set_is_trusted_past_the_trusting_period() public {
        InferenceReceipt memory receipt = cut(3);
        (Decision memory decision, bytes32 next) = handover(HEIGHT, TIME);
        bytes32[] memory before = recordsBefore();
        vm.warp(START + PERIOD + 1);
        bytes memory expired = abi.encodeWithSelector(IInferenceVerifier.SetExpired.selector, FROM, START + PERIOD);
        vm.expectRevert(expired);
        verifier.verify(receipt);
        vm.expectRevert(expired);
        verifier.update(decision, next, before, none);
        vm.expectRevert(expired);
        verifier.confirm(decision);
    }

    function test_only_the_newest_set_names_the_next() public {
        (Decision memory decision, bytes32 next) = handover(HEIGHT, TIME);
        bytes32[] memory before = recordsBefore();
        verifier.update(decision, next, before, none);
        bytes memory notNewest = abi.encodeWithSelector(IInferenceVerifier.NotNewestSet.selector, HEIGHT, HEIGHT + 1);
        vm.expectRevert(notNewest);
        verifier.update(decision, next, before, none);
        vm.expectRevert(notNewest);
        verifier.confirm(decision);
    }

    function test_a_set_is_named_by_request_a2_alone() public {
        (Decision memory decision, bytes32 next) = handover(HEIGHT, TIME);
        bytes32[] memory before = recordsBefore();
        vm.expectPartialRevert(IInferenceVerifier.WrongRequests.selector);
        verifier.update(decision, keccak256("another set"), before, none);
        // The records' request is no name of a set, whatever its bytes are.
        (bytes32 root,) = tree();
        bytes32[] memory rest = new bytes32[](1);
        rest[0] = nextSetDigest(next);
        vm.expectPartialRevert(IInferenceVerifier.WrongRequests.selector);
        verifier.update(decision, root, none, rest);
    }

    function test_a_block_of_the_future_confirms_nothing() public {
        uint64 ahead = TIME + verifier.MAX_CLOCK_DRIFT() + 1;
        Decision memory decision = decided(headerOf(HEIGHT, ahead, keccak256("requests")), 3);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.FromTheFuture.selector, ahead));
        verifier.confirm(decision);
        vm.warp(TIME + 1);
        verifier.confirm(decision);
    }

    function test_trust_must_begin_somewhere() public {
        TrustedSet memory good = TrustedSet(FROM, START, keccak256("set"));
        vm.expectRevert(IInferenceVerifier.BadTrust.selector);
        new InferenceVerifier(CHAIN_ID, 0, good, PERIOD);
        vm.expectRevert(IInferenceVerifier.BadTrust.selector);
        new InferenceVerifier(CHAIN_ID, GENESIS, good, 0);
        vm.expectRevert(IInferenceVerifier.BadTrust.selector);
        new InferenceVerifier(CHAIN_ID, GENESIS, TrustedSet(FROM, START, 0), PERIOD);
        vm.expectRevert(IInferenceVerifier.BadTrust.selector);
        new InferenceVerifier(CHAIN_ID, GENESIS, TrustedSet(FROM, TIME + 1, keccak256("set")), PERIOD);
    }

    function testFuzz_a_header_is_read_as_it_was_written(uint64 number, uint64 time, bytes32 requests) public {
        number = uint64(bound(number, FROM, type(uint64).max));
        InferenceReceipt memory receipt = cut(0);
        bytes32 hash = sha256(bytes.concat(recordsDigest(), requests));
        receipt.requestsAfter[0] = requests;
        receipt.decision = decidedUnder(tag(), number, 0, headerOf(number, time, hash), 4);
        (, Place memory place) = verifier.verify(receipt);
        assertEq(place.height, number);
        assertEq(place.time, time);
    }
}
