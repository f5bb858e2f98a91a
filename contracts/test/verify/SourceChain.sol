// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {Decision, InferenceReceipt, InferenceRecord, TrustedSet} from "../../src/interfaces/IInferenceVerifier.sol";
import {Validator} from "../../src/interfaces/IValidatorSet.sol";
import {InferenceVerifier} from "../../src/verify/InferenceVerifier.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Plays an Assay chain: makes headers, signs them, and cuts receipts.
abstract contract SourceChain is Test {
    struct Tag {
        string name;
        bytes32 genesisHash;
        uint64 chainId;
    }

    bytes32 internal constant GENESIS = keccak256("genesis of the source");
    uint64 internal constant CHAIN_ID = 7171;
    uint64 internal constant FROM = 1;
    uint64 internal constant START = 1_700_000_000;
    uint64 internal constant PERIOD = 14 days;
    uint64 internal constant HEIGHT = 50;
    uint64 internal constant TIME = START + 50;
    bytes internal constant INPUT = "input of the call";
    bytes internal constant OUTPUT = "output of the model";
    Model internal constant MODEL = Model.wrap(keccak256("model"));

    InferenceVerifier internal verifier;
    /// @dev Signers in ascending order of their addresses.
    Vm.Wallet[] internal signers;

    function tag() internal pure returns (Tag memory) {
        return Tag("assay.precommit.v1", GENESIS, CHAIN_ID);
    }

    /// @dev Makes so many validators of power 100 and a verifier that trusts them.
    function start(uint256 count) internal {
        vm.warp(START);
        makeSigners("validator", count);
        verifier = new InferenceVerifier(CHAIN_ID, GENESIS, TrustedSet(FROM, START, hashOf(set())), PERIOD);
        vm.warp(TIME);
    }

    function makeSigners(string memory name, uint256 count) internal {
        delete signers;
        for (uint256 i; i < count; ++i) {
            Vm.Wallet memory wallet = vm.createWallet(string.concat(name, vm.toString(i)));
            signers.push(wallet);
            uint256 at = i;
            while (at > 0 && signers[at - 1].addr > wallet.addr) {
                signers[at] = signers[at - 1];
                --at;
            }
            signers[at] = wallet;
        }
    }

    function set() internal view returns (Validator[] memory validators) {
        validators = new Validator[](signers.length);
        for (uint256 i; i < signers.length; ++i) {
            validators[i] = Validator(signers[i].addr, 100);
        }
    }

    function hashOf(Validator[] memory validators) internal pure returns (bytes32) {
        return keccak256(abi.encode(validators));
    }

    /// @dev The third of five records is the one receipts are about.
    function records() internal pure virtual returns (InferenceRecord[] memory all) {
        all = new InferenceRecord[](5);
        for (uint32 i; i < 5; ++i) {
            all[i] = InferenceRecord({
                transactionIndex: i / 2,
                callIndex: i % 2,
                caller: address(uint160(0xca11 + i)),
                model: MODEL,
                method: 0x12345678,
                inputHash: i == 2 ? keccak256(INPUT) : keccak256(abi.encode("input", i)),
                outputHash: i == 2 ? keccak256(OUTPUT) : keccak256(abi.encode("output", i)),
                gas: 2110 + i,
                reverted: false
            });
        }
    }

    function leaf(InferenceRecord memory r) internal pure returns (bytes32) {
        bytes memory head = abi.encodePacked(uint8(0), r.transactionIndex, r.callIndex, r.caller, r.model, r.method);
        return keccak256(bytes.concat(head, abi.encodePacked(r.inputHash, r.outputHash, r.gas, r.reverted)));
    }

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(bytes.concat(hex"01", left, right));
    }

    /// @dev Five leaves: ((0 1)(2 3)) 4, the fifth promoted twice.
    function tree() internal pure returns (bytes32 root, bytes32[] memory branch) {
        InferenceRecord[] memory all = records();
        bytes32 first = node(leaf(all[0]), leaf(all[1]));
        bytes32 second = node(leaf(all[2]), leaf(all[3]));
        root = node(node(first, second), leaf(all[4]));
        branch = new bytes32[](3);
        (branch[0], branch[1], branch[2]) = (leaf(all[3]), first, leaf(all[4]));
    }

    function recordsDigest() internal pure returns (bytes32) {
        (bytes32 root,) = tree();
        return sha256(bytes.concat(hex"a100000005", root));
    }

    function nextSetDigest(bytes32 setHash) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"a2", setHash));
    }

    function decided(bytes memory header, uint256 signatures) internal returns (Decision memory decision) {
        return decidedUnder(tag(), HEIGHT, 0, header, signatures);
    }

    function decidedUnder(Tag memory of_, uint64 height, uint32 round, bytes memory header, uint256 signatures)
        internal
        returns (Decision memory decision)
    {
        bytes32 digest = keccak256(
            abi.encode(keccak256(bytes(of_.name)), of_.genesisHash, of_.chainId, height, round, keccak256(header))
        );
        decision = Decision(header, round, "", set());
        for (uint256 i; i < signatures; ++i) {
            decision.signatures = bytes.concat(decision.signatures, signature(i, digest));
        }
    }

    function signature(uint256 signer, bytes32 digest) internal returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signers[signer], digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev A receipt of the third record, in a block that also names a next set, signed by so many.
    function cut(uint256 signatures) internal returns (InferenceReceipt memory receipt) {
        receipt.record = records()[2];
        (receipt.index, receipt.count) = (2, 5);
        (, receipt.branch) = tree();
        receipt.requestsBefore = new bytes32[](0);
        receipt.requestsAfter = new bytes32[](1);
        receipt.requestsAfter[0] = nextSetDigest(keccak256("next"));
        bytes32 requests = sha256(bytes.concat(recordsDigest(), receipt.requestsAfter[0]));
        receipt.decision = decided(headerOf(HEIGHT, TIME, requests), signatures);
    }

    /// @dev The header of an Osaka block with these fields; the others are of no interest.
    function headerOf(uint64 number, uint64 time, bytes32 requestsHash) internal pure returns (bytes memory) {
        bytes memory word = abi.encodePacked(bytes1(0xa0), keccak256("word"));
        bytes memory list = bytes.concat(
            word, word, abi.encodePacked(bytes1(0x94), address(0xbe)), word, word, word, hex"b90100", new bytes(256)
        );
        list = bytes.concat(list, hex"80", rlp(number), rlp(30_000_000), rlp(21_000), rlp(time), hex"80");
        list = bytes.concat(list, word, hex"880000000000000000", rlp(7), word, hex"80", hex"80", word);
        list = bytes.concat(list, bytes1(0xa0), requestsHash);
        return abi.encodePacked(bytes1(0xf9), uint16(list.length), list);
    }

    function rlp(uint64 value) internal pure returns (bytes memory) {
        if (value == 0) return hex"80";
        if (value < 0x80) return abi.encodePacked(uint8(value));
        bytes memory digits = abi.encodePacked(value);
        uint256 zeros;
        while (digits[zeros] == 0) ++zeros;
        bytes memory content = new bytes(8 - zeros);
        for (uint256 i; i < content.length; ++i) {
            content[i] = digits[zeros + i];
        }
        return abi.encodePacked(uint8(0x80 + content.length), content);
    }
}
