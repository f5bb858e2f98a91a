// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {Summary} from "../../src/interfaces/IModelRegistry.sol";
import {Change, IValidatorSet, Validator} from "../../src/interfaces/IValidatorSet.sol";
import {ValidatorSet} from "../../src/system/ValidatorSet.sol";
import {Predeploys} from "./Predeploys.sol";
import {Vm} from "forge-std/Vm.sol";

contract ValidatorSetTest is Predeploys {
    Vm.Wallet internal candidate;

    function setUp() public {
        startChain(four());
        candidate = vm.createWallet("candidate");
    }

    function join(Vm.Wallet memory wallet, uint64 value) internal pure returns (Change memory) {
        return Change(wallet.addr, value, bytes32(wallet.publicKeyX), bytes32(wallet.publicKeyY));
    }

    function one(Change memory c) internal pure returns (Change[] memory changes) {
        changes = new Change[](1);
        changes[0] = c;
    }

    function power(address account, uint64 value) internal pure returns (Change[] memory) {
        return one(Change(account, value, 0, 0));
    }

    function byAdmin(Change[] memory changes) internal {
        vm.prank(admin);
        set.changeByAdmin(changes);
    }

    function test_genesis_storage_is_the_set() public view {
        Validator[] memory validators = set.validators();
        assertEq(validators.length, 4);
        for (uint256 i; i < 4; ++i) {
            assertEq(validators[i].account, wallets[i].addr);
            assertEq(set.powerOf(wallets[i].addr), 100);
            (bytes32 x, bytes32 y) = set.publicKey(wallets[i].addr);
            assertEq(uint256(x), wallets[i].publicKeyX);
            assertEq(uint256(y), wallets[i].publicKeyY);
        }
        assertEq(set.powerOf(address(0)), 0);
        assertEq(set.epochLength(), EPOCH);
        assertEq(set.genesisHash(), GENESIS_HASH);
    }

    function test_a_change_takes_effect_at_the_next_epoch() public {
        vm.expectEmit(address(set));
        emit IValidatorSet.ValidatorChanged(wallets[0].addr, 150, EPOCH);
        byAdmin(power(wallets[0].addr, 150));
        assertEq(set.powerOf(wallets[0].addr), 100);
        assertEq(set.validatorsAt(EPOCH - 1)[0].power, 100);
        assertEq(set.validatorsAt(EPOCH)[0].power, 150);
        vm.roll(EPOCH);
        assertEq(set.powerOf(wallets[0].addr), 150);
        (, uint64 total, uint64 version) = set.powersOf(new address[](0));
        assertEq(total, 450);
        assertEq(version, 2);
    }

    function test_the_announced_hash_is_the_abi_encoding_of_the_set() public {
        Validator[] memory next = set.validators();
        next[1].power = 101;
        vm.expectEmit(address(set));
        emit IValidatorSet.SetScheduled(2, EPOCH, keccak256(abi.encode(next)), 401);
        byAdmin(power(wallets[1].addr, 101));
    }

    function test_changes_of_one_epoch_add_up_and_stay_under_a_third() public {
        byAdmin(power(wallets[0].addr, 150));
        byAdmin(power(wallets[1].addr, 150));
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.TooMuchChange.selector, 134, 400));
        byAdmin(power(wallets[2].addr, 66));
        // Undoing counts as moving.
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.TooMuchChange.selector, 150, 400));
        byAdmin(power(wallets[0].addr, 100));
        byAdmin(power(wallets[2].addr, 67));
        vm.roll(EPOCH);
        byAdmin(power(wallets[3].addr, 0));
        vm.roll(2 * EPOCH);
        assertEq(set.validators().length, 3);
    }

    function test_a_quorum_changes_the_set_once_per_signature() public {
        Change[] memory changes = one(join(candidate, 120));
        bytes32 digest = set.changeDigest(changes);
        bytes[] memory two = signFirst(2, digest);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NoQuorum.selector, 200, 400));
        set.change(changes, two);
        bytes[] memory three = signFirst(3, digest);
        set.change(changes, three);
        assertEq(set.nonce(), 1);
        vm.expectRevert();
        set.change(changes, three);
        vm.roll(EPOCH);
        assertEq(set.powerOf(candidate.addr), 120);
        assertEq(set.validators().length, 5);
        address last;
        for (uint256 i; i < 5; ++i) {
            assertTrue(set.validators()[i].account > last);
            last = set.validators()[i].account;
        }
    }

    function test_signers_are_validators_in_ascending_order() public {
        Change[] memory changes = power(wallets[0].addr, 101);
        bytes32 digest = set.changeDigest(changes);
        bytes[] memory signatures = signFirst(3, digest);
        signatures[1] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadSignature.selector, 1));
        set.change(changes, signatures);
        signatures = signFirst(3, digest);
        signatures[0] = "";
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadSignature.selector, 0));
        set.change(changes, signatures);
        bytes[] memory strange = new bytes[](1);
        strange[0] = sign(candidate, digest);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotValidator.selector, candidate.addr));
        set.requireQuorum(digest, strange);
        set.requireQuorum(digest, signFirst(3, digest));
    }

    function test_only_the_admin_changes_alone() public {
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotAdmin.selector, address(this)));
        set.changeByAdmin(power(wallets[0].addr, 101));
    }

    function test_the_admin_hands_over_in_two_steps_or_gives_up() public {
        vm.prank(admin);
        set.offerAdmin(candidate.addr);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotPendingAdmin.selector, address(this)));
        set.acceptAdmin();
        assertEq(set.admin(), admin);
        vm.prank(candidate.addr);
        set.acceptAdmin();
        assertEq(set.admin(), candidate.addr);
        vm.prank(candidate.addr);
        set.renounceAdmin();
        assertEq(set.admin(), address(0));
        vm.prank(candidate.addr);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotAdmin.selector, candidate.addr));
        set.changeByAdmin(power(wallets[0].addr, 101));
    }

    function test_a_public_key_belongs_to_its_address() public {
        Change memory c = join(candidate, 10);
        c.y = bytes32(uint256(c.y) + 1);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadPublicKey.selector, candidate.addr));
        byAdmin(one(c));
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadPublicKey.selector, candidate.addr));
        byAdmin(power(candidate.addr, 10));
        byAdmin(one(join(candidate, 10)));
        byAdmin(power(candidate.addr, 0));
        // Known now: the key need not be given again, but must not be another.
        byAdmin(power(candidate.addr, 10));
        byAdmin(power(candidate.addr, 0));
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadPublicKey.selector, candidate.addr));
        byAdmin(one(c));
        byAdmin(one(join(candidate, 10)));
    }

    function test_changes_name_each_validator_once_and_only_known_ones_leave() public {
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadChange.selector, candidate.addr));
        byAdmin(power(candidate.addr, 0));
        Change[] memory changes = new Change[](2);
        changes[0] = Change(wallets[0].addr, 101, 0, 0);
        changes[1] = Change(wallets[0].addr, 102, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadChange.selector, wallets[0].addr));
        byAdmin(changes);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.BadChange.selector, address(0)));
        byAdmin(power(address(0), 1));
    }

    function test_a_candidate_joins_only_after_attesting_to_every_active_model() public {
        Summary memory summary = summaryOf(makeAddr("publisher"));
        Model first = activate("first", summary);
        Model second = activate("second", summary);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotReady.selector, candidate.addr, 0, 2));
        byAdmin(one(join(candidate, 10)));
        attestAs(second, summary);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotReady.selector, candidate.addr, 0, 2));
        byAdmin(one(join(candidate, 10)));
        attestAs(first, summary);
        (uint256 attested, uint256 active) = registry.countAttested(candidate.addr, 1);
        assertEq(attested, 1);
        assertEq(active, 2);
        byAdmin(one(join(candidate, 10)));
        vm.roll(EPOCH);
        assertEq(set.powerOf(candidate.addr), 10);
    }

    function test_a_candidate_attests_to_the_models_of_the_genesis() public {
        Summary memory summary = summaryOf(makeAddr("publisher"));
        Model model = storeModel("model", summary);
        (uint64 attested, uint64 total) = registry.attestedPower(model, summary);
        assertEq(attested, total);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.NotReady.selector, candidate.addr, 0, 1));
        byAdmin(one(join(candidate, 10)));
        attestAs(model, summary);
        byAdmin(one(join(candidate, 10)));
        vm.roll(EPOCH);
        assertEq(set.powerOf(candidate.addr), 10);
    }

    function attestAs(Model model, Summary memory summary) internal {
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = sign(candidate, registry.attestationDigest(model, summary));
        registry.attest(model, summary, signatures);
    }

    function test_attested_power_is_counted_in_the_set_in_force() public {
        Summary memory summary = summaryOf(makeAddr("publisher"));
        Model model = registerModel("model", summary);
        attestFirst(2, model, summary);
        byAdmin(power(wallets[0].addr, 232));
        vm.roll(EPOCH);
        (uint64 attested, uint64 total) = registry.attestedPower(model, summary);
        assertEq(attested, 332);
        assertEq(total, 532);
        vm.roll(2 * EPOCH - 1);
        byAdmin(power(wallets[2].addr, 0));
        vm.roll(2 * EPOCH);
        // 332 of 432: the switch alone makes a quorum, and anybody may say so.
        registry.attest(model, summary, new bytes[](0));
        assertEq(registry.activeCount(), 1);
    }

    function test_the_set_is_never_empty() public {
        uint64[] memory powers = new uint64[](1);
        powers[0] = 1;
        startChain(powers);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.TooMuchChange.selector, 1, 1));
        byAdmin(power(wallets[0].addr, 0));
    }

    function test_the_set_holds_at_most_a_hundred() public {
        byAdmin(power(wallets[0].addr, 101));
        vm.roll(EPOCH);
        Change[] memory changes = new Change[](97);
        for (uint256 i; i < 97; ++i) {
            changes[i] = join(vm.createWallet(string.concat("new", vm.toString(i))), 1);
        }
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.TooManyValidators.selector, 100, 101));
        byAdmin(changes);
    }

    function test_total_power_is_bounded() public {
        uint64[] memory powers = new uint64[](1);
        powers[0] = 1 << 60;
        startChain(powers);
        vm.expectRevert(abi.encodeWithSelector(IValidatorSet.TooMuchPower.selector, 1 << 60, (1 << 60) + 1));
        byAdmin(power(wallets[0].addr, (1 << 60) + 1));
    }

    function test_an_unsealed_genesis_is_read_while_it_can_be() public {
        store(address(set), 3, 0);
        vm.roll(200);
        vm.setBlockhash(0, GENESIS_HASH);
        assertEq(set.genesisHash(), GENESIS_HASH);
        vm.roll(300);
        address history = 0x0000F90827F1C53a10cb7A02335B175320002935;
        vm.mockCallRevert(history, abi.encode(uint256(0)), "");
        vm.expectRevert(IValidatorSet.GenesisNotSealed.selector);
        set.genesisHash();
        vm.mockCall(history, abi.encode(uint256(0)), abi.encode(GENESIS_HASH));
        vm.expectEmit(address(set));
        emit IValidatorSet.GenesisSealed(GENESIS_HASH);
        set.sealGenesis();
        vm.mockCall(history, abi.encode(uint256(0)), abi.encode(bytes32("another")));
        set.sealGenesis();
        assertEq(set.genesisHash(), GENESIS_HASH);
    }
}

/// @notice Random changes keep the rules of the set.
contract ValidatorSetInvariants is Predeploys {
    SetHandler internal handler;

    function setUp() public {
        startChain(four());
        handler = new SetHandler(set, admin);
        targetContract(address(handler));
    }

    function invariant_sets_are_sorted_bounded_and_add_up() public view {
        check(uint64(block.number));
        check(uint64(block.number) + EPOCH);
    }

    function check(uint64 height) internal view {
        Validator[] memory validators = set.validatorsAt(height);
        assertGt(validators.length, 0);
        assertLe(validators.length, 100);
        uint64 sum;
        address last;
        for (uint256 i; i < validators.length; ++i) {
            assertTrue(validators[i].account > last);
            assertGt(validators[i].power, 0);
            last = validators[i].account;
            sum += validators[i].power;
            if (height == block.number) assertEq(set.powerOf(last), validators[i].power);
        }
        (, uint64 total,) = set.powersOf(new address[](0));
        if (height == block.number) assertEq(total, sum);
    }

    function invariant_one_epoch_moves_less_than_a_third() public view {
        assertLt(handler.greatestMove() * 3, handler.totalAtThatTime());
    }
}

/// @notice Makes random changes as the admin and moves time.
contract SetHandler is Predeploys {
    uint256 public greatestMove;
    uint256 public totalAtThatTime = 4;
    ValidatorSet internal immutable target;
    Vm.Wallet[8] internal pool;

    constructor(ValidatorSet target_, address admin_) {
        target = target_;
        admin = admin_;
        for (uint256 i; i < 8; ++i) {
            pool[i] = vm.createWallet(string.concat("validator", vm.toString(i)));
        }
    }

    function change(uint256 who, uint64 to) external {
        Vm.Wallet memory wallet = pool[who % 8];
        Change[] memory changes = new Change[](1);
        changes[0] = Change(wallet.addr, to % 200, bytes32(wallet.publicKeyX), bytes32(wallet.publicKeyY));
        vm.prank(admin);
        try target.changeByAdmin(changes) {
            uint256 moved = distance(target.validators(), target.validatorsAt(uint64(block.number) + EPOCH));
            (, uint64 total,) = target.powersOf(new address[](0));
            if (moved * totalAtThatTime > greatestMove * total) (greatestMove, totalAtThatTime) = (moved, total);
        } catch {}
    }

    function pass(uint8 blocks) external {
        vm.roll(block.number + blocks);
    }

    function distance(Validator[] memory a, Validator[] memory b) internal pure returns (uint256 sum) {
        for (uint256 i; i < a.length; ++i) {
            uint64 other = find(b, a[i].account);
            sum += a[i].power > other ? a[i].power - other : other - a[i].power;
        }
        for (uint256 i; i < b.length; ++i) {
            if (find(a, b[i].account) == 0) sum += b[i].power;
        }
    }

    function find(Validator[] memory list, address account) internal pure returns (uint64) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i].account == account) return list[i].power;
        }
        return 0;
    }
}
