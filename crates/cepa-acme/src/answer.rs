//! What is shown to the authority while it looks, and taken away afterwards.

use std::{fs, io, path::PathBuf};

use cepa_server::{
    blocking,
    tls::{TlsError, TlsFolder},
};
use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, KeyPair};

use crate::{Challenge, error::OrderError};

/// A file that answers a challenge, and goes when this does.
#[derive(Debug)]
pub(crate) struct Answer(PathBuf);

impl Answer {
    /// Shows that `name` is controlled here, from now on to every process that serves.
    pub(crate) async fn show(
        challenge: Challenge,
        folder: &TlsFolder,
        name: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<Self, OrderError> {
        let (path, text) = match challenge {
            Challenge::Http01 => {
                let path = folder.http_challenge(token);
                let path = path.ok_or_else(|| OrderError::Unusable("its token is none".to_owned()))?;
                (path, authorization.as_str().to_owned())
            }
            Challenge::TlsAlpn01 => {
                let made = certificate(name, authorization.digest().as_ref());
                let text = made.map_err(|error| OrderError::Unusable(error.to_string()))?;
                (folder.alpn_challenge(name)?, text)
            }
        };
        let shown = Self(path.clone());
        blocking(move || TlsFolder::write(&path, text.as_bytes())).await?;
        Ok(shown)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(target: "cepa::acme", file = %self.0.display(), %error, "an answer is left behind");
            }
            _ => {}
        }
    }
}

/// The certificate of a handshake that answers a challenge, with its key; RFC 8737, section 3.
fn certificate(name: &str, digest: &[u8]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}

/// Takes away what a process that was killed has left.
///
/// # Errors
/// A file that cannot be taken away.
pub(crate) fn clear(folder: &TlsFolder) -> Result<(), TlsError> {
    for dir in [folder.acme().join("http-01"), folder.acme().join("tls-alpn-01")] {
        match fs::remove_dir_all(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(TlsError::Folder { path: dir, source });
            }
            _ => {}
        }
    }
    Ok(())
}
