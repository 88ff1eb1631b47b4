//! TLS towards other servers.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

use super::{Failure, Http};

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("cepa-layers needs one of the features `aws-lc-rs` (the default) and `ring` for its client");

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;

/// The certificates that are believed, and what is offered.
#[derive(Debug)]
pub(crate) struct Tls {
    http: Http,
    /// Believed beside those of the system.
    own: Vec<CertificateDer<'static>>,
    /// Made when the first connection needs it: reading the certificates of the system takes milliseconds.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(http: Http, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let own = ca_file.map_or(Ok(Vec::new()), read)?;
        Ok(Self { http, own, config: OnceLock::new() })
    }

    /// The configuration. The first call reads files, so it belongs on a thread that may block.
    pub(crate) fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = self.make()?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.config.get().is_some()
    }

    fn make(&self) -> io::Result<ClientConfig> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems keep certificates that nobody can read any more; those that can be are enough.
        roots.add_parsable_certificates(found.certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        if roots.is_empty() {
            return Err(io::Error::other("the system has no root certificates, and no `ca_file` is set"));
        }
        let provider = Arc::new(chosen::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        let offered: &[&[u8]] = match self.http {
            Http::Auto => &[b"h2", b"http/1.1"],
            Http::One => &[b"http/1.1"],
            Http::Two => &[b"h2"],
        };
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    use rustls::pki_types::pem::PemObject;
    let failed = |reason: String| Failure::Certificates { path: PathBuf::from(path), reason };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(BufReader::new(file)).collect();
    let certificates = certificates.map_err(|error| failed(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
    }
    match certificates.is_empty() {
        true => Err(failed("it holds none".to_owned())),
        false => Ok(certificates),
    }
}
