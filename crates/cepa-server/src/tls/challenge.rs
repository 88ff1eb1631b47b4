//! The handshakes by which a certificate authority sees who controls a name: tls-alpn-01 (RFC 8737).

use super::{TlsError, TlsFolder, certificate, resolver::Refusal};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, NoServerSessionStorage},
    sign::SingleCertAndKey,
};
use std::{collections::HashSet, path::PathBuf, sync::Arc};

/// The protocol that such a handshake asks for, and nothing else does.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// The names for which such a handshake may come.
#[derive(Debug)]
pub(super) struct Challenges {
    names: HashSet<Box<str>>,
    folder: TlsFolder,
}

impl Challenges {
    pub(super) fn new(names: &[Box<str>], folder: &TlsFolder) -> Self {
        Self { names: names.iter().cloned().collect(), folder: folder.clone() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Where the answer is, if somebody has given one; `None` for any other handshake.
    pub(super) fn asked(&self, hello: &ClientHello<'_>) -> Option<Result<Asked, Refusal>> {
        let mut protocols = hello.alpn()?;
        // As the only one: RFC 8737, section 4.
        if protocols.next() != Some(ACME_TLS) || protocols.next().is_some() {
            return None;
        }
        let name = hello.server_name().and_then(|name| self.names.get(name));
        let file = name.and_then(|name| self.folder.alpn_challenge(name).ok());
        Some(file.map(Asked).ok_or(Refusal::Unknown))
    }
}

/// A handshake that asks for the answer to a challenge.
pub(super) struct Asked(PathBuf);

impl Asked {
    /// How to make the handshake. Blocks for the time of reading a file.
    pub(super) fn answer(self, provider: &Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, TlsError> {
        // Not checked: it has a critical extension that no other certificate has.
        let key = certificate::read_unchecked(&self.0, provider)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(super::VERSIONS)
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}
