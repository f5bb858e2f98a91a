// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {
    Decision,
    IInferenceVerifier,
    InferenceReceipt,
    InferenceRecord
} from "../../src/interfaces/IInferenceVerifier.sol";
import {Validator} from "../../src/interfaces/IValidatorSet.sol";
import {SourceChain} from "./SourceChain.sol";

/// @notice One forgery each, and the verifier's word for it.
contract ForgedReceiptsTest is SourceChain {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function setUp() public {
        start(4);
    }

    function refused(InferenceReceipt memory receipt, bytes4 why) private {
        vm.expectPartialRevert(why);
        verifier.verify(receipt);
    }

    /// @dev A receipt whose block was signed under another tag, chain or place.
    function signedAs(Tag memory other, uint64 height, uint32 round) private returns (InferenceReceipt memory receipt) {
        receipt = cut(0);
        receipt.decision.signatures = decidedUnder(other, height, round, receipt.decision.header, 4).signatures;
    }

    /// @dev Another digest recovers other accounts: strangers, in an order of their own.
    function refusedSigners(InferenceReceipt memory receipt) private {
        (bool ok, bytes memory answer) = address(verifier).call(abi.encodeCall(verifier.verify, (receipt)));
        assertFalse(ok);
        bytes4 why = bytes4(answer);
        bool known = why == IInferenceVerifier.NotValidator.selector || why == IInferenceVerifier.BadSignature.selector;
        assertTrue(known, "refused for another reason");
    }

    // The record.

    function test_wrong_model() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.model = Model.wrap(keccak256("another model"));
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_output() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.outputHash = keccak256("another output");
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_input() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.inputHash = keccak256("another input");
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_caller() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.caller = address(this);
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_method() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.method = 0x87654321;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_gas() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.gas += 1;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_transaction() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.transactionIndex += 1;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_wrong_call() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.callIndex += 1;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_reverted_call_made_good() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.record.reverted = true;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    // The branch.

    function test_truncated_branch() public {
        InferenceReceipt memory receipt = cut(3);
        bytes32[] memory shorter = new bytes32[](2);
        (shorter[0], shorter[1]) = (receipt.branch[0], receipt.branch[1]);
        receipt.branch = shorter;
        refused(receipt, IInferenceVerifier.WrongBranch.selector);
    }

    function test_lengthened_branch() public {
        InferenceReceipt memory receipt = cut(3);
        bytes32[] memory longer = new bytes32[](4);
        for (uint256 i; i < 3; ++i) {
            longer[i] = receipt.branch[i];
        }
        receipt.branch = longer;
        refused(receipt, IInferenceVerifier.WrongBranch.selector);
    }

    function test_branch_of_an_inner_node() public {
        // The node above the record stands second of three: the tree of three has the same root, not the same count.
        InferenceReceipt memory receipt = cut(3);
        bytes32[] memory upper = new bytes32[](2);
        (upper[0], upper[1]) = (receipt.branch[1], receipt.branch[2]);
        (receipt.branch, receipt.index, receipt.count) = (upper, 1, 3);
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_another_place() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.index = 3;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_place_past_the_last_record() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.index = 5;
        refused(receipt, IInferenceVerifier.WrongBranch.selector);
    }

    function test_another_count() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.count = 6;
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_block_without_records() public {
        InferenceReceipt memory receipt = cut(3);
        (receipt.index, receipt.count, receipt.branch) = (0, 0, new bytes32[](0));
        refused(receipt, IInferenceVerifier.WrongBranch.selector);
    }

    // The requests.

    function test_requests_in_another_order() public {
        InferenceReceipt memory receipt = cut(3);
        (receipt.requestsBefore, receipt.requestsAfter) = (receipt.requestsAfter, receipt.requestsBefore);
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function test_request_left_out() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.requestsAfter = new bytes32[](0);
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    // The header.

    function test_changed_header_field() public {
        InferenceReceipt memory receipt = cut(3);
        bytes32 requests = sha256(bytes.concat(recordsDigest(), receipt.requestsAfter[0]));
        receipt.decision.header = headerOf(HEIGHT, TIME + 1, requests);
        refusedSigners(receipt);
    }

    function test_header_with_more_behind_it() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.decision.header = bytes.concat(receipt.decision.header, hex"00");
        refused(receipt, IInferenceVerifier.BadHeader.selector);
    }

    function test_truncated_header() public {
        bytes memory whole = cut(3).decision.header;
        InferenceReceipt memory receipt = cut(3);
        for (uint256 length; length < whole.length; length += 7) {
            bytes memory part = new bytes(length);
            for (uint256 i; i < length; ++i) {
                part[i] = whole[i];
            }
            // With a length that fits, so that the fields themselves run out.
            if (length > 3) (part[1], part[2]) = (bytes1(uint8((length - 3) >> 8)), bytes1(uint8(length - 3)));
            receipt.decision.header = part;
            refused(receipt, IInferenceVerifier.BadHeader.selector);
        }
    }

    function test_header_of_other_shapes() public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory good = receipt.decision.header;
        // In place of the difficulty: a list, a string longer than any, one that makes the next fields no numbers.
        for (uint256 i; i < 3; ++i) {
            bytes memory bad = bytes.concat(good);
            bad[448] = [bytes1(0xc0), bytes1(0xb8), bytes1(0xb7)][i];
            receipt.decision.header = bad;
            refused(receipt, IInferenceVerifier.BadHeader.selector);
        }
    }

    // The signatures.

    function test_other_chain() public {
        refusedSigners(signedAs(Tag("assay.precommit.v1", GENESIS, CHAIN_ID + 1), HEIGHT, 0));
    }

    function test_other_genesis() public {
        refusedSigners(signedAs(Tag("assay.precommit.v1", keccak256("other"), CHAIN_ID), HEIGHT, 0));
    }

    function test_prevotes_in_place_of_precommits() public {
        refusedSigners(signedAs(Tag("assay.prevote.v1", GENESIS, CHAIN_ID), HEIGHT, 0));
    }

    function test_other_height() public {
        refusedSigners(signedAs(tag(), HEIGHT + 1, 0));
    }

    function test_other_round() public {
        refusedSigners(signedAs(tag(), HEIGHT, 1));
    }

    function test_one_signature_short() public {
        InferenceReceipt memory receipt = cut(2);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.NoQuorum.selector, 200, 400));
        verifier.verify(receipt);
    }

    function test_two_thirds_and_no_more() public {
        start(3);
        InferenceReceipt memory receipt = cut(2);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.NoQuorum.selector, 200, 300));
        verifier.verify(receipt);
    }

    function test_no_signature() public {
        refused(cut(0), IInferenceVerifier.NoQuorum.selector);
    }

    function test_duplicate_signer() public {
        InferenceReceipt memory receipt = cut(2);
        bytes memory two = receipt.decision.signatures;
        bytes memory last = new bytes(65);
        for (uint256 i; i < 65; ++i) {
            last[i] = two[65 + i];
        }
        receipt.decision.signatures = bytes.concat(two, last);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.BadSignature.selector, 2));
        verifier.verify(receipt);
    }

    function test_signers_out_of_order() public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory all = receipt.decision.signatures;
        bytes memory turned = new bytes(all.length);
        for (uint256 i; i < all.length; ++i) {
            turned[i] = all[(2 - i / 65) * 65 + i % 65];
        }
        receipt.decision.signatures = turned;
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.BadSignature.selector, 1));
        verifier.verify(receipt);
    }

    function test_malleated_signature() public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory signatures = receipt.decision.signatures;
        bytes32 s;
        assembly {
            s := mload(add(signatures, 64))
        }
        bytes32 high = bytes32(ORDER - uint256(s));
        for (uint256 i; i < 32; ++i) {
            signatures[32 + i] = high[i];
        }
        signatures[64] = signatures[64] == 0x1b ? bytes1(0x1c) : bytes1(0x1b);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.BadSignature.selector, 0));
        verifier.verify(receipt);
    }

    function test_recovery_id_of_another_convention() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.decision.signatures[64] = bytes1(uint8(receipt.decision.signatures[64]) - 27);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.BadSignature.selector, 0));
        verifier.verify(receipt);
    }

    function test_signature_of_a_stranger() public {
        InferenceReceipt memory receipt = cut(2);
        bytes32 digest = keccak256(
            abi.encode(
                keccak256("assay.precommit.v1"),
                GENESIS,
                CHAIN_ID,
                HEIGHT,
                uint32(0),
                keccak256(receipt.decision.header)
            )
        );
        // The first stranger whose address is above the second signer's.
        uint256 key = 1;
        while (vm.addr(key) <= signers[1].addr || vm.addr(key) == signers[2].addr) ++key;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        receipt.decision.signatures = abi.encodePacked(receipt.decision.signatures, r, s, v);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.NotValidator.selector, vm.addr(key)));
        verifier.verify(receipt);
    }

    function test_signatures_cut_short() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.decision.signatures = bytes.concat(receipt.decision.signatures, hex"00");
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.BadSignatures.selector, 196));
        verifier.verify(receipt);
    }

    // The set.

    function test_set_that_was_replaced() public {
        InferenceReceipt memory receipt = cut(0);
        bytes32 requests = sha256(bytes.concat(recordsDigest(), receipt.requestsAfter[0]));
        // The old set hands over in block 50; then it signs block 51.
        bytes32 next = keccak256("next");
        bytes32[] memory before = new bytes32[](1);
        before[0] = recordsDigest();
        verifier.update(cut(3).decision, next, before, new bytes32[](0));
        receipt.decision = decidedUnder(tag(), HEIGHT + 1, 0, headerOf(HEIGHT + 1, TIME, requests), 4);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.WrongSet.selector, next, hashOf(set())));
        verifier.verify(receipt);
    }

    function test_set_of_the_forger() public {
        makeSigners("forger", 4);
        refused(cut(4), IInferenceVerifier.WrongSet.selector);
    }

    function test_more_power_than_a_validator_has() public {
        InferenceReceipt memory receipt = cut(2);
        receipt.decision.validators[0].power = 1000;
        refused(receipt, IInferenceVerifier.WrongSet.selector);
    }

    function test_validators_left_out() public {
        InferenceReceipt memory receipt = cut(2);
        Validator[] memory fewer = new Validator[](2);
        (fewer[0], fewer[1]) = (receipt.decision.validators[0], receipt.decision.validators[1]);
        receipt.decision.validators = fewer;
        refused(receipt, IInferenceVerifier.WrongSet.selector);
    }

    function test_too_many_validators() public {
        InferenceReceipt memory receipt = cut(3);
        receipt.decision.validators = new Validator[](101);
        refused(receipt, IInferenceVerifier.TooManyValidators.selector);
    }

    function test_height_before_the_trust_began() public {
        InferenceReceipt memory receipt = cut(0);
        receipt.decision = decidedUnder(tag(), 0, 0, headerOf(0, TIME, keccak256("requests")), 4);
        refused(receipt, IInferenceVerifier.UnknownHeight.selector);
    }

    // Whatever is changed.

    function testFuzz_no_bit_of_a_record_can_change(uint256 bit) public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory encoded = abi.encode(receipt.record);
        bit = bound(bit, 0, encoded.length * 8 - 1);
        encoded[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok, bytes memory answer) = address(this).call(abi.encodeCall(this.decode, (encoded)));
        // Bits that no value of the field has are refused by the decoder.
        if (!ok) return;
        receipt.record = abi.decode(answer, (InferenceRecord));
        refused(receipt, IInferenceVerifier.WrongRequests.selector);
    }

    function testFuzz_no_bit_of_a_header_can_change(uint256 bit) public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory encoded = receipt.decision.header;
        bit = bound(bit, 0, encoded.length * 8 - 1);
        encoded[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        receipt.decision.header = encoded;
        vm.expectRevert();
        verifier.verify(receipt);
    }

    function testFuzz_no_bit_of_a_signature_can_change(uint256 bit) public {
        InferenceReceipt memory receipt = cut(3);
        bytes memory encoded = receipt.decision.signatures;
        bit = bound(bit, 0, encoded.length * 8 - 1);
        encoded[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.expectRevert();
        verifier.verify(receipt);
    }

    function decode(bytes calldata encoded) external pure returns (InferenceRecord memory) {
        return abi.decode(encoded, (InferenceRecord));
    }
}
