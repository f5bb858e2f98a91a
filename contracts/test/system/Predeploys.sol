// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {Model} from "../../src/interfaces/IInference.sol";
import {Summary} from "../../src/interfaces/IModelRegistry.sol";
import {ModelRegistry} from "../../src/system/ModelRegistry.sol";
import {ValidatorSet} from "../../src/system/ValidatorSet.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Starts the predeploys as a genesis does: code by etch, storage word by word as STORAGE.md says.
abstract contract Predeploys is Test {
    bytes32 internal constant GENESIS_HASH = keccak256("genesis");
    uint64 internal constant EPOCH = 100;
    uint64 internal constant ACTIVATION_DELAY = 5;
    uint32 internal constant NAME_DELAY = 1 days;
    uint64 internal constant MAX_MODEL_BYTES = 1 << 20;
    uint64 internal constant MAX_TOTAL_BYTES = 3 << 20;
    uint32 internal constant MAX_MANIFEST_BYTES = 4096;
    uint32 internal constant MAX_REGISTRATIONS = 4;
    uint96 internal constant DEPOSIT_PER_BYTE = 7;
    uint96 internal constant NAMESPACE_DEPOSIT = 1 ether;

    ModelRegistry internal registry = ModelRegistry(address(0x0a12));
    ValidatorSet internal set = ValidatorSet(address(0x0a13));
    address internal admin = makeAddr("admin");

    /// @dev Genesis validators, sorted by address.
    Vm.Wallet[] internal wallets;

    function startChain(uint64[] memory powers) internal {
        delete wallets;
        uint64 total;
        for (uint256 i; i < powers.length; ++i) {
            insertWallet(vm.createWallet(string.concat("validator", vm.toString(i))));
        }
        vm.etch(address(set), type(ValidatorSet).runtimeCode);
        store(address(set), 0, uint160(admin));
        store(address(set), 2, uint160(address(registry)));
        store(address(set), 4, uint256(EPOCH) | (1 << 64));
        store(address(set), 6, powers.length);
        for (uint256 i; i < powers.length; ++i) {
            uint256 element = uint256(keccak256(abi.encode(6))) + i;
            store(address(set), element, uint160(wallets[i].addr) | (uint256(powers[i]) << 160));
            uint256 key = uint256(keccak256(abi.encode(wallets[i].addr, 8)));
            store(address(set), key, wallets[i].publicKeyX);
            store(address(set), key + 1, wallets[i].publicKeyY);
            total += powers[i];
        }
        store(address(set), 5, total);

        vm.etch(address(registry), type(ModelRegistry).runtimeCode);
        store(address(registry), 0, uint160(address(set)));
        store(
            address(registry),
            1,
            uint256(MAX_MODEL_BYTES) | (uint256(MAX_TOTAL_BYTES) << 64) | (uint256(MAX_MANIFEST_BYTES) << 128)
                | (uint256(MAX_REGISTRATIONS) << 160) | (uint256(ACTIVATION_DELAY) << 192)
                | (uint256(NAME_DELAY) << 224)
        );
        store(address(registry), 2, uint256(DEPOSIT_PER_BYTE) | (uint256(NAMESPACE_DEPOSIT) << 96));

        vm.roll(1);
        vm.setBlockhash(0, GENESIS_HASH);
        set.sealGenesis();
        vm.roll(10);
        vm.warp(1_000_000);
    }

    function store(address account, uint256 slot, uint256 word) internal {
        vm.store(account, bytes32(slot), bytes32(word));
    }

    /// @dev Keeps `wallets` sorted by address.
    function insertWallet(Vm.Wallet memory wallet) internal {
        wallets.push(wallet);
        for (uint256 i = wallets.length - 1; i > 0 && wallets[i - 1].addr > wallet.addr; --i) {
            wallets[i] = wallets[i - 1];
            wallets[i - 1] = wallet;
        }
    }

    function sign(Vm.Wallet memory wallet, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(wallet.privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Signatures of the first `count` validators, by ascending address.
    function signFirst(uint256 count, bytes32 digest) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            signatures[i] = sign(wallets[i], digest);
        }
    }

    function summaryOf(address publisher) internal pure returns (Summary memory) {
        return Summary({publisher: publisher, size: 1000, schemaHash: keccak256("schema")});
    }

    function registerModel(bytes memory manifest, Summary memory summary) internal returns (Model model) {
        uint256 deposit = registry.depositFor(summary.size);
        vm.deal(summary.publisher, deposit);
        vm.prank(summary.publisher);
        model = registry.register{value: deposit}(manifest, summary);
    }

    /// @dev Writes a model that the chain begins with.
    function storeModel(bytes memory manifest, Summary memory summary) internal returns (Model model) {
        bytes32 id = keccak256(manifest);
        bytes32 key = keccak256(abi.encode(id, summary));
        uint256 record = uint256(keccak256(abi.encode(id, 4)));
        store(address(registry), 3, summary.size);
        store(address(registry), record, 3 | (uint256(summary.size) << 80));
        store(address(registry), record + 1, uint160(summary.publisher));
        store(address(registry), record + 2, uint256(summary.schemaHash));
        (, uint64 total,) = set.powersOf(new address[](0));
        uint256 registration = uint256(keccak256(abi.encode(key, 5)));
        store(address(registry), registration, 1 | (uint256(total) << 8) | (1 << 72));
        for (uint256 i; i < wallets.length; ++i) {
            bytes32 attested = keccak256(abi.encode(wallets[i].addr, keccak256(abi.encode(key, 6))));
            store(address(registry), uint256(attested), 1);
        }
        store(address(registry), 7, 1);
        store(address(registry), uint256(keccak256(abi.encode(7))), uint256(id));
        return Model.wrap(id);
    }

    function attestFirst(uint256 count, Model model, Summary memory summary) internal {
        bytes[] memory signatures = signFirst(count, registry.attestationDigest(model, summary));
        registry.attest(model, summary, signatures);
    }

    /// @dev Registers and attests a model and lets its activation delay pass.
    function activate(bytes memory manifest, Summary memory summary) internal returns (Model model) {
        model = registerModel(manifest, summary);
        attestFirst(wallets.length, model, summary);
        vm.roll(block.number + ACTIVATION_DELAY);
    }

    function four() internal pure returns (uint64[] memory powers) {
        powers = new uint64[](4);
        for (uint256 i; i < 4; ++i) {
            powers[i] = 100;
        }
    }
}
