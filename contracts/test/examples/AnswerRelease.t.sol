// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {AnswerRelease, Condition} from "../../src/examples/release/AnswerRelease.sol";
import {IInference, Model} from "../../src/interfaces/IInference.sol";
import {IInferenceVerifier, InferenceReceipt, InferenceRecord} from "../../src/interfaces/IInferenceVerifier.sol";
import {SourceChain} from "../verify/SourceChain.sol";

contract AnswerReleaseTest is SourceChain {
    address private constant ASKER = address(0xa5ce);
    int256 private constant ANSWER = 42e16;
    address private beneficiary = makeAddr("beneficiary");
    AnswerRelease private escrow;
    Condition private wanted;

    function setUp() public {
        start(4);
        wanted = Condition({model: MODEL, asker: ASKER, since: TIME, atLeast: ANSWER});
        open();
    }

    function open() private {
        escrow = new AnswerRelease{value: 3 ether}(verifier, beneficiary, wanted);
    }

    function input() private pure returns (bytes memory) {
        return abi.encodeCall(IInference.predict, (MODEL, new int256[](2)));
    }

    function output() private pure returns (bytes memory) {
        int256[] memory values = new int256[](1);
        values[0] = ANSWER;
        return abi.encode(values);
    }

    /// @dev The third record is a call of the asker's; the fourth the same, but undone; the fifth of another method.
    function records() internal pure override returns (InferenceRecord[] memory all) {
        all = super.records();
        for (uint256 i = 2; i < 5; ++i) {
            (all[i].caller, all[i].method) = (ASKER, IInference.predict.selector);
            (all[i].inputHash, all[i].outputHash) = (keccak256(input()), keccak256(output()));
        }
        all[3].reverted = true;
        all[4].method = IInference.predictBatch.selector;
    }

    function release(InferenceReceipt memory receipt) private {
        escrow.release(receipt, input(), output());
    }

    /// @dev The receipt of the fourth record: the third is its sibling.
    function undone() private returns (InferenceReceipt memory receipt) {
        receipt = cut(3);
        (receipt.record, receipt.index) = (records()[3], 3);
        receipt.branch[0] = leaf(records()[2]);
    }

    /// @dev The receipt of the fifth record, which is promoted twice.
    function batched() private returns (InferenceReceipt memory receipt) {
        receipt = cut(3);
        bytes32[] memory branch = new bytes32[](1);
        branch[0] = node(receipt.branch[1], node(leaf(records()[2]), leaf(records()[3])));
        (receipt.record, receipt.index, receipt.branch) = (records()[4], 4, branch);
    }

    function test_a_receipt_releases_the_funds_once() public {
        InferenceReceipt memory receipt = cut(3);
        bytes32 id = keccak256(abi.encode(keccak256(receipt.decision.header), receipt.index));
        vm.expectEmit(address(escrow));
        emit AnswerRelease.Released(id, ANSWER, 3 ether);
        release(receipt);
        assertEq(beneficiary.balance, 3 ether);
        assertTrue(escrow.released());
        assertEq(abi.encode(escrow.condition()), abi.encode(wanted));
        vm.expectRevert(AnswerRelease.AlreadyReleased.selector);
        release(receipt);
    }

    function test_another_model_is_refused() public {
        wanted.model = Model.wrap(keccak256("another model"));
        open();
        InferenceReceipt memory receipt = cut(3);
        vm.expectRevert(abi.encodeWithSelector(AnswerRelease.WrongModel.selector, wanted.model, MODEL));
        release(receipt);
    }

    function test_another_asker_is_refused() public {
        wanted.asker = address(0xbad);
        open();
        InferenceReceipt memory receipt = cut(3);
        vm.expectRevert(abi.encodeWithSelector(AnswerRelease.WrongAsker.selector, wanted.asker, ASKER));
        release(receipt);
    }

    function test_another_method_is_refused() public {
        InferenceReceipt memory receipt = batched();
        bytes4 method = IInference.predictBatch.selector;
        vm.expectRevert(abi.encodeWithSelector(AnswerRelease.WrongMethod.selector, method));
        release(receipt);
    }

    function test_an_older_answer_is_refused() public {
        wanted.since = TIME + 1;
        open();
        InferenceReceipt memory receipt = cut(3);
        vm.expectRevert(abi.encodeWithSelector(AnswerRelease.TooOld.selector, TIME + 1, TIME));
        release(receipt);
    }

    function test_a_call_that_was_undone_is_refused() public {
        InferenceReceipt memory receipt = undone();
        vm.expectRevert(AnswerRelease.CallReverted.selector);
        release(receipt);
    }

    function test_a_smaller_answer_is_refused() public {
        wanted.atLeast = ANSWER + 1;
        open();
        InferenceReceipt memory receipt = cut(3);
        vm.expectRevert(abi.encodeWithSelector(AnswerRelease.TooSmall.selector, ANSWER + 1, ANSWER));
        release(receipt);
    }

    function test_a_forged_receipt_and_other_bytes_are_refused() public {
        InferenceReceipt memory receipt = cut(3);
        vm.expectPartialRevert(IInferenceVerifier.WrongOutput.selector);
        escrow.release(receipt, input(), "other");
        vm.expectPartialRevert(IInferenceVerifier.WrongInput.selector);
        escrow.release(receipt, "other", output());
        receipt = cut(2);
        vm.expectPartialRevert(IInferenceVerifier.NoQuorum.selector);
        release(receipt);
    }

    function test_a_beneficiary_that_refuses_keeps_the_funds_waiting() public {
        InferenceReceipt memory receipt = cut(3);
        vm.etch(beneficiary, hex"fe");
        vm.expectRevert(AnswerRelease.NotTaken.selector);
        release(receipt);
        assertFalse(escrow.released());
        assertEq(address(escrow).balance, 3 ether);
    }
}
