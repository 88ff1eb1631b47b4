//! The accounts and the hashes of their passwords.

use std::{collections::HashMap, sync::Arc};

use cepa::prelude::*;

/// bcrypt looks at no more bytes: a longer password would be as good as its beginning.
const LONGEST: usize = 72;

/// All accounts; a clone is the same.
#[derive(Clone)]
pub(crate) struct Accounts {
    hashes: Arc<HashMap<String, String>>,
    /// The hash of no account's password.
    nobody: Arc<str>,
}

impl Accounts {
    /// Checks that every hash is one.
    pub(crate) fn new(hashes: HashMap<String, String>) -> Result<Self> {
        let mut cost = bcrypt::DEFAULT_COST;
        for (name, hash) in &hashes {
            let parts: bcrypt::HashParts = hash.parse().map_err(|error| {
                Error::new(500, format!("login.accounts.{name} is no bcrypt hash")).with_cause(error)
            })?;
            cost = parts.get_cost();
        }
        let nobody = bcrypt::hash("", cost)?.into();
        Ok(Self { hashes: hashes.into(), nobody })
    }

    /// Whether the password is the account's. Takes about a quarter of a second of a processor, by intention.
    ///
    /// It takes as long for an account that does not exist, lest the time tell which do.
    pub(crate) fn verify(&self, name: &str, password: &str) -> bool {
        let hash = self.hashes.get(name);
        let is_right = bcrypt::verify(password, hash.map_or(&self.nobody, String::as_str)).unwrap_or(false);
        is_right && hash.is_some() && password.len() <= LONGEST
    }
}
