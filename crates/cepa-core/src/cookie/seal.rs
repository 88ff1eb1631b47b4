//! Encrypts cookie values: nobody but the app reads them, changes them or moves them to another name.
//!
//! A sealed value is the unpadded URL-safe base64 of `version (1) | nonce (24) | ciphertext | tag (16)`,
//! where the cipher is XChaCha20-Poly1305 under a key derived from a key of the ring, and the cookie's name
//! is associated data.

use super::{CookieError, Keys};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::aead::{AeadInOut as _, inout::InOutBuf};
use chacha20poly1305::{KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use hmac::digest::zeroize::Zeroize as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + NONCE_LEN;

/// Sets the encryption key apart from the signing key, which is the ring's key itself.
const PURPOSE: &[u8] = b"cepa cookie encryption v1";

/// What a sealed value held, and how old its key is.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The value as it was given to be sealed.
    pub value: Vec<u8>,
    /// The place in the ring, from 0, of the key that opened it; past the first means: seal it again.
    pub key_index: usize,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was worth encrypting stays out of logs.
        f.debug_struct("Opened").field("key_index", &self.key_index).finish_non_exhaustive()
    }
}

impl Keys {
    /// Encrypts `value` for the cookie `name` with the first key; the text has 4 characters for every 3 of
    /// its bytes, and 55 more.
    ///
    /// Equal values give different texts. Errors: [`CookieError::NoRandomness`].
    pub fn seal(&self, name: &str, value: &[u8]) -> Result<String, CookieError> {
        let mut bytes = Vec::with_capacity(HEAD_LEN + value.len() + TAG_LEN);
        let mut nonce = XNonce::default();
        getrandom::fill(&mut nonce).map_err(|_| CookieError::NoRandomness)?;
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(value);
        let text = InOutBuf::from(&mut bytes[HEAD_LEN..]);
        let tag = self
            .first()
            .cipher
            .encrypt_inout_detached(&nonce, name.as_bytes(), text)
            .expect("the cipher takes up to 256 GiB, more than a cookie's value");
        bytes.extend_from_slice(&tag);
        Ok(BASE64.encode(bytes))
    }

    /// Decrypts what [`Keys::seal`] made for the cookie `name`, trying every key; `None` for anything else.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Opened> {
        let mut bytes = BASE64.decode(sealed).ok()?;
        let (head, rest) = bytes.split_first_chunk_mut::<HEAD_LEN>()?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        let [VERSION, nonce @ ..] = *head else { return None };
        let (nonce, tag) = (XNonce::from(nonce), Tag::from(*tag));
        // A key that does not fit leaves the text as it is: the tag is checked before anything is decrypted.
        let key_index = self.iter().position(|key| {
            key.cipher
                .decrypt_inout_detached(&nonce, name.as_bytes(), InOutBuf::from(&mut *text), &tag)
                .is_ok()
        })?;
        let len = text.len();
        bytes.drain(..HEAD_LEN);
        bytes.truncate(len);
        Some(Opened { value: bytes, key_index })
    }
}

/// The cipher that belongs to a key of the ring.
pub(super) fn cipher(key: &[u8]) -> XChaCha20Poly1305 {
    let mut derived = derive(key, PURPOSE);
    let cipher = XChaCha20Poly1305::new((&derived).into());
    derived.zeroize();
    cipher
}

/// HKDF-SHA256 (RFC 5869) without salt, for one block of output.
fn derive(key: &[u8], purpose: &[u8]) -> [u8; 32] {
    let hmac = |key: &[u8], data: [&[u8]; 2]| -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes a key of any length");
        mac.chain_update(data[0]).chain_update(data[1]).finalize().into_bytes().into()
    };
    let mut extracted = hmac(&[], [key, &[]]);
    let derived = hmac(&extracted, [purpose, &[1]]);
    extracted.zeroize();
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(ring: &[&str]) -> Keys {
        Keys::new(ring).unwrap()
    }

    #[test]
    fn derivation_is_hkdf() {
        // RFC 5869, appendix A.3: no salt, no info; the first 32 of its 42 bytes.
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        let hex: String = derive(&[0x0b; 22], b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn an_old_key_opens_and_says_so() {
        let sealed = keys(&["old"]).seal("sid", b"secret").unwrap();
        let opened = |ring: &[&str]| keys(ring).open("sid", sealed.as_bytes());
        let value = b"secret".to_vec();
        assert_eq!(opened(&["old"]), Some(Opened { value: value.clone(), key_index: 0 }));
        assert_eq!(opened(&["new", "newer", "old"]), Some(Opened { value, key_index: 2 }));
        assert_eq!(opened(&["new"]), None);
    }

    #[test]
    fn a_value_sealed_once_opens_for_ever() {
        // Made by another implementation of the format above, with the nonce 0, 1 .. 23.
        let sealed = b"AQABAgMEBQYHCAkKCwwNDg8QERITFBUWF5ndt9Y6K0Dh84rcf41-HGF0iR29VA";
        assert_eq!(keys(&["k"]).open("a", sealed).unwrap().value, b"onion");
    }

    #[test]
    fn the_name_binds_and_no_two_texts_are_equal() {
        let keys = keys(&["k"]);
        let sealed = keys.seal("user", b"7").unwrap();
        assert_eq!(keys.open("admin", sealed.as_bytes()), None);
        assert_ne!(sealed, keys.seal("user", b"7").unwrap());
    }

    #[test]
    fn another_version_does_not_open() {
        let keys = keys(&["k"]);
        let mut bytes = BASE64.decode(keys.seal("a", b"1").unwrap()).unwrap();
        bytes[0] = 2;
        assert_eq!(keys.open("a", BASE64.encode(bytes).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn sealed_opens_and_tampered_does_not(
            value in proptest::collection::vec(any::<u8>(), 0..200),
            name in any::<String>(),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let keys = keys(&["new", "old"]);
            let sealed = keys.seal(&name, &value).unwrap();
            prop_assert_eq!(sealed.len(), ((HEAD_LEN + value.len() + TAG_LEN) * 4).div_ceil(3));
            let opened = keys.open(&name, sealed.as_bytes()).unwrap();
            prop_assert_eq!((opened.value, opened.key_index), (value, 0));

            let mut text = sealed.clone().into_bytes();
            text[at.index(sealed.len())] ^= flip;
            prop_assert_eq!(keys.open(&name, &text), None);
            let mut bytes = BASE64.decode(&sealed).unwrap();
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            prop_assert_eq!(keys.open(&name, BASE64.encode(&bytes).as_bytes()), None);
            bytes.truncate(place);
            prop_assert_eq!(keys.open(&name, BASE64.encode(&bytes).as_bytes()), None);
        }

        #[test]
        fn no_text_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let keys = keys(&["k"]);
            prop_assert_eq!(keys.open("a", &bytes), None);
            bytes.insert(0, VERSION);
            prop_assert_eq!(keys.open("a", BASE64.encode(bytes).as_bytes()), None);
        }
    }
}
