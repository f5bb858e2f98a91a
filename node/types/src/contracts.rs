//! The system contracts as the node knows them: what it calls, and where they keep what it reads.
//!
//! contracts/src/interfaces and contracts/STORAGE.md are the law; a test compares.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;

pub use abi::{Entry, Equivocation, IModelRegistry, IValidatorSet, Signed, Summary};

/// Slots of the ModelRegistry.
pub mod registry {
    /// Address of the validator set.
    pub const VALIDATOR_SET: u64 = 0;
    /// Limits on sizes, registrations and delays.
    pub const LIMITS: u64 = 1;
    /// Deposits.
    pub const DEPOSITS: u64 = 2;
    /// Bytes of all active models.
    pub const TOTAL_BYTES: u64 = 3;
    /// Records by model id.
    pub const RECORDS: u64 = 4;
    /// Registrations by key.
    pub const REGISTRATIONS: u64 = 5;
    /// Attestations by key of the registration, then account.
    pub const ATTESTED: u64 = 6;
    /// List of the models that reached the quorum.
    pub const ACTIVE_MODELS: u64 = 7;
}

/// Slots of the ValidatorSet.
pub mod validators {
    /// Account that may change the set alone.
    pub const ADMIN: u64 = 0;
    /// Address of the registry.
    pub const REGISTRY: u64 = 2;
    /// Hash of the first block, once it is sealed.
    pub const SEALED_GENESIS: u64 = 3;
    /// Length of epochs and the version of the set.
    pub const EPOCHS: u64 = 4;
    /// Total power.
    pub const POWER: u64 = 5;
    /// List of the members.
    pub const MEMBERS: u64 = 6;
    /// Public keys by account.
    pub const KEYS: u64 = 8;
    /// List of the equivocations that were proven.
    pub const MISDEEDS: u64 = 9;
    /// Blocks in which equivocations were proven, by deed.
    pub const PROVEN_AT: u64 = 10;
}

/// Tag of an attestation's digest.
const ATTESTATION_TAG: &str = "assay.attestation.v1";

mod abi {
    #![allow(missing_docs, clippy::pedantic)]

    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct Summary { address publisher; uint64 size; bytes32 schemaHash; }

        #[derive(Debug, PartialEq, Eq)]
        struct Entry {
            uint8 status;
            bool deprecated;
            uint64 activationHeight;
            uint64 size;
            address publisher;
            address owner;
            bytes32 schemaHash;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct Validator { address account; uint64 power; }

        #[derive(Debug, PartialEq, Eq)]
        interface IModelRegistry {
            error NotPublisher(address publisher, address caller);
            error NotOwner(address owner, address caller);
            error WrongDeposit(uint256 expected, uint256 got);
            error LimitExceeded(bytes32 what, uint256 limit, uint256 got);
            error EmptyModel();
            error AlreadyRegistered(bytes32 model);
            error NotRegistered(bytes32 model);
            error NotActive(bytes32 model);
            error BadSignature(uint256 index);
            error BadName(string name);
            error UnknownName(string name);
            error NamespaceTaken(string namespace);
            error SchemaChanged(bytes32 expected, bytes32 got);
            error MovePending(string name);

            event ModelRegistered(
                bytes32 indexed model,
                address indexed publisher,
                bytes32 indexed summaryHash,
                uint64 size,
                bytes32 schemaHash,
                uint256 deposit,
                bytes manifest
            );
            event NamePublished(
                bytes32 indexed nameHash,
                bytes32 indexed model,
                uint32 indexed version,
                string name,
                uint64 effectiveAt
            );

            function totalBytes() external view returns (uint64);
            function register(bytes calldata manifest, Summary calldata summary)
                external payable returns (bytes32 model);
            function attest(bytes32 model, Summary calldata summary, bytes[] calldata signatures)
                external;
            function claimNamespace(string calldata namespace) external payable;
            function publish(string calldata name, bytes32 model)
                external returns (uint32 version);
            function resolve(string calldata name)
                external view returns (bytes32 model, bytes32 pendingModel, uint64 effectiveAt);
            function namespaceOwner(string calldata namespace)
                external view returns (address owner, address pendingOwner);
            function entry(bytes32 model) external view returns (Entry memory);
            function depositFor(uint64 size) external view returns (uint256);
            function attestedPower(bytes32 model, Summary calldata summary)
                external view returns (uint64 power, uint64 total);
            function attestationDigest(bytes32 model, Summary calldata summary)
                external view returns (bytes32);
        }

        #[derive(Debug, PartialEq, Eq)]
        struct Signed { bytes32 blockHash; bool forNone; uint64 validRound; bytes signature; }

        #[derive(Debug, PartialEq, Eq)]
        struct Equivocation {
            uint8 kind;
            uint64 height;
            uint32 round;
            Signed first;
            Signed second;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct Misdeed {
            address account;
            uint64 height;
            uint32 round;
            uint8 kind;
            uint64 provenAt;
        }

        #[derive(Debug, PartialEq, Eq)]
        interface IValidatorSet {
            event Equivocated(
                address indexed account,
                uint64 indexed height,
                uint32 round,
                uint8 kind,
                bytes32 first,
                bytes32 second
            );

            function sealGenesis() external;
            function proveEquivocation(Equivocation calldata proof) external;
            function misdeeds() external view returns (uint256);
            function misdeed(uint256 index) external view returns (Misdeed memory);
            function validators() external view returns (Validator[] memory);
            function genesisHash() external view returns (bytes32);
        }
    }
}

impl Summary {
    /// Computes the key of the registration of a model under this summary.
    #[must_use]
    pub fn key(&self, model: B256) -> B256 {
        keccak256((model, self.publisher, self.size, self.schemaHash).abi_encode())
    }

    /// Computes what a validator signs to attest to the model: the registry's own digest.
    #[must_use]
    pub fn attestation_digest(
        &self,
        model: B256,
        genesis: B256,
        chain_id: u64,
        registry: Address,
    ) -> B256 {
        let tag = keccak256(ATTESTATION_TAG);
        let chain_id = U256::from(chain_id);
        keccak256((tag, genesis, chain_id, registry, model, self.key(model)).abi_encode())
    }
}

/// Finds where a mapping keeps a key's value.
#[must_use]
pub fn mapping_slot(key: B256, slot: U256) -> U256 {
    keccak256((key, slot).abi_encode()).into()
}

/// Finds where an array keeps its elements.
#[must_use]
pub fn array_slot(slot: u64) -> U256 {
    keccak256(U256::from(slot).to_be_bytes::<32>()).into()
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface as _};
    use serde_json::Value;

    use super::*;

    const REGISTRY: &str = include_str!("../../../contracts/artifacts/ModelRegistry.json");
    const VALIDATORS: &str = include_str!("../../../contracts/artifacts/ValidatorSet.json");

    /// Writes the signature of an ABI entry, tuples spelled out.
    fn signature(entry: &Value) -> String {
        fn kind(input: &Value) -> String {
            let name = input["type"].as_str().unwrap();
            match name.strip_prefix("tuple") {
                Some(rest) => {
                    let parts = input["components"].as_array().unwrap();
                    format!(
                        "({}){rest}",
                        parts.iter().map(kind).collect::<Vec<_>>().join(",")
                    )
                }
                None => name.to_owned(),
            }
        }
        let inputs = entry["inputs"].as_array().unwrap();
        let inputs = inputs.iter().map(kind).collect::<Vec<_>>().join(",");
        format!("{}({inputs})", entry["name"].as_str().unwrap_or_default())
    }

    fn selectors(artifact: &str, kind: &str) -> Vec<B256> {
        let artifact: Value = serde_json::from_str(artifact).unwrap();
        let entries = artifact["abi"].as_array().unwrap().iter();
        let entries = entries.filter(|entry| entry["type"] == kind);
        entries.map(|entry| keccak256(signature(entry))).collect()
    }

    #[test]
    fn every_call_error_and_event_is_the_contracts() {
        let functions = selectors(REGISTRY, "function");
        for selector in IModelRegistry::IModelRegistryCalls::selectors() {
            assert!(
                functions.iter().any(|hash| hash[..4] == selector),
                "{selector:?}"
            );
        }
        let errors = selectors(REGISTRY, "error");
        for selector in IModelRegistry::IModelRegistryErrors::selectors() {
            assert!(
                errors.iter().any(|hash| hash[..4] == selector),
                "{selector:?}"
            );
        }
        let events = selectors(REGISTRY, "event");
        assert!(events.contains(&IModelRegistry::ModelRegistered::SIGNATURE_HASH));
        assert!(events.contains(&IModelRegistry::NamePublished::SIGNATURE_HASH));
        let functions = selectors(VALIDATORS, "function");
        for selector in IValidatorSet::IValidatorSetCalls::selectors() {
            assert!(
                functions.iter().any(|hash| hash[..4] == selector),
                "{selector:?}"
            );
        }
        let events = selectors(VALIDATORS, "event");
        assert!(events.contains(&IValidatorSet::Equivocated::SIGNATURE_HASH));
        assert_eq!(IModelRegistry::registerCall::SELECTOR.len(), 4);
        assert_eq!(IModelRegistry::EmptyModel::SELECTOR.len(), 4);
    }

    #[test]
    fn slots_of_mappings_and_arrays_are_solidity_s() {
        let key = B256::with_last_byte(1);
        let joined = [key.as_slice(), &U256::from(4).to_be_bytes::<32>()].concat();
        assert_eq!(
            mapping_slot(key, U256::from(4)),
            U256::from_be_bytes(keccak256(joined).0)
        );
    }
}
