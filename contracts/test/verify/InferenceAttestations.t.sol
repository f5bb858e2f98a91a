// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {IInferenceVerifier, InferenceReceipt} from "../../src/interfaces/IInferenceVerifier.sol";
import {InferenceAttestations} from "../../src/verify/InferenceAttestations.sol";
import {SourceChain} from "./SourceChain.sol";

contract InferenceAttestationsTest is SourceChain {
    InferenceAttestations private adapter;
    uint256 private constant ID = uint256(Model.unwrap(MODEL));

    function setUp() public {
        start(4);
        adapter = new InferenceAttestations(verifier);
    }

    function test_a_receipt_is_a_proof() public {
        InferenceReceipt memory receipt = cut(3);
        bytes32 id = keccak256(abi.encode(keccak256(receipt.decision.header), receipt.index));
        vm.expectEmit(address(adapter));
        emit InferenceAttestations.InferenceVerified(ID, keccak256(INPUT), id, OUTPUT, address(this));
        assertTrue(adapter.verifyInference(ID, keccak256(INPUT), OUTPUT, abi.encode(receipt)));
    }

    function test_another_model_input_or_output_is_refused() public {
        bytes memory proof = abi.encode(cut(3));
        vm.expectPartialRevert(InferenceAttestations.WrongModel.selector);
        adapter.verifyInference(ID + 1, keccak256(INPUT), OUTPUT, proof);
        vm.expectPartialRevert(InferenceAttestations.WrongInput.selector);
        adapter.verifyInference(ID, keccak256("other"), OUTPUT, proof);
        vm.expectPartialRevert(InferenceAttestations.WrongOutput.selector);
        adapter.verifyInference(ID, keccak256(INPUT), "other", proof);
    }

    function test_the_verifiers_error_comes_through() public {
        bytes memory proof = abi.encode(cut(2));
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.NoQuorum.selector, 200, 400));
        adapter.verifyInference(ID, keccak256(INPUT), OUTPUT, proof);
    }

    function test_bytes_that_are_no_receipt_are_refused() public {
        bytes memory proof = abi.encode(cut(3));
        for (uint256 length; length < proof.length; length += 97) {
            bytes memory part = new bytes(length);
            for (uint256 i; i < length; ++i) {
                part[i] = proof[i];
            }
            vm.expectRevert();
            adapter.verifyInference(ID, keccak256(INPUT), OUTPUT, part);
        }
    }
}
