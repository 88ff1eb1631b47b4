//! The configuration of TLS.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which certificates a listener has, and which protocols it offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificates; the first is also for clients that name no server, or one that is not listed.
    pub certificates: Vec<CertificateFiles>,
    /// The protocols offered by ALPN, the preferred one first, default `["h2", "http/1.1"]`. A client that offers
    /// others only is refused (RFC 7301, section 3.2); with an empty list nothing is negotiated.
    #[serde(default = "Protocol::all")]
    pub alpn: Vec<Protocol>,
}

impl TlsConfig {
    /// These certificates, with both protocols offered.
    #[must_use]
    pub fn new(certificates: Vec<CertificateFiles>) -> Self {
        Self { certificates, alpn: Protocol::all() }
    }
}

/// A certificate and its key, both in PEM, and the names it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The file of the certificate, followed by the intermediate ones; at most 1 MiB.
    pub cert: PathBuf,
    /// The file of its private key, PKCS #8, PKCS #1 or SEC1, without a passphrase; at most 1 MiB.
    pub key: PathBuf,
    /// The server names (SNI) that get this certificate: `example.com`, or `*.example.com` for one more label in
    /// front. An exact name goes before a wildcard. The certificate must be valid for each. If several certificates
    /// have a name, the first whose kind of key the client can verify is taken. Default none, which is enough for
    /// the only certificate.
    #[serde(default)]
    pub names: Vec<String>,
}

/// A protocol that ALPN can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/2.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
}

impl Protocol {
    /// Its name in the registry of ALPN protocol ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http2 => "h2",
            Self::Http1 => "http/1.1",
        }
    }

    /// [`name`](Self::name) as the bytes that a handshake carries.
    #[must_use]
    pub const fn id(self) -> &'static [u8] {
        self.name().as_bytes()
    }

    /// The protocol of an ALPN id.
    #[must_use]
    pub fn of_id(id: &[u8]) -> Option<Self> {
        [Self::Http2, Self::Http1].into_iter().find(|protocol| protocol.id() == id)
    }

    fn all() -> Vec<Self> {
        vec![Self::Http2, Self::Http1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_with_its_defaults() {
        let config: TlsConfig =
            toml::from_str("[[certificates]]\ncert = '/c'\nkey = '/k'\nnames = ['a.test']").unwrap();
        assert_eq!(config.alpn, [Protocol::Http2, Protocol::Http1]);
        assert_eq!(config.certificates[0].names, ["a.test"]);
        assert!(toml::from_str::<TlsConfig>("certificates = []\nalpn = ['spdy/3']").is_err());
        assert!(toml::from_str::<TlsConfig>("certificates = []\nciphers = 'ALL'").is_err());
    }
}
