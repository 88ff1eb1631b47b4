//! The users of a file with their bcrypt hashes, and those who were right a moment ago.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Credentials;
use crate::auth::{AuthError, LineFault, read_lines};

/// The highest cost of a hash: such a password takes a processor for some seconds.
const MOST_COST: u32 = 16;
/// What bcrypt takes of a password, in bytes.
const LONGEST_PASSWORD: usize = 72;
const FORM: &str = "name:hash";

/// The users of a file.
pub(super) struct Htpasswd {
    hashes: HashMap<String, String>,
    /// What the password of a name that is not known is compared with, so that it takes as long.
    nobody: String,
}

impl Htpasswd {
    pub(super) fn read(path: &Path, least_cost: u32) -> Result<Self, AuthError> {
        let mut hashes = HashMap::new();
        let mut most = least_cost.clamp(4, MOST_COST);
        read_lines(path, |line| {
            let (name, hash) = line.trim_end().split_once(':').ok_or(LineFault::Form(FORM))?;
            if name.is_empty() {
                return Err(LineFault::Form(FORM));
            }
            most = most.max(checked_cost(hash, least_cost)?);
            match hashes.insert(name.to_owned(), hash.to_owned()) {
                None => Ok(()),
                Some(_) => Err(LineFault::Twice),
            }
        })?;
        // A hash that no password is known to have.
        let nobody = format!("$2b${most:02}${}", "e".repeat(53));
        Ok(Self { hashes, nobody })
    }

    /// The hash of a user.
    pub(super) fn hash(&self, name: &str) -> Option<&str> {
        self.hashes.get(name).map(String::as_str)
    }

    /// Whether a name and password belong together. It takes a processor for a while.
    pub(super) fn check(&self, credentials: &Credentials) -> bool {
        let known = self.hash(&credentials.name);
        let password = credentials.password.as_bytes();
        let fits = password.len() <= LONGEST_PASSWORD;
        let is_right = bcrypt::verify(password, known.unwrap_or(&self.nobody)).unwrap_or(false);
        is_right & known.is_some() & fits
    }
}

/// The cost of a hash that is sound.
fn checked_cost(hash: &str, least: u32) -> Result<u32, LineFault> {
    const HOW: &str = "htpasswd -B -C 10";
    let is_bcrypt = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
    if !is_bcrypt {
        return Err(LineFault::Weak(HOW));
    }
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| LineFault::Form(FORM))?;
    let found = parts.get_cost();
    match (least..=MOST_COST).contains(&found) {
        true => Ok(found),
        false => Err(LineFault::Cost { found, least, most: MOST_COST }),
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({} users)", self.hashes.len())
    }
}

/// Names and passwords that were right a moment ago.
///
/// What is kept is a keyed hash of name, password and their stored hash: it tells nobody the password, and holds no
/// longer once the stored hash is another.
pub(super) struct Remembered {
    key: Hmac<Sha256>,
    life: Duration,
    until: Mutex<HashMap<Seal, Instant>>,
}

pub(super) type Seal = [u8; 32];

/// The most that are remembered.
const MOST_REMEMBERED: usize = 1024;

impl Remembered {
    pub(super) fn new(life: Duration) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("a system without randomness serves nothing");
        let key = Hmac::new_from_slice(&key).expect("a key of HMAC has any length");
        Self { key, life, until: Mutex::default() }
    }

    pub(super) fn seal(&self, credentials: &Credentials, hash: &str) -> Seal {
        let mut mac = self.key.clone();
        for part in [&credentials.name, &credentials.password, hash] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    pub(super) fn knows(&self, seal: &Seal, now: Instant) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(seal).is_some_and(|until| now < *until)
    }

    pub(super) fn add(&self, seal: Seal, now: Instant) {
        if self.life.is_zero() {
            return;
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= MOST_REMEMBERED {
            until.retain(|_, until| now < *until);
        }
        // So many users at once may all be hashed anew.
        if until.len() >= MOST_REMEMBERED {
            until.clear();
        }
        until.insert(seal, now + self.life);
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise it would be refused at once, and show by its time that a name is not known.
    #[test]
    fn nobody_has_a_hash_that_is_computed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let users = Htpasswd::read(file.path(), 5).unwrap();
        assert!(users.nobody.starts_with("$2b$05$"));
        assert!(!bcrypt::verify("x", &users.nobody).unwrap());
    }
}
