//! The certificate of a decided block: the precommits of more than two thirds of the power.
//!
//! Signatures stand in ascending order of their signers, who are recovered, not named: none can count
//! twice, and Solidity checks the same bytes with `ecrecover`.

use alloy_primitives::{Address, B256, Signature, U256, uint};

use crate::digest::{Ballot, Domain, Validator};

/// Bytes of a signature: r, s, and v, which is 27 or 28.
pub const SIGNATURE_BYTES: usize = 65;
/// Most validators in a set, and so most signatures in a certificate.
pub const MAX_VALIDATORS: usize = 100;

const HEADER_BYTES: usize = 8 + 4 + 32;
/// Half the order of secp256k1: a greater `s` has a smaller twin, which alone is accepted.
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Says why bytes are no certificate, or a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not a certificate's.
    #[error(
        "certificate has {0} bytes, not {HEADER_BYTES} and {SIGNATURE_BYTES} for each of at most {MAX_VALIDATORS} signatures"
    )]
    Size(usize),
    /// A signature is malformed, of high `s`, or recovers nobody.
    #[error("signature {0} recovers no signer")]
    Signature(usize),
    /// Signers are not in ascending order.
    #[error("signature {0} is not above the one before it: a signer is doubled, or out of order")]
    Order(usize),
    /// A signer is not of the set.
    #[error("signer {0} is not a validator")]
    NotValidator(Address),
    /// The signers have too little power.
    #[error("signers have {signed} of {total} power: more than two thirds are needed")]
    NoQuorum {
        /// Power of the signers.
        signed: u64,
        /// Power of all.
        total: u64,
    },
}

/// The precommits that decided a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Number of the block.
    pub height: u64,
    /// Round in which it was decided.
    pub round: u32,
    /// Hash of the block.
    pub block_hash: B256,
    /// Signatures, in ascending order of their signers.
    pub signatures: Vec<[u8; SIGNATURE_BYTES]>,
}

impl Certificate {
    /// Checks that validators with more than two thirds of the power signed; answers that power.
    ///
    /// # Errors
    /// When a signature is not of a validator's, or too few signed.
    pub fn verify(
        &self,
        domain: &Domain,
        validators: &[Validator],
    ) -> Result<u64, CertificateError> {
        let digest = domain.vote(
            Ballot::Precommit,
            self.height,
            self.round,
            Some(self.block_hash),
        );
        let mut signed = 0_u64;
        let mut last = Address::ZERO;
        for (index, signature) in self.signatures.iter().enumerate() {
            let signer = recover(digest, signature).ok_or(CertificateError::Signature(index))?;
            if signer <= last {
                return Err(CertificateError::Order(index));
            }
            let power = validators.iter().find(|one| one.account == signer);
            let power = power.ok_or(CertificateError::NotValidator(signer))?.power;
            signed = signed.saturating_add(power);
            last = signer;
        }
        let total = total_power(validators);
        match is_quorum(signed, total) {
            true => Ok(signed),
            false => Err(CertificateError::NoQuorum { signed, total }),
        }
    }

    /// Encodes: height and round big-endian, the hash, the signatures one after another.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.signatures.len() * SIGNATURE_BYTES);
        bytes.extend_from_slice(&self.height.to_be_bytes());
        bytes.extend_from_slice(&self.round.to_be_bytes());
        bytes.extend_from_slice(self.block_hash.as_slice());
        for signature in &self.signatures {
            bytes.extend_from_slice(signature);
        }
        bytes
    }

    /// Decodes what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// When the length is not one a certificate has.
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        let size = || CertificateError::Size(bytes.len());
        let (height, rest) = bytes.split_first_chunk::<8>().ok_or_else(size)?;
        let (round, rest) = rest.split_first_chunk::<4>().ok_or_else(size)?;
        let (hash, rest) = rest.split_first_chunk::<32>().ok_or_else(size)?;
        let (signatures, surplus) = rest.as_chunks::<SIGNATURE_BYTES>();
        if !surplus.is_empty() || signatures.len() > MAX_VALIDATORS {
            return Err(size());
        }
        Ok(Self {
            height: u64::from_be_bytes(*height),
            round: u32::from_be_bytes(*round),
            block_hash: B256::from(*hash),
            signatures: signatures.to_vec(),
        })
    }
}

/// Recovers who signed a digest; `None` for a high `s`, a `v` other than 27 or 28, or no point.
#[must_use]
pub fn recover(digest: B256, signature: &[u8; SIGNATURE_BYTES]) -> Option<Address> {
    let (r, rest) = signature.split_first_chunk::<32>()?;
    let (s, v) = rest.split_first_chunk::<32>()?;
    let (r, s) = (U256::from_be_bytes(*r), U256::from_be_bytes(*s));
    let odd = match v {
        [27] => false,
        [28] => true,
        _ => return None,
    };
    if s > HALF_ORDER {
        return None;
    }
    Signature::new(r, s, odd)
        .recover_address_from_prehash(&digest)
        .ok()
}

/// Adds up the power of a set.
#[must_use]
pub fn total_power(validators: &[Validator]) -> u64 {
    validators
        .iter()
        .fold(0, |sum, one| sum.saturating_add(one.power))
}

/// Tells whether a power is more than two thirds of the whole.
#[must_use]
pub fn is_quorum(signed: u64, total: u64) -> bool {
    u128::from(signed) * 3 > u128::from(total) * 2
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    #[test]
    fn encoding_survives_and_other_lengths_are_refused() {
        let certificate = Certificate {
            height: 7,
            round: 1,
            block_hash: B256::repeat_byte(4),
            signatures: vec![[1; SIGNATURE_BYTES], [2; SIGNATURE_BYTES]],
        };
        let bytes = certificate.encode();
        assert_eq!(Certificate::decode(&bytes), Ok(certificate));
        for length in 0..bytes.len() {
            let whole =
                length >= HEADER_BYTES && (length - HEADER_BYTES).is_multiple_of(SIGNATURE_BYTES);
            assert_eq!(Certificate::decode(&bytes[..length]).is_ok(), whole);
        }
        let many = vec![0; HEADER_BYTES + SIGNATURE_BYTES * (MAX_VALIDATORS + 1)];
        assert_eq!(
            Certificate::decode(&many),
            Err(CertificateError::Size(many.len()))
        );
    }

    #[test]
    fn quorum_is_more_than_two_thirds() {
        assert!(!is_quorum(2, 3) && is_quorum(3, 4) && !is_quorum(66, 99) && is_quorum(67, 99));
        assert!(!is_quorum(0, 0) && is_quorum(u64::MAX, u64::MAX));
    }

    #[test]
    fn signer_of_a_known_signature_is_recovered_and_its_twin_is_refused() {
        // The example of Ethereum's yellow-paper tests for ecrecover.
        let digest = b256!("456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3");
        let r = b256!("9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608");
        let s = b256!("4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada");
        let join = |s: B256, v: u8| {
            let mut bytes = [v; SIGNATURE_BYTES];
            bytes[..32].copy_from_slice(r.as_slice());
            bytes[32..64].copy_from_slice(s.as_slice());
            bytes
        };
        let signer = recover(digest, &join(s, 28)).unwrap();
        let expected: Address = "7156526fbd7a3c72969b54f64e42c10fbb768c8a".parse().unwrap();
        assert_eq!(signer, expected);
        let order = HALF_ORDER * U256::from(2) + U256::from(1);
        let twin = B256::from(order - U256::from_be_bytes(s.0));
        assert_eq!(recover(digest, &join(twin, 27)), None);
        assert_eq!(recover(digest, &join(s, 1)), None);
        assert_eq!(recover(digest, &join(B256::ZERO, 27)), None);
    }
}
