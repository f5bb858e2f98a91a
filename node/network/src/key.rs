//! A node's key, by which peers know it. It signs no block and holds no funds.

use libp2p::{PeerId, identity::Keypair};

use crate::NetworkError;

/// Bytes of a node key's seed.
pub const NODE_KEY_BYTES: usize = 32;

/// The ed25519 key a node proves itself with when it connects.
#[derive(Clone)]
pub struct NodeKey(Keypair);

impl NodeKey {
    /// Makes a new key from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(Keypair::generate_ed25519())
    }

    /// Reads a key from its seed.
    ///
    /// # Errors
    /// When the bytes are no seed.
    pub fn from_seed(mut seed: [u8; NODE_KEY_BYTES]) -> Result<Self, NetworkError> {
        let key = Keypair::ed25519_from_bytes(&mut seed);
        Ok(Self(key.map_err(|e| NetworkError::Key(e.to_string()))?))
    }

    /// Returns the seed, to be kept in a file that only the operator reads.
    #[must_use]
    pub fn seed(&self) -> [u8; NODE_KEY_BYTES] {
        let pair = self.0.clone().try_into_ed25519();
        let secret = pair
            .expect("invariant: a node key is an ed25519 key")
            .secret();
        let mut seed = [0; NODE_KEY_BYTES];
        seed.copy_from_slice(secret.as_ref());
        seed
    }

    /// Returns the name peers know the node by.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.public().to_peer_id()
    }

    pub(crate) fn pair(&self) -> Keypair {
        self.0.clone()
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NodeKey").field(&self.peer_id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_peer_again() {
        let key = NodeKey::generate();
        let again = NodeKey::from_seed(key.seed()).unwrap();
        assert_eq!(again.peer_id(), key.peer_id());
        assert_ne!(NodeKey::generate().peer_id(), key.peer_id());
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = NodeKey::from_seed([7; NODE_KEY_BYTES]).unwrap();
        assert_eq!(format!("{key:?}"), format!("NodeKey({:?})", key.peer_id()));
    }
}
