// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {IModelRegistry, Summary} from "../../src/interfaces/IModelRegistry.sol";
import {Names} from "../../src/libraries/Names.sol";
import {Predeploys} from "./Predeploys.sol";

contract NameBookTest is Predeploys {
    address internal owner = makeAddr("owner");
    Model internal first;
    Model internal second;
    Model internal otherSchema;

    function setUp() public {
        startChain(four());
        Summary memory summary = summaryOf(makeAddr("publisher"));
        first = activate("first", summary);
        second = activate("second", summary);
        summary.schemaHash = keccak256("other");
        otherSchema = activate("third", summary);
        vm.deal(owner, 2 ether);
        vm.prank(owner);
        registry.claimNamespace{value: 1 ether}("acme");
    }

    function publish(Model model) internal returns (uint32) {
        vm.prank(owner);
        return registry.publish("acme/credit", model);
    }

    function check(string memory name, Model model, Model pending, uint64 at) internal view {
        (Model m, Model p, uint64 t) = registry.resolve(name);
        assertEq(Model.unwrap(m), Model.unwrap(model), name);
        assertEq(Model.unwrap(p), Model.unwrap(pending), name);
        assertEq(t, at, name);
    }

    Model internal constant NONE = Model.wrap(0);

    function test_a_new_name_points_at_once_and_a_move_waits() public {
        assertEq(publish(first), 1);
        check("acme/credit", first, NONE, 0);
        vm.expectEmit(address(registry));
        uint64 at = uint64(block.timestamp) + NAME_DELAY;
        emit IModelRegistry.NamePublished(keccak256("acme/credit"), Model.unwrap(second), 2, "acme/credit", at);
        assertEq(publish(second), 2);
        check("acme/credit", first, second, at);
        check("acme/credit@2", NONE, second, at);
        vm.warp(at - 1);
        check("acme/credit", first, second, at);
        vm.warp(at);
        check("acme/credit", second, NONE, 0);
        check("acme/credit@1", first, NONE, 0);
        check("acme/credit@2", second, NONE, 0);
        publish(first);
        check("acme/credit", second, first, at + NAME_DELAY);
    }

    function test_a_name_keeps_its_schema() public {
        publish(first);
        bytes32 expected = keccak256("schema");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.SchemaChanged.selector, expected, keccak256("other")));
        vm.prank(owner);
        registry.publish("acme/credit", otherSchema);
    }

    function test_one_move_at_a_time_and_it_can_be_called_off() public {
        publish(first);
        publish(second);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.MovePending.selector, "acme/credit"));
        vm.prank(owner);
        registry.publish("acme/credit", second);
        vm.prank(owner);
        registry.cancelPublish("acme/credit");
        vm.warp(block.timestamp + NAME_DELAY);
        check("acme/credit", first, NONE, 0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownName.selector, "acme/credit@2"));
        registry.resolve("acme/credit@2");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoMovePending.selector, "acme/credit"));
        vm.prank(owner);
        registry.cancelPublish("acme/credit");
        assertEq(publish(second), 3);
    }

    function test_a_move_that_took_effect_cannot_be_called_off() public {
        publish(first);
        publish(second);
        vm.warp(block.timestamp + NAME_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoMovePending.selector, "acme/credit"));
        vm.prank(owner);
        registry.cancelPublish("acme/credit");
    }

    function test_a_longer_delay_holds_at_once_and_a_shorter_one_waits() public {
        publish(first);
        vm.startPrank(owner);
        registry.setNameDelay("acme/credit", 7 days);
        (, uint32 delay) = registry.nameInfo("acme/credit");
        assertEq(delay, 7 days);
        registry.setNameDelay("acme/credit", 2 days);
        vm.warp(block.timestamp + 7 days - 1);
        (, delay) = registry.nameInfo("acme/credit");
        assertEq(delay, 7 days);
        registry.publish("acme/credit", second);
        check("acme/credit", first, second, uint64(block.timestamp) + 7 days);
        vm.warp(block.timestamp + 1);
        uint32 version;
        (version, delay) = registry.nameInfo("acme/credit");
        assertEq(delay, 2 days);
        assertEq(version, 2);
        registry.cancelPublish("acme/credit");
        registry.publish("acme/credit", second);
        check("acme/credit", first, second, uint64(block.timestamp) + 2 days);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.DelayTooShort.selector, NAME_DELAY, 5));
        registry.setNameDelay("acme/credit", 5);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownName.selector, "acme/other"));
        registry.setNameDelay("acme/other", 7 days);
    }

    function test_only_active_models_get_names() public {
        Summary memory summary = summaryOf(makeAddr("publisher"));
        vm.roll(EPOCH);
        Model pending = registerModel("pending", summary);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotActive.selector, pending));
        vm.prank(owner);
        registry.publish("acme/credit", pending);
        attestFirst(3, pending, summary);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotActive.selector, pending));
        vm.prank(owner);
        registry.publish("acme/credit", pending);
        vm.roll(block.number + ACTIVATION_DELAY);
        publish(pending);
    }

    function test_only_the_namespaces_owner_publishes() public {
        bytes memory refused = abi.encodeWithSelector(IModelRegistry.NotOwner.selector, owner, address(this));
        vm.expectRevert(refused);
        registry.publish("acme/credit", first);
        vm.expectRevert(refused);
        registry.cancelPublish("acme/credit");
        vm.expectRevert(refused);
        registry.setNameDelay("acme/credit", 7 days);
        vm.expectRevert(refused);
        registry.offerNamespace("acme", address(this));
    }

    function test_a_namespace_costs_its_deposit_and_is_held_once() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.WrongDeposit.selector, 1 ether, 1));
        registry.claimNamespace{value: 1}("beta");
        vm.deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NamespaceTaken.selector, "acme"));
        registry.claimNamespace{value: 1 ether}("acme");
    }

    function test_a_namespace_changes_hands_in_two_steps() public {
        address heir = makeAddr("heir");
        vm.prank(owner);
        registry.offerNamespace("acme", heir);
        (address holder, address pending) = registry.namespaceOwner("acme");
        assertEq(holder, owner);
        assertEq(pending, heir);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotPendingOwner.selector, heir, address(this)));
        registry.acceptNamespace("acme");
        vm.prank(heir);
        registry.acceptNamespace("acme");
        (holder, pending) = registry.namespaceOwner("acme");
        assertEq(holder, heir);
        assertEq(pending, address(0));
    }

    function test_unknown_names_revert() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownName.selector, "acme/none"));
        registry.resolve("acme/none");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownName.selector, "acme/none"));
        registry.nameInfo("acme/none");
        publish(first);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownName.selector, "acme/credit@9"));
        registry.resolve("acme/credit@9");
    }

    function bad(string memory name) internal {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, name));
        registry.resolve(name);
    }

    function test_names_have_one_spelling() public {
        string memory long = "0123456789012345678901234567890123456789012345678901234567890123456";
        bad("");
        bad("acme");
        bad("acme/");
        bad("/credit");
        bad("Acme/credit");
        bad("acme/cre dit");
        bad("acme/credit/x");
        bad("acme/credit@");
        bad("acme/credit@0");
        bad("acme/credit@01");
        bad("acme/credit@1x");
        bad("acme/credit@-1");
        bad("acme/credit@4294967296");
        bad("acme/credit@42949672950");
        bad(string.concat("acme/", long));
        bad(string.concat(long, "/credit"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, "acme/credit@1"));
        registry.nameInfo("acme/credit@1");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, ""));
        registry.claimNamespace{value: 1 ether}("");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, "a/b"));
        registry.claimNamespace{value: 1 ether}("a/b");
    }

    function parse(string calldata name) external pure returns (bytes32, uint32) {
        return Names.parseVersioned(name);
    }

    function testFuzz_a_version_reads_back(uint32 version) public view {
        vm.assume(version != 0);
        (bytes32 key, uint32 read) = this.parse(string.concat("a-b_c.d/x0@", vm.toString(version)));
        assertEq(key, keccak256("a-b_c.d/x0"));
        assertEq(read, version);
    }
}
