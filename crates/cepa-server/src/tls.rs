//! TLS: certificates chosen by name and swapped while connections live, ALPN, tickets; rustls does the protocol.
//!
//! TLS 1.2 and 1.3 only, with rustls' cipher suites (all with forward secrecy and authenticated encryption), no
//! renegotiation, no compression, no early data (0-RTT), no client certificates.
//!
//! **Resumption** is by tickets alone; the server keeps no sessions. Their keys are made at start, replaced every six
//! hours and live in the memory of this process: one [`Tls`], cloned, serves all its worker threads, and a ticket is
//! worth nothing to another process, another `Tls`, or after a restart (the client then makes a full handshake).
//! rustls resumes a session only under the server name for which it was begun, so a ticket does not lead from one
//! name to another. It may outlive a certificate: after a reload sessions go on to be resumed until their ticket ends,
//! at most twelve hours; restart to end them at once, say, when a key has leaked.
//!
//! ```no_run
//! use cepa_server::tls::{self, Tls, TlsConfig};
//! use std::time::Duration;
//!
//! # async fn serve(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
//! let config: TlsConfig = toml::from_str(
//!     "certificates = [{ cert = '/etc/app/cert.pem', key = '/etc/app/key.pem' }]",
//! )?;
//! let tls = Tls::load(&config)?;
//! tokio::spawn(tls.clone().watch(Duration::from_secs(10))); // once per process
//!
//! let stream = tls.acceptor().accept(stream).await?; // within Limits::handshake
//! println!("{:?}", tls::peer_info(&stream));
//! # Ok(()) }
//! ```

mod certificate;
mod config;
mod error;
mod name;
mod peer;
mod provider;
mod resolver;
#[cfg(feature = "self-signed")]
mod self_signed;
#[cfg(test)]
mod tests;

pub use config::{CertificateFiles, Protocol, TlsConfig};
pub use error::TlsError;
pub use peer::{PeerInfo, authority_matches, peer_info};
#[cfg(feature = "self-signed")]
pub use self_signed::{SelfSigned, self_signed};

use certificate::Certificate;
use resolver::{Resolver, Table};
use rustls::{ServerConfig, crypto::CryptoProvider, server::NoServerSessionStorage};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_rustls::TlsAcceptor;

/// The TLS side of a listener; clones share certificates and ticket keys, across threads.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    resolver: Arc<Resolver>,
    /// What the table of the resolver is made of; locked during a reload.
    certificates: Mutex<Vec<Certificate>>,
}

/// What [`Tls::reload_if_changed`] has done.
#[derive(Debug, Default)]
pub struct Reload {
    /// Certificates that new connections get in their new form.
    pub changed: usize,
    /// Why others could not be read anew; their old form goes on to be served.
    pub errors: Vec<TlsError>,
}

impl Tls {
    /// Reads the certificates and keys, and checks that they belong together and cover the configured names.
    ///
    /// # Errors
    /// See [`TlsError`]; each names the file or the name at fault.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = provider::provider();
        let load = |files| Certificate::load(files, &provider);
        let certificates = config.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let resolver = Arc::new(Resolver::new(Table::new(&certificates)?));

        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Resolver>::clone(&resolver));
        server.alpn_protocols = config.alpn.iter().map(|protocol| protocol.id().to_vec()).collect();
        server.ticketer = provider::ticketer().map_err(TlsError::Setup)?;
        // Tickets do it without a table that all threads lock.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.max_early_data_size = 0;

        let shared = Shared { provider, resolver, certificates: Mutex::new(certificates) };
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), shared: Arc::new(shared) })
    }

    /// What makes the handshake on an accepted connection; it sets no timer.
    #[must_use]
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the certificates anew whose files have changed (device, inode, size or time of modification, symbolic
    /// links followed), and gives them to the handshakes that begin from now on. Open connections are not touched.
    ///
    /// A certificate that cannot be used, or whose key does not match (yet: the two files are seldom replaced at
    /// once), stays as it was, does not hold up the others, and is tried again by the next call. Blocks for the time
    /// of reading files.
    pub fn reload_if_changed(&self) -> Reload {
        let mut reload = Reload::default();
        let mut certificates = self.shared.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        for certificate in certificates.iter_mut() {
            match certificate.reload_if_changed(&self.shared.provider) {
                Ok(changed) => reload.changed += usize::from(changed),
                Err(error) => reload.errors.push(error),
            }
        }
        if reload.changed > 0 {
            match Table::new(&certificates) {
                Ok(table) => self.shared.resolver.swap(table),
                Err(error) => reload.errors.push(error),
            }
        }
        reload
    }

    /// Calls [`reload_if_changed`](Self::reload_if_changed) every so often (not under a second), on a thread for
    /// blocking work; logs what has changed, and each error once for as long as it lasts. Spawn it once per process.
    pub async fn watch(self, every: Duration) {
        let every = every.max(Duration::from_secs(1));
        let mut known = Vec::new();
        loop {
            tokio::time::sleep(every).await;
            let tls = self.clone();
            let Ok(reload) = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await else {
                // The runtime is shutting down.
                return;
            };
            if reload.changed > 0 {
                tracing::info!(
                    count = reload.changed,
                    "certificates have changed and are served from now on"
                );
            }
            let errors: Vec<_> = reload.errors.iter().map(ToString::to_string).collect();
            for error in errors.iter().filter(|error| !known.contains(*error)) {
                tracing::error!(error, "a certificate has changed and cannot be used; the old one is kept");
            }
            known = errors;
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
