//! The account with the authority: its key is made once, and kept.

use std::{fs, io, path::PathBuf};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cepa_server::{blocking, tls::TlsFolder};
use instant_acme::{Account, AccountCredentials, Error as Protocol, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};

use crate::{AcmeConfig, AcmeError, client::Client, error::OrderError};

/// More than any key of an authority has.
const LONGEST_KEY: usize = 1024;

/// The account as it is kept, in JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// Where the account with a directory is kept: each has its own.
pub(crate) fn file(folder: &TlsFolder, directory: &str) -> PathBuf {
    let name = directory.trim_start_matches("https://").chars().take(150);
    let name =
        name.map(|char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '-') { char } else { '_' });
    folder.acme().join("accounts").join(name.chain(".json".chars()).collect::<String>())
}

/// The key that the authority has given for an account that was made otherwise.
pub(crate) fn external_key(config: &AcmeConfig) -> Result<Option<(String, Vec<u8>)>, AcmeError> {
    let Some(external) = &config.external_account else { return Ok(None) };
    let failed = |reason: &str| AcmeError::ExternalAccount {
        path: external.key_file.clone(),
        reason: reason.to_owned(),
    };
    let text = fs::read_to_string(&external.key_file).map_err(|error| failed(&error.to_string()))?;
    let text = text.trim().trim_end_matches('=');
    if text.is_empty() || text.len() > LONGEST_KEY {
        return Err(failed("it is not the one key in base64url"));
    }
    // What is wrong with it may be part of it.
    let key = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| failed("it is not in base64url"))?;
    Ok(Some((external.id.clone(), key)))
}

/// What an account is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) config: &'a AcmeConfig,
    pub(crate) directory: &'a str,
    pub(crate) folder: &'a TlsFolder,
    pub(crate) client: &'a Client,
    pub(crate) external: Option<&'a (String, Vec<u8>)>,
}

impl Opening<'_> {
    /// The account that is kept, or a new one.
    pub(crate) async fn open(&self) -> Result<Account, OrderError> {
        let path = file(self.folder, self.directory);
        let contact = self.config.contact_urls();
        let kept = {
            let path = path.clone();
            blocking(move || fs::read_to_string(path)).await
        };
        let kept = match kept {
            Ok(text) => serde_json::from_str::<Kept>(&text)
                .inspect_err(|error| {
                    tracing::error!(target: "cepa::acme", file = %path.display(), %error, "the account is damaged, a new one is made");
                })
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(OrderError::File { path, source }),
        };
        match kept.filter(|kept| kept.directory == self.directory) {
            Some(kept) if kept.contact == contact => self.restore(kept.credentials).await,
            Some(kept) => {
                let stored = serde_json::to_value(&kept.credentials).map_err(Protocol::from)?;
                let account = self.restore(kept.credentials).await?;
                let urls: Vec<_> = contact.iter().map(String::as_str).collect();
                account.update_contacts(&urls).await.map_err(OrderError::Account)?;
                let credentials = serde_json::from_value(stored).map_err(Protocol::from)?;
                self.keep(path, contact, credentials).await?;
                Ok(account)
            }
            None => self.make(path, contact).await,
        }
    }

    async fn restore(&self, credentials: AccountCredentials) -> Result<Account, OrderError> {
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        builder.from_credentials(credentials).await.map_err(OrderError::Account)
    }

    async fn make(&self, path: PathBuf, contact: Vec<String>) -> Result<Account, OrderError> {
        let urls: Vec<_> = contact.iter().map(String::as_str).collect();
        let terms_of_service_agreed = self.config.agree_to_terms;
        let account = NewAccount { contact: &urls, terms_of_service_agreed, only_return_existing: false };
        let external = self.external.map(|(id, key)| ExternalAccountKey::new(id.clone(), key));
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let made = builder.create(&account, self.directory.to_owned(), external.as_ref()).await;
        let (account, credentials) = made.map_err(OrderError::Account)?;
        self.keep(path, contact, credentials).await?;
        tracing::info!(target: "cepa::acme", directory = self.directory, "an account was made");
        Ok(account)
    }

    async fn keep(
        &self,
        path: PathBuf,
        contact: Vec<String>,
        credentials: AccountCredentials,
    ) -> Result<(), OrderError> {
        let kept = Kept { directory: self.directory.to_owned(), contact, credentials };
        let text = serde_json::to_vec_pretty(&kept).map_err(Protocol::from)?;
        Ok(blocking(move || TlsFolder::write(&path, &text)).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ExternalAccount;

    #[test]
    fn each_directory_has_a_file_of_its_own() {
        let folder = TlsFolder::new("/t");
        for (directory, name) in [
            ("https://ca.test/dir", "ca.test_dir.json"),
            ("https://127.0.0.1:14000/dir", "127.0.0.1_14000_dir.json"),
            ("https://../../x", ".._.._x.json"),
        ] {
            assert_eq!(file(&folder, directory), Path::new("/t/acme/accounts").join(name));
        }
        assert!(file(&folder, &"a".repeat(1000)).file_name().unwrap().len() < 255);
    }

    #[test]
    fn the_key_of_an_external_account_is_checked_and_never_told() {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        let external_account = Some(ExternalAccount { id: "kid".to_owned(), key_file: key_file.clone() });
        let config = AcmeConfig { external_account, ..AcmeConfig::default() };
        assert!(external_key(&config).unwrap_err().to_string().contains("No such file"));
        for text in ["", "\n", "s3cr3t!!", &"a".repeat(1025)] {
            fs::write(&key_file, text).unwrap();
            let error = external_key(&config).unwrap_err().to_string();
            assert!(error.contains("base64url") && !error.contains("s3cr3t"), "{error}");
        }
        for text in ["AQID\n", "AQI=", "AQI"] {
            fs::write(&key_file, text).unwrap();
            let (id, key) = external_key(&config).unwrap().unwrap();
            assert!(id == "kid" && key.starts_with(&[1, 2]));
        }
    }
}
