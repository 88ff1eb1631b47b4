//! The users of a file with the hashes of their passwords.

use std::{collections::HashMap, fmt, path::Path};

use super::digest::{Hash, hash};
use crate::auth::{AuthError, LineFault, read_lines};

const FORM: &str = "name:realm:hash, with the 64 lower-case digits of SHA-256";

/// The line of a user for the file that [`digest_auth`](super::digest_auth()) reads.
///
/// ```
/// use cepa_layers::digest_auth::entry;
///
/// let line = entry("Mufasa", "http-auth@example.org", "Circle of Life");
/// assert!(line.starts_with("Mufasa:http-auth@example.org:7987c64c"));
/// ```
pub fn entry(name: &str, realm: &str, password: &str) -> String {
    let hash = hash(&[name, realm, password]);
    format!("{name}:{realm}:{}", std::str::from_utf8(&hash).unwrap_or_default())
}

/// The users of one realm.
pub(super) struct Htdigest {
    hashes: HashMap<String, Hash>,
}

/// What the digest of a name that is not known is made with, so that it takes as long.
const NOBODY: Hash = [b'0'; 64];

impl Htdigest {
    pub(super) fn read(path: &Path, realm: &str) -> Result<Self, AuthError> {
        let mut hashes = HashMap::new();
        read_lines(path, |line| {
            let parts: Vec<&str> = line.trim_end().split(':').collect();
            let &[name, of, hash] = &parts[..] else { return Err(LineFault::Form(FORM)) };
            if name.is_empty() {
                return Err(LineFault::Form(FORM));
            }
            let hash = checked_hash(hash)?;
            match of == realm && hashes.insert(name.to_owned(), hash).is_some() {
                true => Err(LineFault::Twice),
                false => Ok(()),
            }
        })?;
        Ok(Self { hashes })
    }

    /// Whether there is a user of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.hashes.contains_key(name)
    }

    /// The hash of a user, or one for nobody.
    pub(super) fn hash(&self, name: &str) -> &Hash {
        self.hashes.get(name).unwrap_or(&NOBODY)
    }
}

fn checked_hash(text: &str) -> Result<Hash, LineFault> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() {
        32 if is_hex => Err(LineFault::Weak("cepa_layers::digest_auth::entry")),
        _ => text.as_bytes().try_into().ok().filter(|_| is_hex).ok_or(LineFault::Form(FORM)),
    }
}

impl fmt::Debug for Htdigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htdigest({} users)", self.hashes.len())
    }
}
