//! The ring of keys under which Egg encrypts, and its cipher.

use std::{fmt, sync::Arc};

use aes::{
    Aes256,
    cipher::{
        BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _,
        block_padding::{NoPadding, Pkcs7},
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE as BASE64};
use cepa_core::{
    Ctx,
    cookie::{CookieError, CookieOptions, KeysError, MAX_SET_COOKIE, Opened},
};
use hmac::digest::zeroize::Zeroizing;
use md5::{Digest as _, Md5};
use subtle::{ConstantTimeEq as _, ConstantTimeGreater as _};

const KEY_LEN: usize = 32;
const BLOCK_LEN: usize = 16;

/// The keys of Egg's configuration, newest first, for cookies that it has encrypted.
///
/// See the [module](super) for what they do not protect. Key material is wiped when the last copy is dropped and
/// never printed.
///
/// ```
/// use cepa_layers::egg::Keys;
///
/// let keys = Keys::new(["secret-key"])?;
/// let sealed = keys.seal(b"tobi");
/// assert_eq!(keys.open(sealed.as_bytes()).map(|opened| opened.value), Some(b"tobi".to_vec()));
/// # Ok::<(), cepa_core::cookie::KeysError>(())
/// ```
#[derive(Clone)]
pub struct Keys {
    ring: Arc<[Key]>,
}

/// An AES key and the IV that belongs to it.
struct Key(Zeroizing<[u8; KEY_LEN + BLOCK_LEN]>);

impl Keys {
    /// A ring of the keys as Egg has them: the first encrypts, all decrypt.
    ///
    /// # Errors
    /// No key, or an empty one.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, KeysError> {
        let key = |(index, key): (usize, K)| match key.as_ref() {
            [] => Err(KeysError::EmptyKey(index)),
            key => Ok(Key::derive(key)),
        };
        let ring: Arc<[Key]> = keys.into_iter().enumerate().map(key).collect::<Result<_, _>>()?;
        if ring.is_empty() { Err(KeysError::NoKey) } else { Ok(Self { ring }) }
    }

    /// What Egg makes of a value with `encrypt: true`; of no value it makes none.
    pub fn seal(&self, value: &[u8]) -> String {
        if value.is_empty() { String::new() } else { BASE64.encode(self.ring[0].encrypt(value)) }
    }

    /// Decrypts what Egg, or [`seal`](Self::seal), has made: with the first key under which it comes out as text.
    ///
    /// That is a guess, since nothing in the cookie says that it is whole. It is a good one: under a wrong key text
    /// comes out once in millions of times. `None` for anything else, in the same words whatever is wrong.
    pub fn open(&self, sealed: &[u8]) -> Option<Opened> {
        self.open_where(sealed, |value| std::str::from_utf8(value).is_ok())
    }

    /// Decrypts with the first key under which something plausible comes out.
    pub(crate) fn open_where(&self, sealed: &[u8], is_plausible: fn(&[u8]) -> bool) -> Option<Opened> {
        if sealed.is_empty() || sealed.len() > MAX_SET_COOKIE {
            return None;
        }
        let sealed = BASE64.decode(sealed).ok()?;
        let found = |(key_index, key): (usize, &Key)| {
            let value = key.decrypt(&sealed).filter(|value| is_plausible(value))?;
            Some(Opened { value, key_index })
        };
        self.ring.iter().enumerate().find_map(found)
    }

    /// The value of the first cookie of this name, as `ctx.cookies.get(name, { encrypt: true })` has it in Egg.
    pub fn get(&self, ctx: &mut Ctx, name: &str) -> Option<String> {
        let sealed = ctx.cookies().get(name)?;
        String::from_utf8(self.open(sealed.as_bytes())?.value).ok()
    }

    /// Sets a cookie as `ctx.cookies.set(name, value, { encrypt: true })` does; an empty value deletes it.
    /// `options.signed` is ignored: Egg signs no such cookie.
    ///
    /// # Errors
    /// As [`Jar::set`](cepa_core::cookie::Jar::set).
    pub fn set(
        &self,
        ctx: &mut Ctx,
        name: &str,
        value: &[u8],
        options: &CookieOptions<'_>,
    ) -> Result<(), CookieError> {
        if value.len() > MAX_SET_COOKIE {
            return Err(CookieError::TooLong { name: name.into(), len: value.len() });
        }
        let options = CookieOptions { signed: Some(false), ..*options };
        ctx.cookies().set(name, &self.seal(value), &options)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.ring.len()).finish()
    }
}

impl Key {
    /// `EVP_BytesToKey`: each hash is that of the one before and the secret.
    fn derive(secret: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; KEY_LEN + BLOCK_LEN]);
        for at in (0..derived.len()).step_by(BLOCK_LEN) {
            let before = &derived[at.saturating_sub(BLOCK_LEN)..at];
            let hash = Md5::new().chain_update(before).chain_update(secret).finalize();
            derived[at..at + BLOCK_LEN].copy_from_slice(&hash);
        }
        Self(derived)
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.0.split_at(KEY_LEN)
    }

    fn encrypt(&self, value: &[u8]) -> Vec<u8> {
        let (key, iv) = self.parts();
        cbc::Encryptor::<Aes256>::new_from_slices(key, iv).expect(LENGTHS).encrypt_padded_vec::<Pkcs7>(value)
    }

    /// The text of whole blocks whose padding is right.
    fn decrypt(&self, blocks: &[u8]) -> Option<Vec<u8>> {
        let (key, iv) = self.parts();
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, iv).expect(LENGTHS);
        let mut text = cipher.decrypt_padded_vec::<NoPadding>(blocks).ok()?;
        let padding = padding(text.last_chunk()?)?;
        text.truncate(text.len() - padding);
        Some(text)
    }
}

const LENGTHS: &str = "the two parts of 48 bytes are a key of 32 and an IV of 16";

/// The length of the padding in a last block, if it is right. The time does not tell in which byte it is wrong.
fn padding(block: &[u8; BLOCK_LEN]) -> Option<usize> {
    let length = block[BLOCK_LEN - 1];
    let mut is_right = !length.ct_eq(&0) & !length.ct_gt(&(BLOCK_LEN as u8));
    for (from_end, byte) in (0u8..).zip(block.iter().rev()) {
        is_right &= byte.ct_eq(&length) | !length.ct_gt(&from_end);
    }
    bool::from(is_right).then_some(usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Keys {
        /// Whether the first key finds a right padding.
        pub(in crate::egg) fn ring_decrypts(&self, blocks: &[u8]) -> bool {
            self.ring[0].decrypt(blocks).is_some()
        }
    }

    proptest! {
        #[test]
        fn padding_is_that_of_pkcs7(mut block: [u8; BLOCK_LEN], length in 0..=BLOCK_LEN + 1, wrong in 0..BLOCK_LEN) {
            let start = BLOCK_LEN.saturating_sub(length);
            block[start..].fill(length as u8);
            let is_length = (1..=BLOCK_LEN).contains(&length);
            if is_length {
                prop_assert_eq!(padding(&block), Some(length));
            } else if length > BLOCK_LEN {
                prop_assert_eq!(padding(&block), None);
            }
            if wrong >= start && wrong < BLOCK_LEN - 1 {
                block[wrong] ^= 1;
                prop_assert_eq!(padding(&block), None);
            }
            block[BLOCK_LEN - 1] = 0;
            prop_assert_eq!(padding(&block), None);
        }
    }
}
