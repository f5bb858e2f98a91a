// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {Ballot, Change, Equivocation, IValidatorSet, Misdeed, Signed, Validator} from "../interfaces/IValidatorSet.sol";
import {Ballots} from "../libraries/Ballots.sol";
import {Signatures} from "../libraries/Signatures.sol";

/// @title Validator set
/// @notice Holds the set in force and the one that follows it at the next epoch.
/// @dev Predeploy: no constructor and no immutable, genesis writes the storage. Two buffers hold the sets,
/// each sorted by address; a change rewrites the buffer that is not in force. The node reads both straight
/// from storage, so the layout is part of the protocol: contracts/STORAGE.md.
contract ValidatorSet is IValidatorSet {
    struct Schedule {
        uint64 epochLength;
        uint64 version;
        uint64 switchHeight;
        uint32 nonce;
        uint8 current;
    }

    struct Totals {
        uint64 first;
        uint64 second;
        uint64 moved;
    }

    struct Key {
        bytes32 x;
        bytes32 y;
    }

    /// @notice Most validators in a set.
    uint256 public constant MAX_VALIDATORS = 100;
    /// @notice Most power in a set: sums of three times as much still fit every counter of the node.
    uint256 public constant MAX_TOTAL_POWER = 1 << 60;
    /// @notice Tag of a change digest.
    bytes32 public constant CHANGE_TAG = keccak256("assay.validator-change.v1");
    /// @dev EIP-2935 system contract: hashes of the last 8191 blocks.
    address private constant BLOCK_HASHES = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// @notice Account that may change the set alone; zero when nobody may.
    address public admin; // slot 0
    /// @notice Account the admin role is offered to.
    address public pendingAdmin; // slot 1
    /// @notice Registry that tells whether a candidate holds every active model.
    IModelRegistry public registry; // slot 2
    bytes32 private _sealedGenesisHash; // slot 3
    Schedule private _schedule; // slot 4
    Totals private _totals; // slot 5
    Validator[][2] private _sets; // slots 6 and 7
    mapping(address account => Key) private _keys; // slot 8
    Misdeed[] private _misdeeds; // slot 9
    mapping(bytes32 deed => uint64 height) private _provenAt; // slot 10

    modifier onlyAdmin() {
        if (msg.sender != admin) revert NotAdmin(msg.sender);
        _;
    }

    /// @inheritdoc IValidatorSet
    function sealGenesis() external {
        bytes32 hash = genesisHash();
        if (_sealedGenesisHash != hash) {
            _sealedGenesisHash = hash;
            emit GenesisSealed(hash);
        }
    }

    /// @inheritdoc IValidatorSet
    function change(Change[] calldata changes, bytes[] calldata signatures) external {
        _requireQuorum(changeDigest(changes), signatures);
        ++_schedule.nonce;
        _apply(changes);
    }

    /// @inheritdoc IValidatorSet
    function changeByAdmin(Change[] calldata changes) external onlyAdmin {
        _apply(changes);
    }

    /// @inheritdoc IValidatorSet
    function proveEquivocation(Equivocation calldata proof) external {
        (Ballot kind, uint64 height, uint32 round) = (proof.kind, proof.height, proof.round);
        if (height > block.number) revert NoEquivocation();
        address account = _equivocator(proof);
        (uint8 buffer,) = _inForce(height);
        if (_power(_sets[buffer], account) == 0) revert NotValidator(account);

        bytes32 deed = _deed(account, height, round, kind);
        if (_provenAt[deed] != 0) revert AlreadyProven(account, height, round, kind);
        _provenAt[deed] = uint64(block.number);
        _misdeeds.push(Misdeed(account, height, round, kind, uint64(block.number)));
        emit Equivocated(account, height, round, kind, _block(kind, proof.first), _block(kind, proof.second));
    }

    /// @inheritdoc IValidatorSet
    function offerAdmin(address newAdmin) external onlyAdmin {
        pendingAdmin = newAdmin;
        emit AdminOffered(msg.sender, newAdmin);
    }

    /// @inheritdoc IValidatorSet
    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert NotPendingAdmin(msg.sender);
        admin = msg.sender;
        pendingAdmin = address(0);
        emit AdminChanged(msg.sender);
    }

    /// @inheritdoc IValidatorSet
    function renounceAdmin() external onlyAdmin {
        admin = address(0);
        pendingAdmin = address(0);
        emit AdminChanged(address(0));
    }

    /// @inheritdoc IValidatorSet
    function validators() external view returns (Validator[] memory) {
        (uint8 buffer,) = _inForce(uint64(block.number));
        return _sets[buffer];
    }

    /// @inheritdoc IValidatorSet
    function validatorsAt(uint64 height) external view returns (Validator[] memory) {
        (uint8 buffer,) = _inForce(height);
        return _sets[buffer];
    }

    /// @inheritdoc IValidatorSet
    function powerOf(address account) external view returns (uint64) {
        (uint8 buffer,) = _inForce(uint64(block.number));
        return _power(_sets[buffer], account);
    }

    /// @inheritdoc IValidatorSet
    function powersOf(address[] calldata accounts)
        external
        view
        returns (uint64[] memory powers, uint64 total, uint64 version)
    {
        uint8 buffer;
        (buffer, version) = _inForce(uint64(block.number));
        total = _total(buffer);
        powers = new uint64[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            powers[i] = _power(_sets[buffer], accounts[i]);
        }
    }

    /// @inheritdoc IValidatorSet
    function requireQuorum(bytes32 digest, bytes[] calldata signatures) external view {
        _requireQuorum(digest, signatures);
    }

    /// @inheritdoc IValidatorSet
    function publicKey(address account) external view returns (bytes32 x, bytes32 y) {
        Key storage key = _keys[account];
        return (key.x, key.y);
    }

    /// @inheritdoc IValidatorSet
    function misdeeds() external view returns (uint256) {
        return _misdeeds.length;
    }

    /// @inheritdoc IValidatorSet
    function misdeed(uint256 index) external view returns (Misdeed memory) {
        return _misdeeds[index];
    }

    /// @inheritdoc IValidatorSet
    function provenAt(address account, uint64 height, uint32 round, Ballot kind) external view returns (uint64) {
        return _provenAt[_deed(account, height, round, kind)];
    }

    /// @inheritdoc IValidatorSet
    function epochLength() external view returns (uint64) {
        return _schedule.epochLength;
    }

    /// @notice Answers the number that the next signed change must be signed for.
    /// @return Count of signed changes so far.
    function nonce() external view returns (uint32) {
        return _schedule.nonce;
    }

    /// @inheritdoc IValidatorSet
    function changeDigest(Change[] calldata changes) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                CHANGE_TAG, genesisHash(), block.chainid, address(this), _schedule.nonce, keccak256(abi.encode(changes))
            )
        );
    }

    /// @inheritdoc IValidatorSet
    function genesisHash() public view returns (bytes32 hash) {
        hash = _sealedGenesisHash;
        if (hash == 0) hash = blockhash(0);
        if (hash == 0) {
            (bool ok, bytes memory answer) = BLOCK_HASHES.staticcall(abi.encode(uint256(0)));
            if (ok && answer.length == 32) hash = bytes32(answer);
        }
        if (hash == 0) revert GenesisNotSealed();
    }

    /// @dev Applies changes to the set of the next epoch, starting from the one in force.
    function _apply(Change[] calldata changes) private {
        _promote();
        Schedule memory schedule = _schedule;
        uint8 next = 1 - schedule.current;
        bool fresh = schedule.switchHeight == 0;
        Validator[] memory set = _sets[fresh ? schedule.current : next];
        uint256 moved = fresh ? 0 : _totals.moved;

        for (uint256 i; i < changes.length; ++i) {
            // One validator twice in a call would make its signers read one change and get another.
            for (uint256 j; j < i; ++j) {
                if (changes[j].account == changes[i].account) revert BadChange(changes[i].account);
            }
            uint256 delta;
            (set, delta) = _applyOne(set, changes[i]);
            moved += delta;
        }
        uint64 inForce = _total(schedule.current);
        if (moved * 3 >= inForce) revert TooMuchChange(moved, inForce);

        uint64 height = (uint64(block.number) / schedule.epochLength + 1) * schedule.epochLength;
        _schedule.switchHeight = height;
        _totals.moved = uint64(moved);
        _store(set, next, schedule.version + 1, height);
        for (uint256 i; i < changes.length; ++i) {
            emit ValidatorChanged(changes[i].account, changes[i].power, height);
        }
    }

    /// @dev Makes a set whose height has come the current one.
    function _promote() private {
        Schedule memory schedule = _schedule;
        if (schedule.switchHeight != 0 && block.number >= schedule.switchHeight) {
            schedule.current = 1 - schedule.current;
            schedule.version += 1;
            schedule.switchHeight = 0;
            _schedule = schedule;
        }
    }

    /// @dev Returns the set with one change made, and how much power it moves.
    function _applyOne(Validator[] memory set, Change calldata one)
        private
        returns (Validator[] memory changed, uint256 delta)
    {
        uint256 at;
        while (at < set.length && set[at].account < one.account) ++at;
        bool present = at < set.length && set[at].account == one.account;

        if (present && one.power != 0) {
            uint64 before = set[at].power;
            delta = before > one.power ? before - one.power : one.power - before;
            set[at].power = one.power;
            return (set, delta);
        }
        if (present) {
            changed = new Validator[](set.length - 1);
            for (uint256 i; i < changed.length; ++i) {
                changed[i] = set[i < at ? i : i + 1];
            }
            return (changed, set[at].power);
        }
        if (one.power == 0 || one.account == address(0)) revert BadChange(one.account);
        _admit(one);
        changed = new Validator[](set.length + 1);
        for (uint256 i; i < set.length; ++i) {
            changed[i < at ? i : i + 1] = set[i];
        }
        changed[at] = Validator({account: one.account, power: one.power});
        return (changed, one.power);
    }

    /// @dev Checks that a new validator has a key and holds every active model.
    function _admit(Change calldata one) private {
        Key storage key = _keys[one.account];
        if (key.x == 0 && key.y == 0) {
            if (address(uint160(uint256(keccak256(abi.encode(one.x, one.y))))) != one.account) {
                revert BadPublicKey(one.account);
            }
            key.x = one.x;
            key.y = one.y;
        } else if ((one.x != 0 || one.y != 0) && (one.x != key.x || one.y != key.y)) {
            revert BadPublicKey(one.account);
        }
        (uint256 attested, uint256 active) = registry.countAttested(one.account, type(uint256).max);
        if (attested != active) revert NotReady(one.account, attested, active);
    }

    /// @dev Writes a set to a buffer and announces it.
    function _store(Validator[] memory set, uint8 buffer, uint64 version, uint64 height) private {
        if (set.length == 0) revert EmptySet();
        if (set.length > MAX_VALIDATORS) revert TooManyValidators(MAX_VALIDATORS, set.length);
        Validator[] storage target = _sets[buffer];
        uint256 total;
        uint256 stored = target.length;
        for (uint256 i; i < set.length; ++i) {
            total += set[i].power;
            if (i < stored) target[i] = set[i];
            else target.push(set[i]);
        }
        for (uint256 i = set.length; i < stored; ++i) {
            target.pop();
        }
        if (total > MAX_TOTAL_POWER) revert TooMuchPower(MAX_TOTAL_POWER, total);
        if (buffer == 0) _totals.first = uint64(total);
        else _totals.second = uint64(total);
        emit SetScheduled(version, height, keccak256(abi.encode(set)), uint64(total));
    }

    function _requireQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        (uint8 buffer,) = _inForce(uint64(block.number));
        uint256 total = _total(buffer);
        uint256 power;
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = Signatures.recover(digest, signatures[i]);
            // Ascending signers: none counts twice, and zero (no signer) never passes.
            if (signer <= last) revert BadSignature(i);
            uint64 own = _power(_sets[buffer], signer);
            if (own == 0) revert NotValidator(signer);
            power += own;
            last = signer;
        }
        if (power * 3 <= total * 2) revert NoQuorum(power, total);
    }

    /// @dev Recovers the one account that signed both things, which must differ.
    function _equivocator(Equivocation calldata proof) private view returns (address account) {
        bytes32 genesis = genesisHash();
        bytes32 first = Ballots.digest(genesis, proof.kind, proof.height, proof.round, proof.first);
        bytes32 second = Ballots.digest(genesis, proof.kind, proof.height, proof.round, proof.second);
        if (first == second) revert NoEquivocation();
        account = Signatures.recover(first, proof.first.signature);
        address other = Signatures.recover(second, proof.second.signature);
        if (account == address(0)) revert BadSignature(0);
        if (other == address(0)) revert BadSignature(1);
        if (account != other) revert NoEquivocation();
    }

    /// @dev The block that something signed is for, of the fields that its digest binds.
    function _block(Ballot kind, Signed calldata signed) private pure returns (bytes32) {
        return kind != Ballot.Proposal && signed.forNone ? bytes32(0) : signed.blockHash;
    }

    function _deed(address account, uint64 height, uint32 round, Ballot kind) private pure returns (bytes32) {
        return keccak256(abi.encode(account, height, round, kind));
    }

    function _inForce(uint64 height) private view returns (uint8 buffer, uint64 version) {
        Schedule memory schedule = _schedule;
        bool switched = schedule.switchHeight != 0 && height >= schedule.switchHeight;
        buffer = switched ? 1 - schedule.current : schedule.current;
        version = switched ? schedule.version + 1 : schedule.version;
    }

    function _total(uint8 buffer) private view returns (uint64) {
        return buffer == 0 ? _totals.first : _totals.second;
    }

    /// @dev Binary search: a set is sorted by address.
    function _power(Validator[] storage set, address account) private view returns (uint64) {
        uint256 low;
        uint256 high = set.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            Validator storage found = set[middle];
            if (found.account == account) return found.power;
            if (found.account < account) low = middle + 1;
            else high = middle;
        }
        return 0;
    }
}
