// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @notice Names one validator and its voting power.
/// @param account Address of the validator's secp256k1 key.
/// @param power Voting power; never zero in a set.
struct Validator {
    address account;
    uint64 power;
}

/// @notice Asks for one change of the set.
/// @param account Validator that joins, leaves or changes its power.
/// @param power New voting power; zero removes the validator.
/// @param x First half of the uncompressed public key; zero unless the validator is new to the chain.
/// @param y Second half of the uncompressed public key.
struct Change {
    address account;
    uint64 power;
    bytes32 x;
    bytes32 y;
}

/// @notice Names what a validator signs at a height and in a round, once each.
enum Ballot {
    Prevote,
    Precommit,
    Proposal
}

/// @notice One thing a validator signed: a vote or a proposal.
/// @param blockHash Block it is for; zero in a vote for none.
/// @param forNone Whether it is a vote for none: one for a block whose hash is zero is another thing.
/// @param validRound Of a proposal: 0, or one more than the round that had a quorum of prevotes for it.
/// @param signature r, s, v: 65 bytes.
struct Signed {
    bytes32 blockHash;
    bool forNone;
    uint64 validRound;
    bytes signature;
}

/// @notice Two things of one kind that one validator signed at a height and in a round.
/// @param kind Kind of both.
/// @param height Height of both.
/// @param round Round of both.
/// @param first One.
/// @param second The other.
struct Equivocation {
    Ballot kind;
    uint64 height;
    uint32 round;
    Signed first;
    Signed second;
}

/// @notice An equivocation that was proven.
/// @param account Validator.
/// @param height Height at which it signed two things.
/// @param round Round in which it did.
/// @param kind Kind of what it signed.
/// @param provenAt Block in which it was proven.
struct Misdeed {
    address account;
    uint64 height;
    uint32 round;
    Ballot kind;
    uint64 provenAt;
}

/// @title Validator set
/// @notice Holds who votes with what power at which height. Predeploy at 0x0a13.
/// @dev A change takes effect at the next epoch's first block, so consensus knows every height's set one
/// block ahead. Storage is laid out for the node to read: contracts/STORAGE.md.
interface IValidatorSet {
    /// @notice Only the admin may do this.
    error NotAdmin(address caller);
    /// @notice Only the account the admin role was offered to may accept it.
    error NotPendingAdmin(address caller);
    /// @notice The signers do not hold more than two thirds of the power.
    error NoQuorum(uint256 power, uint256 total);
    /// @notice A signature is malformed, has a high s, or repeats or misorders a signer.
    error BadSignature(uint256 index);
    /// @notice A signer is not in the set.
    error NotValidator(address signer);
    /// @notice The changes name a validator that leaves but is not in the set, or one twice.
    error BadChange(address account);
    /// @notice A public key does not belong to its address, or is missing for a new validator.
    error BadPublicKey(address account);
    /// @notice A validator cannot join before it attested to every active model.
    error NotReady(address account, uint256 attested, uint256 active);
    /// @notice One epoch may move less than a third of the power.
    error TooMuchChange(uint256 moved, uint256 total);
    /// @notice The set must keep at least one validator.
    error EmptySet();
    /// @notice The set holds at most `limit` validators.
    error TooManyValidators(uint256 limit, uint256 got);
    /// @notice Total power does not fit the limit.
    error TooMuchPower(uint256 limit, uint256 got);
    /// @notice The two things are the same, of two signers, or of a height to come.
    error NoEquivocation();
    /// @notice This equivocation was proven before.
    error AlreadyProven(address account, uint64 height, uint32 round, Ballot kind);
    /// @notice The genesis hash was not sealed in time or is not available yet.
    error GenesisNotSealed();

    /// @notice The genesis hash, part of every signed digest, is now in storage.
    event GenesisSealed(bytes32 genesisHash);
    /// @notice One validator will have `power` from `effectiveHeight` on.
    event ValidatorChanged(address indexed account, uint64 power, uint64 effectiveHeight);
    /// @notice A set takes effect at `effectiveHeight`; `setHash` commits to it.
    event SetScheduled(uint64 indexed version, uint64 effectiveHeight, bytes32 setHash, uint64 totalPower);
    /// @notice A validator signed two things where it may sign one, for these blocks; zero stands for none.
    event Equivocated(
        address indexed account, uint64 indexed height, uint32 round, Ballot kind, bytes32 first, bytes32 second
    );
    /// @notice The admin role was offered.
    event AdminOffered(address indexed admin, address indexed pendingAdmin);
    /// @notice The admin role moved; zero means nobody holds it any more.
    event AdminChanged(address indexed admin);

    /// @notice Stores the genesis hash; anybody may call, once, in blocks 1 to 256 (8191 with EIP-2935).
    function sealGenesis() external;

    /// @notice Schedules changes signed by more than two thirds of the power in force.
    /// @param changes Changes, each validator once.
    /// @param signatures 65-byte signatures (r, s, v) over `changeDigest`, by ascending signer address.
    function change(Change[] calldata changes, bytes[] calldata signatures) external;

    /// @notice Schedules changes on the word of the genesis admin.
    /// @param changes Changes, each validator once.
    function changeByAdmin(Change[] calldata changes) external;

    /// @notice Keeps that a validator signed two things where it may sign one. Anybody may prove it, once for
    /// each account, height, round and kind; nobody loses power or money for it.
    /// @param proof Both things. Their signer must be in the set of that height; of the sets that are no longer
    /// stored, the older stored one answers.
    function proveEquivocation(Equivocation calldata proof) external;

    /// @notice Offers the admin role to another account.
    /// @param newAdmin Account that may accept.
    function offerAdmin(address newAdmin) external;

    /// @notice Accepts the admin role.
    function acceptAdmin() external;

    /// @notice Gives the admin role up for good.
    function renounceAdmin() external;

    /// @notice Answers the set in force at the current block.
    /// @return The validators in storage order.
    function validators() external view returns (Validator[] memory);

    /// @notice Answers the set that will be in force at a height, as far as it is decided.
    /// @param height Current block or later.
    /// @return The validators in storage order.
    function validatorsAt(uint64 height) external view returns (Validator[] memory);

    /// @notice Answers a validator's power at the current block, zero for others.
    /// @param account Account to look up.
    /// @return Voting power.
    function powerOf(address account) external view returns (uint64);

    /// @notice Answers many powers with the total and the version they belong to.
    /// @param accounts Accounts to look up.
    /// @return powers Voting powers, zero for accounts that are not validators.
    /// @return total Total power.
    /// @return version Number of the set in force; grows with every switch.
    function powersOf(address[] calldata accounts)
        external
        view
        returns (uint64[] memory powers, uint64 total, uint64 version);

    /// @notice Checks that signatures over a digest carry more than two thirds of the power in force.
    /// @param digest Digest that was signed.
    /// @param signatures 65-byte signatures (r, s, v), by ascending signer address.
    function requireQuorum(bytes32 digest, bytes[] calldata signatures) external view;

    /// @notice Answers the digest validators sign to make changes.
    /// @param changes Changes to sign.
    /// @return Digest, bound to the chain, its genesis, this contract and the current nonce.
    function changeDigest(Change[] calldata changes) external view returns (bytes32);

    /// @notice Answers the sealed genesis hash, or reads it while it is still available.
    /// @return Hash of block 0.
    function genesisHash() external view returns (bytes32);

    /// @notice Answers a validator's public key.
    /// @param account Validator.
    /// @return x First half of the uncompressed key; zero when unknown.
    /// @return y Second half of the uncompressed key.
    function publicKey(address account) external view returns (bytes32 x, bytes32 y);

    /// @notice Counts the equivocations that were proven.
    /// @return How many.
    function misdeeds() external view returns (uint256);

    /// @notice Answers an equivocation that was proven.
    /// @param index Place in the order in which they were proven.
    /// @return The misdeed.
    function misdeed(uint256 index) external view returns (Misdeed memory);

    /// @notice Answers when an equivocation was proven.
    /// @param account Validator.
    /// @param height Height at which it signed two things.
    /// @param round Round in which it did.
    /// @param kind Kind of what it signed.
    /// @return Block in which it was proven; zero when it was not.
    function provenAt(address account, uint64 height, uint32 round, Ballot kind) external view returns (uint64);

    /// @notice Answers the blocks in an epoch.
    /// @return Number of blocks.
    function epochLength() external view returns (uint64);
}
