// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {InferenceReceipt} from "../../src/interfaces/IInferenceVerifier.sol";
import {SourceChain} from "../verify/SourceChain.sol";

/// @notice What a transaction pays that verifies a receipt and does nothing else.
contract ReceiptGasTest is SourceChain {
    uint256 private constant TRANSACTION = 21_000;
    uint256 private constant FIXED = 60_000;
    uint256 private constant PER_SIGNER = 10_000;

    function test_4_validators() public {
        measure(4);
    }

    function test_20_validators() public {
        measure(20);
    }

    function test_100_validators() public {
        measure(100);
    }

    function measure(uint256 validators) private {
        start(validators);
        uint256 quorum = validators * 2 / 3 + 1;
        spend(validators, quorum, "quorum");
        spend(validators, validators, "all signed");
    }

    function spend(uint256 validators, uint256 signatures, string memory what) private {
        InferenceReceipt memory receipt = cut(signatures);
        bytes memory call = abi.encodeCall(verifier.verify, (receipt));
        vm.cool(address(verifier));
        uint256 before = gasleft();
        (bool ok,) = address(verifier).call(call);
        uint256 execution = before - gasleft();
        assertTrue(ok);
        uint256 total = TRANSACTION + calldataGas(call) + execution;
        vm.snapshotValue("receipts", string.concat(vm.toString(validators), " validators, ", what), total);
        assertLe(total, FIXED + PER_SIGNER * signatures);
    }

    function calldataGas(bytes memory call) private pure returns (uint256 gas) {
        for (uint256 i; i < call.length; ++i) {
            gas += call[i] == 0 ? 4 : 16;
        }
    }
}
