//! The configuration of TLS.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which certificates a listener has, and which protocols it offers.
///
/// They come from files, by ACME, or are made for development, and may stand beside each other. The first that is there,
/// in this order, is also for clients that name no server, or one that is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates from files, default none.
    pub certificates: Vec<CertificateFiles>,
    /// The host names whose certificates come by ACME, one for each, default none; at most 100. The section `acme`
    /// says from whom. Wildcards are not possible. Until its certificate is there, handshakes for a name are refused
    /// (alert `internal_error`).
    pub acme: Vec<String>,
    /// The host names (`*.example.com` too) and IP addresses of one certificate that the server makes itself and keeps
    /// in `server.tls_dir`, default none. No client trusts it before it is told to: it is for development.
    pub self_signed: Vec<String>,
    /// Refuses handshakes for a name that no certificate is listed for (alert `unrecognized_name`; RFC 6066,
    /// section 3), and those that name none (`missing_extension`; RFC 8446, section 9.2), default false: they get the
    /// first certificate. Clients that ask for an IP address name none.
    pub strict_sni: bool,
    /// The protocols offered by ALPN, the preferred one first, default `["h2", "http/1.1"]`. A client that offers
    /// others only is refused (RFC 7301, section 3.2); with an empty list nothing is negotiated.
    pub alpn: Vec<Protocol>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            acme: Vec::new(),
            self_signed: Vec::new(),
            strict_sni: false,
            alpn: Protocol::all(),
        }
    }
}

impl TlsConfig {
    /// These certificates, with both protocols offered.
    #[must_use]
    pub fn new(certificates: Vec<CertificateFiles>) -> Self {
        Self { certificates, ..Self::default() }
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
        let acme: TlsConfig = toml::from_str("acme = ['a.test']").unwrap();
        assert!(acme.certificates.is_empty() && acme.self_signed.is_empty() && !acme.strict_sni);
        assert!(toml::from_str::<TlsConfig>("certificates = []\nalpn = ['spdy/3']").is_err());
        assert!(toml::from_str::<TlsConfig>("certificates = []\nciphers = 'ALL'").is_err());
    }
}
