// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model, ModelStatus} from "../../src/interfaces/IInference.sol";
import {Entry, IModelRegistry, Limits, Summary} from "../../src/interfaces/IModelRegistry.sol";
import {IValidatorSet} from "../../src/interfaces/IValidatorSet.sol";
import {Predeploys} from "./Predeploys.sol";

contract ModelRegistryTest is Predeploys {
    address internal publisher = makeAddr("publisher");
    bytes internal constant MANIFEST = "{\"name\":\"credit\"}";
    Summary internal summary;
    Model internal id = Model.wrap(keccak256(MANIFEST));

    function setUp() public {
        startChain(four());
        summary = summaryOf(publisher);
    }

    function raw(Model model) internal pure returns (bytes32) {
        return Model.unwrap(model);
    }

    function status() internal view returns (ModelStatus) {
        return registry.entry(id).status;
    }

    function test_id_is_the_hash_of_the_manifest_and_the_deposit_is_kept() public {
        vm.expectEmit(address(registry));
        bytes32 key = keccak256(abi.encode(id, publisher, summary.size, summary.schemaHash));
        emit IModelRegistry.ModelRegistered(raw(id), publisher, key, 1000, summary.schemaHash, 7000, MANIFEST);
        assertEq(raw(registerModel(MANIFEST, summary)), raw(id));
        assertEq(address(registry).balance, 7000);
        assertEq(uint8(status()), uint8(ModelStatus.Pending));
        assertEq(registry.entry(id).owner, address(0));
    }

    function test_register_refuses_another_caller_than_the_publisher() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotPublisher.selector, publisher, address(this)));
        registry.register{value: 7000}(MANIFEST, summary);
    }

    function test_register_refuses_empty_bundles() public {
        vm.startPrank(publisher);
        vm.expectRevert(IModelRegistry.EmptyModel.selector);
        registry.register("", summary);
        summary.size = 0;
        vm.expectRevert(IModelRegistry.EmptyModel.selector);
        registry.register(MANIFEST, summary);
    }

    function testFuzz_register_takes_exactly_the_deposit(uint256 value) public {
        value = bound(value, 0, 20_000);
        vm.assume(value != 7000);
        vm.deal(publisher, value);
        vm.prank(publisher);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.WrongDeposit.selector, 7000, value));
        registry.register{value: value}(MANIFEST, summary);
    }

    function limit(bytes32 what, uint256 bound_, uint256 got) internal {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.LimitExceeded.selector, what, bound_, got));
    }

    function test_register_holds_the_limits_of_the_genesis() public {
        vm.startPrank(publisher);
        limit("manifestBytes", MAX_MANIFEST_BYTES, 4097);
        registry.register(new bytes(4097), summary);
        summary.size = MAX_MODEL_BYTES + 1;
        limit("modelBytes", MAX_MODEL_BYTES, summary.size);
        registry.register(MANIFEST, summary);
        vm.stopPrank();
        Limits memory limits = registry.limits();
        assertEq(limits.maxTotalBytes, MAX_TOTAL_BYTES);
        assertEq(limits.namespaceDeposit, NAMESPACE_DEPOSIT);
    }

    function test_register_counts_per_epoch() public {
        for (uint256 i; i < MAX_REGISTRATIONS; ++i) {
            registerModel(abi.encode(i), summary);
        }
        vm.deal(publisher, 7000);
        vm.prank(publisher);
        limit("registrations", MAX_REGISTRATIONS, MAX_REGISTRATIONS + 1);
        registry.register{value: 7000}("more", summary);
        vm.roll(EPOCH);
        registerModel("more", summary);
    }

    function test_active_bytes_are_bounded() public {
        summary.size = MAX_MODEL_BYTES;
        for (uint256 i; i < 3; ++i) {
            activate(abi.encode(i), summary);
        }
        assertEq(registry.totalBytes(), MAX_TOTAL_BYTES);
        summary.size = 1;
        vm.deal(publisher, 7);
        vm.prank(publisher);
        limit("totalBytes", MAX_TOTAL_BYTES, MAX_TOTAL_BYTES + 1);
        registry.register{value: 7}("one more", summary);
    }

    function test_attest_refuses_what_would_exceed_the_active_bytes() public {
        Summary memory big = summaryOf(publisher);
        big.size = MAX_MODEL_BYTES;
        Model late = registerModel("late", big);
        for (uint256 i; i < 3; ++i) {
            activate(abi.encode(i), big);
        }
        bytes[] memory signatures = signFirst(3, registry.attestationDigest(late, big));
        limit("totalBytes", MAX_TOTAL_BYTES, MAX_TOTAL_BYTES + MAX_MODEL_BYTES);
        registry.attest(late, big, signatures);
    }

    function test_register_refuses_a_repetition() public {
        registerModel(MANIFEST, summary);
        vm.deal(publisher, 7000);
        vm.startPrank(publisher);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.AlreadyRegistered.selector, raw(id)));
        registry.register{value: 7000}(MANIFEST, summary);
    }

    function test_a_copied_manifest_gains_nothing() public {
        address thief = makeAddr("thief");
        registerModel(MANIFEST, summaryOf(thief));
        registerModel(MANIFEST, summary);
        attestFirst(3, id, summary);
        assertEq(registry.entry(id).publisher, publisher);
        // No second activation, however many attest to the false summary later.
        attestFirst(4, id, summaryOf(thief));
        assertEq(registry.entry(id).publisher, publisher);
        assertEq(registry.activeCount(), 1);
        vm.deal(thief, 7000);
        Summary memory other = summaryOf(thief);
        other.schemaHash = 0;
        vm.prank(thief);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.AlreadyRegistered.selector, raw(id)));
        registry.register{value: 7000}(MANIFEST, other);
    }

    function test_active_needs_more_than_two_thirds_and_the_delay() public {
        registerModel(MANIFEST, summary);
        attestFirst(2, id, summary);
        assertEq(uint8(status()), uint8(ModelStatus.Pending));
        (uint64 power, uint64 total) = registry.attestedPower(id, summary);
        assertEq(power, 200);
        assertEq(total, 400);
        attestFirst(3, id, summary);
        assertEq(uint8(status()), uint8(ModelStatus.Scheduled));
        vm.roll(block.number + ACTIVATION_DELAY - 1);
        assertEq(uint8(status()), uint8(ModelStatus.Scheduled));
        vm.roll(block.number + 1);
        Entry memory entry = registry.entry(id);
        assertEq(uint8(entry.status), uint8(ModelStatus.Active));
        assertEq(entry.activationHeight, block.number);
        assertEq(entry.owner, publisher);
        assertEq(entry.size, 1000);
        assertEq(raw(registry.activeAt(0)), raw(id));
        // The precompile decides by the first word alone.
        uint256 word = uint256(vm.load(address(registry), keccak256(abi.encode(id, 4))));
        assertEq(uint8(word), 3);
        assertEq(uint64(word >> 16), block.number);
        assertEq(uint64(word >> 80), 1000);
    }

    function test_exactly_two_thirds_is_not_enough() public {
        uint64[] memory powers = new uint64[](3);
        (powers[0], powers[1], powers[2]) = (100, 100, 100);
        startChain(powers);
        registerModel(MANIFEST, summary);
        attestFirst(2, id, summary);
        assertEq(uint8(status()), uint8(ModelStatus.Pending));
    }

    function test_a_repeated_attestation_counts_once() public {
        registerModel(MANIFEST, summary);
        bytes32 digest = registry.attestationDigest(id, summary);
        bytes[] memory signatures = new bytes[](4);
        for (uint256 i; i < 4; ++i) {
            signatures[i] = sign(wallets[0], digest);
        }
        registry.attest(id, summary, signatures);
        registry.attest(id, summary, signatures);
        (uint64 power,) = registry.attestedPower(id, summary);
        assertEq(power, 100);
        assertTrue(registry.hasAttested(id, summary, wallets[0].addr));
        assertFalse(registry.hasAttested(id, summary, wallets[1].addr));
    }

    function test_attest_refuses_unregistered_and_malformed() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotRegistered.selector, raw(id)));
        registry.attest(id, summary, new bytes[](0));
        registerModel(MANIFEST, summary);
        bytes[] memory signatures = new bytes[](1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadSignature.selector, 0));
        registry.attest(id, summary, signatures);

        bytes32 digest = registry.attestationDigest(id, summary);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(wallets[0].privateKey, digest);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        signatures[0] = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadSignature.selector, 0));
        registry.attest(id, summary, signatures);
        signatures[0] = abi.encodePacked(r, s, v - 27);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadSignature.selector, 0));
        registry.attest(id, summary, signatures);
    }

    function test_an_attestation_holds_for_one_model_summary_and_chain() public {
        registerModel(MANIFEST, summary);
        Summary memory other = summaryOf(publisher);
        other.size = 999;
        bytes32 digest = registry.attestationDigest(id, summary);
        assertNotEq(digest, registry.attestationDigest(id, other));
        assertNotEq(digest, registry.attestationDigest(Model.wrap("x"), summary));
        assertNotEq(digest, registry.suspensionDigest(id, ""));
        assertNotEq(registry.suspensionDigest(id, ""), registry.reinstatementDigest(id, ""));
        vm.chainId(999);
        assertNotEq(digest, registry.attestationDigest(id, summary));
        attestFirst(1, id, summary);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = sign(wallets[1], digest); // signed for the other chain: recovers a stranger
        registry.attest(id, summary, signatures);
        (uint64 power,) = registry.attestedPower(id, summary);
        assertEq(power, 100);
    }

    function suspendIt(string memory reason) internal {
        bytes[] memory signatures = signFirst(3, registry.suspensionDigest(id, reason));
        registry.suspend(id, reason, signatures);
    }

    function test_a_quorum_suspends_and_reinstates_and_no_signature_serves_twice() public {
        activate(MANIFEST, summary);
        bytes[] memory suspension = signFirst(3, registry.suspensionDigest(id, "stalls nodes"));
        vm.expectRevert(IModelRegistry.EmptyReason.selector);
        registry.suspend(id, "", suspension);
        vm.expectEmit(address(registry));
        emit IModelRegistry.ModelSuspended(raw(id), "stalls nodes");
        registry.suspend(id, "stalls nodes", suspension);
        assertEq(uint8(status()), uint8(ModelStatus.Suspended));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotActive.selector, raw(id)));
        registry.suspend(id, "stalls nodes", suspension);

        bytes[] memory lift = signFirst(3, registry.reinstatementDigest(id, "fixed"));
        vm.expectRevert(IModelRegistry.EmptyReason.selector);
        registry.reinstate(id, "", lift);
        registry.reinstate(id, "fixed", lift);
        assertEq(uint8(status()), uint8(ModelStatus.Active));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotSuspended.selector, raw(id)));
        registry.reinstate(id, "fixed", lift);
        vm.expectRevert();
        registry.suspend(id, "stalls nodes", suspension);
    }

    function test_suspension_needs_more_than_two_thirds() public {
        activate(MANIFEST, summary);
        bytes[] memory signatures = signFirst(2, registry.suspensionDigest(id, "no"));
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NoQuorum.selector, 200, 400));
        registry.suspend(id, "no", signatures);
    }

    function test_only_the_owner_deprecates_and_the_model_stays_active() public {
        activate(MANIFEST, summary);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotOwner.selector, publisher, address(this)));
        registry.deprecate(id, true, "old");
        vm.prank(publisher);
        registry.deprecate(id, true, "old");
        assertTrue(registry.entry(id).deprecated);
        assertEq(uint8(status()), uint8(ModelStatus.Active));
    }

    function test_a_model_changes_hands_in_two_steps() public {
        activate(MANIFEST, summary);
        address heir = makeAddr("heir");
        vm.prank(publisher);
        registry.offerModel(id, heir);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotPendingOwner.selector, heir, address(this)));
        registry.acceptModel(id);
        assertEq(registry.entry(id).owner, publisher);
        vm.prank(heir);
        registry.acceptModel(id);
        assertEq(registry.entry(id).owner, heir);
        vm.prank(publisher);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotOwner.selector, heir, publisher));
        registry.deprecate(id, true, "");
    }

    function test_unknown_models_have_no_owner_and_no_status() public {
        assertEq(uint8(status()), uint8(ModelStatus.Unknown));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotOwner.selector, address(0), address(this)));
        registry.offerModel(id, address(this));
    }
}
