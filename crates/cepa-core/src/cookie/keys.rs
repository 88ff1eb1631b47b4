//! The app's ring of secret keys: the first signs, every one verifies.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::XChaCha20Poly1305;
use hmac::{Hmac, KeyInit as _, Mac as _, digest::zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;
use std::fmt;

/// The hash under the HMAC of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// What Koa's keygrip uses: signatures of 27 characters.
    #[default]
    Sha1,
    /// What Egg uses: signatures of 43 characters.
    Sha256,
}

/// Why a ring of keys was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is no key at all.
    #[error("the list of keys is empty: give at least one secret key")]
    NoKey,
    /// A key, counted from 0, is the empty text, with which anyone could sign.
    #[error("key {0} is empty: give at least 32 random bytes")]
    EmptyKey(usize),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    NoRandomness,
}

/// A ring of secret keys, newest first.
///
/// Signing uses the first key, verifying tries them all: to rotate, put a new key in front and drop the last
/// one once nothing signed with it matters. A key should have 32 random bytes or more; it is used as it is,
/// no password is stretched. Signatures are keygrip's: the URL-safe base64, unpadded, of an HMAC.
///
/// Key material is wiped when the ring is dropped and never printed.
///
/// ```
/// # use cepa_core::cookie::Keys;
/// let old = Keys::new(["old"])?.sign(b"a=1");
/// let keys = Keys::new(["new", "old"])?;
/// assert_eq!(keys.verify(b"a=1", old.as_bytes()), Some(1));
/// assert_eq!(keys.verify(b"a=2", old.as_bytes()), None);
/// # Ok::<(), cepa_core::cookie::KeysError>(())
/// ```
pub struct Keys {
    ring: Box<[Key]>,
    algorithm: Algorithm,
}

/// One key, ready for both of its uses.
pub(super) struct Key {
    mac: KeyedMac,
    pub(super) cipher: XChaCha20Poly1305,
}

/// An HMAC that has absorbed its key, so that a signature costs no key schedule.
#[derive(Clone)]
enum KeyedMac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

const ANY_LENGTH: &str = "an HMAC takes a key of any length";

impl Keys {
    /// A ring that signs with HMAC-SHA1, as Koa does. Errors: no key, or an empty one.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, KeysError> {
        Self::with_algorithm(Algorithm::Sha1, keys)
    }

    /// A ring that signs with `algorithm`. Errors: no key, or an empty one.
    pub fn with_algorithm<K: AsRef<[u8]>>(
        algorithm: Algorithm,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, KeysError> {
        let ring: Box<[Key]> = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| match key.as_ref() {
                [] => Err(KeysError::EmptyKey(index)),
                key => Ok(Key::new(algorithm, key)),
            })
            .collect::<Result<_, _>>()?;
        if ring.is_empty() { Err(KeysError::NoKey) } else { Ok(Self { ring, algorithm }) }
    }

    /// A ring of one key of random bytes, which signs with HMAC-SHA256: for tests, and for apps whose cookies need not
    /// outlive the process. Errors: no random bytes.
    pub fn random() -> Result<Self, KeysError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|_| KeysError::NoRandomness)?;
        Self::with_algorithm(Algorithm::Sha256, [&*key])
    }

    /// The signature of `data` with the first key.
    ///
    /// A cookie's signature is that of `name=value`: whoever signs other things puts a prefix before them
    /// that is no cookie name, lest one signature serve as the other.
    pub fn sign(&self, data: &[u8]) -> String {
        self.sign_parts(&[data])
    }

    /// The place in the ring, from 0, of the first key that signed `data` with `signature`.
    ///
    /// Each comparison takes the same time wherever the difference lies. A key past the first means: sign
    /// again.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Option<usize> {
        self.verify_parts(&[data], signature)
    }

    /// [`Keys::sign`] over the joined parts.
    pub(super) fn sign_parts(&self, parts: &[&[u8]]) -> String {
        self.first().mac.sign(parts)
    }

    /// [`Keys::verify`] over the joined parts.
    pub(super) fn verify_parts(&self, parts: &[&[u8]], signature: &[u8]) -> Option<usize> {
        // Strict base64: one text per signature, so that nothing but the signature itself is accepted.
        let mut tag = [0; 32];
        let len = BASE64.decode_slice(signature, &mut tag).ok()?;
        self.ring.iter().position(|key| key.mac.verifies(parts, &tag[..len]))
    }

    pub(super) fn first(&self) -> &Key {
        &self.ring[0]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.ring.iter()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.ring.len()).field("algorithm", &self.algorithm).finish()
    }
}

impl Key {
    fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        Self { mac: KeyedMac::new(algorithm, key), cipher: super::seal::cipher(key) }
    }
}

impl KeyedMac {
    fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        }
    }

    fn sign(&self, parts: &[&[u8]]) -> String {
        match self.after(parts) {
            Self::Sha1(mac) => BASE64.encode(mac.finalize().into_bytes()),
            Self::Sha256(mac) => BASE64.encode(mac.finalize().into_bytes()),
        }
    }

    fn verifies(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        match self.after(parts) {
            Self::Sha1(mac) => mac.verify_slice(tag).is_ok(),
            Self::Sha256(mac) => mac.verify_slice(tag).is_ok(),
        }
    }

    /// A copy that has also absorbed the parts.
    fn after(&self, parts: &[&[u8]]) -> Self {
        let mut mac = self.clone();
        for part in parts {
            match &mut mac {
                Self::Sha1(mac) => mac.update(part),
                Self::Sha256(mac) => mac.update(part),
            }
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    macro_rules! vectors {
        ($file:literal) => {{
            let text = include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/data/koa/vectors/",
                $file,
                ".json"
            ));
            let root: Value = serde_json::from_str(text).unwrap();
            root["vectors"].as_array().unwrap().clone()
        }};
    }

    #[test]
    fn signatures_are_keygrips() {
        let mut seen = (0, 0);
        for vector in vectors!("keygrip") {
            let text = |field: &str| vector[field].as_str().unwrap().as_bytes();
            if let Some(ring) = vector["ring"].as_array() {
                let keys = Keys::new(ring.iter().map(|key| key.as_str().unwrap())).unwrap();
                let index = keys.verify(text("data"), text("digest"));
                assert_eq!(index.map_or(-1, |i| i as i64), vector["index"].as_i64().unwrap(), "{vector}");
                seen.1 += 1;
            } else if vector.get("algorithm").is_none() {
                // Below `Keys`, which refuses the empty key that two of the vectors have.
                let mac = KeyedMac::new(Algorithm::Sha1, text("key"));
                let signature = mac.sign(&[text("data")]);
                assert_eq!(signature.as_bytes(), text("sig"), "{vector}");
                seen.0 += 1;
            }
        }
        assert_eq!(seen, (24, 2));
    }

    #[test]
    fn sha256_signatures_are_eggs() {
        let vectors = vectors!("egg_cookies");
        assert_eq!(vectors.len(), 20);
        for vector in vectors {
            let text = |field: &str| vector[field].as_str().unwrap().as_bytes();
            let keys = Keys::with_algorithm(Algorithm::Sha256, [text("key")]).unwrap();
            assert_eq!(keys.sign(text("data")).as_bytes(), text("sig_sha256"), "{vector}");
            assert_eq!(keys.verify(text("data"), text("sig_sha256")), Some(0));
        }
    }

    #[test]
    fn a_ring_without_a_real_key_is_refused() {
        assert_eq!(Keys::new([""; 0]).unwrap_err(), KeysError::NoKey);
        assert_eq!(Keys::new(["a", ""]).unwrap_err(), KeysError::EmptyKey(1));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Keys::new(["hunter2"]).unwrap()), "Keys { len: 1, algorithm: Sha1 }");
    }

    #[test]
    fn only_the_one_text_of_a_signature_verifies() {
        let keys = Keys::new(["k"]).unwrap();
        let signature = keys.sign(b"a=1");
        assert_eq!(keys.verify(b"a=1", signature.as_bytes()), Some(0));
        let cut = &signature[..26];
        let sha256 = Keys::with_algorithm(Algorithm::Sha256, ["k"]).unwrap().sign(b"a=1");
        for text in [
            "",
            "A",
            "=",
            cut,
            &format!("{signature}="),
            &format!("{signature}A"),
            &sha256,
            "吴",
            &"A".repeat(9999),
        ] {
            assert_eq!(keys.verify(b"a=1", text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn random_rings_do_not_know_each_other() {
        let (one, other) = (Keys::random().unwrap(), Keys::random().unwrap());
        let signature = one.sign(b"a=1");
        assert_eq!((signature.len(), one.verify(b"a=1", signature.as_bytes())), (43, Some(0)));
        assert_eq!(other.verify(b"a=1", signature.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn signed_verifies_and_tampered_does_not(
            key in proptest::collection::vec(any::<u8>(), 1..80),
            data in proptest::collection::vec(any::<u8>(), 1..80),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255_u8,
            sha256 in any::<bool>(),
        ) {
            let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Sha1 };
            let keys = Keys::with_algorithm(algorithm, [&key[..]]).unwrap();
            let ring = Keys::with_algorithm(algorithm, [b"another key", &key[..]]).unwrap();
            let mut signature = keys.sign(&data).into_bytes();
            prop_assert_eq!(keys.verify(&data, &signature), Some(0));
            prop_assert_eq!(ring.verify(&data, &signature), Some(1));
            let mut other = data.clone();
            other[at.index(data.len())] ^= flip;
            prop_assert_eq!(ring.verify(&other, &signature), None);
            let place = at.index(signature.len());
            signature[place] ^= flip;
            prop_assert_eq!(ring.verify(&data, &signature), None);
        }

        #[test]
        fn no_signature_panics(signature in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Keys::new(["k"]).unwrap().verify(b"a", &signature), None);
        }
    }
}
