// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {IInferenceVerifier, InferenceReceipt, Place} from "../../src/interfaces/IInferenceVerifier.sol";
import {SourceChain} from "./SourceChain.sol";

/// @notice Keeps tests/vectors/receipts, which the node's tests read: made here, by Solidity's encoder and forge's signer.
/// @dev A change writes cache/receipts.json and fails; copy it over the vectors once it is meant.
contract VectorsTest is SourceChain {
    string private constant COMMITTED = "../tests/vectors/receipts/vectors.json";
    string private constant MADE = "cache/receipts.json";

    string private refusals;

    function test_the_vectors_are_what_the_verifier_says() public {
        start(4);
        InferenceReceipt memory good = cut(3);
        (, Place memory place) = verifier.verify(good);
        forgeRecords();
        forgeBranches();
        forgeBlocks();
        forgeSigners();
        string memory made = string.concat(
            "{\n",
            field("chainId", vm.toString(CHAIN_ID)),
            field("genesisHash", quoted(vm.toString(GENESIS))),
            field("setHash", quoted(vm.toString(hashOf(set())))),
            field("height", vm.toString(HEIGHT)),
            field("time", vm.toString(TIME))
        );
        made = string.concat(made, field("id", quoted(vm.toString(place.id))));
        made = string.concat(made, field("good", quoted(vm.toString(abi.encode(good)))));
        made = string.concat(made, " \"refused\": [\n", refusals, " ]\n}\n");
        string memory committed = vm.exists(COMMITTED) ? vm.readFile(COMMITTED) : "";
        if (keccak256(bytes(made)) != keccak256(bytes(committed))) {
            vm.writeFile(MADE, made);
            revert("the vectors changed: see contracts/cache/receipts.json");
        }
    }

    function forgeRecords() private {
        InferenceReceipt memory forged = cut(3);
        forged.record.model = Model.wrap(keccak256("another model"));
        refuse("wrong model", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.record.inputHash = keccak256("another input");
        refuse("wrong input", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.record.outputHash = keccak256("another output");
        refuse("wrong output", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.record.caller = address(0xbad);
        refuse("wrong caller", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.record.gas = 1;
        refuse("wrong gas", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.record.reverted = true;
        refuse("reverted", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
    }

    function forgeBranches() private {
        InferenceReceipt memory forged = cut(3);
        bytes32[] memory branch = forged.branch;
        forged.branch = new bytes32[](2);
        (forged.branch[0], forged.branch[1]) = (branch[0], branch[1]);
        refuse("truncated branch", forged, IInferenceVerifier.WrongBranch.selector, "WrongBranch");
        forged.branch = new bytes32[](4);
        refuse("lengthened branch", forged, IInferenceVerifier.WrongBranch.selector, "WrongBranch");
        forged = cut(3);
        (forged.branch, forged.index, forged.count) = (new bytes32[](2), 1, 3);
        (forged.branch[0], forged.branch[1]) = (branch[1], branch[2]);
        refuse("branch of an inner node", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.index = 3;
        refuse("another place", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged.index = 5;
        refuse("place past the last", forged, IInferenceVerifier.WrongBranch.selector, "WrongBranch");
        forged = cut(3);
        forged.count = 6;
        refuse("another count", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        forged.requestsAfter = new bytes32[](0);
        refuse("request left out", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
        forged = cut(3);
        (forged.requestsBefore, forged.requestsAfter) = (forged.requestsAfter, forged.requestsBefore);
        refuse("requests turned round", forged, IInferenceVerifier.WrongRequests.selector, "WrongRequests");
    }

    function forgeBlocks() private {
        InferenceReceipt memory forged = cut(3);
        forged.decision.header = bytes.concat(forged.decision.header, hex"00");
        refuse("header with more behind it", forged, IInferenceVerifier.BadHeader.selector, "BadHeader");
        forged = cut(3);
        forged.decision.validators[0].power = 1000;
        refuse("more power", forged, IInferenceVerifier.WrongSet.selector, "WrongSet");
        makeSigners("forger", 4);
        forged = cut(4);
        makeSigners("validator", 4);
        refuse("set of the forger", forged, IInferenceVerifier.WrongSet.selector, "WrongSet");
    }

    function forgeSigners() private {
        refuse("one signature short", cut(2), IInferenceVerifier.NoQuorum.selector, "NoQuorum");
        refuse("no signature", cut(0), IInferenceVerifier.NoQuorum.selector, "NoQuorum");
        InferenceReceipt memory forged = cut(2);
        bytes memory two = forged.decision.signatures;
        bytes memory second = new bytes(65);
        for (uint256 i; i < 65; ++i) {
            second[i] = two[65 + i];
        }
        forged.decision.signatures = bytes.concat(two, second);
        refuse("duplicate signer", forged, IInferenceVerifier.BadSignature.selector, "BadSignature");
        forged = cut(3);
        forged.decision.signatures[64] = bytes1(uint8(forged.decision.signatures[64]) - 27);
        refuse("another recovery id", forged, IInferenceVerifier.BadSignature.selector, "BadSignature");
        // One signer each: whoever another digest recovers, is no validator.
        forged = cut(0);
        forged.decision.signatures =
        decidedUnder(Tag("assay.precommit.v1", GENESIS, CHAIN_ID + 1), HEIGHT, 0, forged.decision.header, 1).signatures;
        refuse("other chain", forged, IInferenceVerifier.NotValidator.selector, "NotValidator");
        forged.decision.signatures =
        decidedUnder(Tag("assay.prevote.v1", GENESIS, CHAIN_ID), HEIGHT, 0, forged.decision.header, 1).signatures;
        refuse("prevote", forged, IInferenceVerifier.NotValidator.selector, "NotValidator");
        forged.decision.signatures = decidedUnder(tag(), HEIGHT, 1, forged.decision.header, 1).signatures;
        refuse("other round", forged, IInferenceVerifier.NotValidator.selector, "NotValidator");
    }

    /// @dev Requires that the verifier refuses a forgery so, and notes it.
    function refuse(string memory name, InferenceReceipt memory forged, bytes4 why, string memory error) private {
        (bool ok, bytes memory answer) = address(verifier).staticcall(abi.encodeCall(verifier.verify, (forged)));
        assertFalse(ok, name);
        assertEq(bytes4(answer), why, name);
        string memory line = string.concat("  {\"name\": ", quoted(name), ", \"error\": ", quoted(error));
        line = string.concat(line, ", \"receipt\": ", quoted(vm.toString(abi.encode(forged))), "}");
        refusals = string.concat(refusals, bytes(refusals).length == 0 ? "" : ",\n", line);
    }

    function field(string memory name, string memory value) private pure returns (string memory) {
        return string.concat(" ", quoted(name), ": ", value, ",\n");
    }

    function quoted(string memory text) private pure returns (string memory) {
        return string.concat("\"", text, "\"");
    }
}
