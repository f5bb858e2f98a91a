//! `assay_`: certificates of decided blocks, and what voting saw: divergences, evidence.

use alloy_primitives::Bytes;
use assay_types::{
    Domain, Evidence, StateView as _,
    certificate::{recover, total_power},
    digest::Ballot,
    validators::set_at,
};
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError, Votes,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy, light},
};

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_getCertificate", certificate),
    heavy("assay_getDivergences", divergences),
    heavy("assay_getEvidence", evidence),
    light("assay_getAttestations", attestations),
];

/// Shows what decided a block, and who that was.
fn certificate(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = backend.at(arguments.optional()?)?;
    let (spec, number) = (backend.chain.spec(), at.number);
    let Some(certificate) = at.reader.certificate(number)? else {
        return Ok(Value::Null);
    };
    let domain = Domain {
        genesis_hash: at.reader.hash(0)?.unwrap_or_default(),
        chain_id: spec.chain_id,
    };
    let (round, hash) = (certificate.round, certificate.block_hash);
    let digest = domain.vote(Ballot::Precommit, number, round, Some(hash));
    let set = match &spec.assay {
        Some(params) => {
            let state = at.reader.state(number)?;
            set_at(number, |slot| state.storage(params.validator_set, slot))?
        }
        None => Vec::new(),
    };
    let mut signed = 0_u64;
    let signers = certificate.signatures.iter().filter_map(|seal| {
        let account = recover(digest, seal)?;
        let power = set.iter().find(|one| one.account == account)?.power;
        signed = signed.saturating_add(power);
        Some(json!({"account": account, "power": quantity(power)}))
    });
    let signers: Vec<Value> = signers.collect();
    let seals = certificate.signatures.iter();
    let seals: Vec<Bytes> = seals.map(|seal| Bytes::copy_from_slice(seal)).collect();
    Ok(json!({
        "height": quantity(certificate.height),
        "round": quantity(round),
        "blockHash": hash,
        "digest": digest,
        "signatures": seals,
        "signers": signers,
        "signedPower": quantity(signed),
        "totalPower": quantity(total_power(&set)),
    }))
}

fn divergences(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let seen = backend.chain.reader()?.divergences()?;
    let each = seen.iter().map(|one| serde_json::from_slice(&one.bytes));
    let each: Result<Vec<Value>, _> = each.collect();
    each.map(Value::from).map_err(RpcError::internal)
}

/// Shows the evidence this node kept, and which of it the chain keeps too.
fn evidence(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let reader = backend.chain.reader()?;
    let state = reader.state(reader.tip())?;
    let params = backend.chain.spec().assay.as_ref();
    let each = reader.evidence()?.into_iter().map(|seen| {
        let kept = Evidence::decode(&seen.bytes).map_err(RpcError::internal)?;
        let proven_at: u64 = match (params, kept.deed()) {
            (Some(params), Some(deed)) => state
                .storage(params.validator_set, deed.slot())?
                .saturating_to(),
            _ => 0,
        };
        let mut shown = serde_json::to_value(&kept).map_err(RpcError::internal)?;
        if let Some(fields) = shown.as_object_mut() {
            let proven_at = (proven_at > 0).then(|| quantity(proven_at));
            fields.insert("provenAt".into(), json!(proven_at));
        }
        Ok(shown)
    });
    each.collect()
}

/// Shows this node's attestations that the chain does not show yet; anyone may submit them.
fn attestations(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let votes = backend.votes.as_ref();
    let promised = votes.map(|votes| votes.attestations()).unwrap_or_default();
    let each = promised.into_iter().map(|one| {
        json!({
            "model": one.model,
            "signature": one.signature,
            "transactionHash": one.transaction,
        })
    });
    Ok(each.collect())
}

/// Shows what voting is doing.
pub(crate) fn voting(votes: &dyn Votes) -> Value {
    let counters: Map<String, Value> = votes
        .counters()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), quantity(count)))
        .collect();
    let traffic: Map<String, Value> = votes
        .traffic()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), quantity(count)))
        .collect();
    json!({
        "validates": votes.validates(),
        "stopped": votes.stopped(),
        "counters": counters,
        "network": traffic,
    })
}
