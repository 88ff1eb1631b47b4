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
//! use cepa_server::tls::{self, Tls, TlsConfig, TlsFolder};
//! use std::time::Duration;
//!
//! # async fn serve(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
//! let config: TlsConfig = toml::from_str(
//!     "certificates = [{ cert = '/etc/app/cert.pem', key = '/etc/app/key.pem' }]",
//! )?;
//! let tls = Tls::load(&config, &TlsFolder::new("data/tls"))?;
//! tokio::spawn(tls.clone().watch(Duration::from_secs(10))); // once per process
//!
//! if let Some(stream) = tls.accept(stream).await? { // within Limits::handshake
//!     println!("{:?}", tls::peer_info(&stream));
//! }
//! # Ok(()) }
//! ```

mod certificate;
mod challenge;
mod config;
mod error;
mod folder;
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
pub use folder::TlsFolder;
pub use peer::{PeerInfo, authority_matches, peer_info};
pub use provider::provider;
#[cfg(feature = "self-signed")]
pub use self_signed::{SelfSigned, self_signed};

use certificate::Certificate;
use challenge::Challenges;
use error::MOST_ACME_NAMES;
use name::Name;
use resolver::{Refusal, Resolver, Table};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    server::{Acceptor, NoServerSessionStorage},
};
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    task::spawn_blocking,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

/// What is spoken.
static VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// How often files are looked at which another process may write at any moment.
const AWAITED: Duration = Duration::from_secs(1);

/// The TLS side of a listener; clones share certificates and ticket keys, across threads.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    resolver: Arc<Resolver>,
    challenges: Challenges,
    is_strict: bool,
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
    /// Reads the certificates and keys, and checks that they belong together and cover the configured names. What the
    /// configuration wants made or got is in `folder`; one that is to come by ACME may come later.
    ///
    /// # Errors
    /// See [`TlsError`]; each names the file or the name at fault.
    pub fn load(config: &TlsConfig, folder: &TlsFolder) -> Result<Self, TlsError> {
        let provider = provider();
        let acme = config.acme_names()?;
        let load = |files| Certificate::load(files, &provider);
        let mut certificates = config.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        for name in &acme {
            let file = folder.certificate(name)?;
            certificates.push(Certificate::awaited(name.clone(), file, &provider));
        }
        if !config.self_signed.is_empty() {
            certificates.push(load(&self_signed_files(&config.self_signed, folder)?)?);
        }
        if certificates.is_empty() {
            return Err(TlsError::NoCertificates);
        }
        let is_strict = config.strict_sni;
        let resolver = Arc::new(Resolver::new(Table::new(&certificates, is_strict)));
        let config = server_config(config, &provider, &resolver)?;
        let challenges = Challenges::new(&acme, folder);
        let certificates = Mutex::new(certificates);
        let shared = Arc::new(Shared { provider, resolver, challenges, is_strict, certificates });
        Ok(Self { config, shared })
    }

    /// Makes the handshake on an accepted connection; it sets no timer. `None` if there is nothing to be served: it was
    /// made to see who controls a name (tls-alpn-01, RFC 8737), and is over.
    ///
    /// # Errors
    /// The client is gone, is refused, or does not speak TLS as it should.
    pub async fn accept<IO>(&self, io: IO) -> io::Result<Option<TlsStream<IO>>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let hello = start.client_hello();
        let refusal = match self.shared.challenges.asked(&hello) {
            None => match self.shared.resolver.refusal(hello.server_name()) {
                None => return start.into_stream(Arc::clone(&self.config)).await.map(Some),
                Some(refusal) => refusal,
            },
            Some(Err(refusal)) => refusal,
            Some(Ok(asked)) => {
                let provider = Arc::clone(&self.shared.provider);
                match spawn_blocking(move || asked.answer(&provider)).await? {
                    Ok(config) => {
                        start.into_stream(config).await?.shutdown().await?;
                        return Ok(None);
                    }
                    Err(error) if error.is_missing() => Refusal::Unknown,
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
        };
        start.io.write_all(&refusal.record()).await?;
        start.io.shutdown().await?;
        Err(io::Error::new(io::ErrorKind::InvalidInput, refusal.reason()))
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
            self.shared.resolver.swap(Table::new(&certificates, self.shared.is_strict));
        }
        reload
    }

    /// Calls [`reload_if_changed`](Self::reload_if_changed) every so often (not under a second), on a thread for
    /// blocking work, and every second if certificates come by ACME; logs what has changed, and each error once for as
    /// long as it lasts. Spawn it once per process.
    pub async fn watch(self, every: Duration) {
        let every = if self.shared.challenges.is_empty() { every.max(AWAITED) } else { AWAITED };
        let mut known = Vec::new();
        loop {
            tokio::time::sleep(every).await;
            let tls = self.clone();
            let Ok(reload) = spawn_blocking(move || tls.reload_if_changed()).await else {
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

fn server_config(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    resolver: &Arc<Resolver>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Resolver>::clone(resolver));
    server.alpn_protocols = config.alpn.iter().map(|protocol| protocol.id().to_vec()).collect();
    server.ticketer = provider::ticketer().map_err(TlsError::Setup)?;
    // Tickets do it without a table that all threads lock.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.max_early_data_size = 0;
    Ok(Arc::new(server))
}

impl TlsConfig {
    /// The names whose certificates come by ACME, in lower case and each once.
    ///
    /// # Errors
    /// [`TlsError`]: a name is none, or none that ACME can be asked for, or they are too many.
    pub fn acme_names(&self) -> Result<Vec<Box<str>>, TlsError> {
        if self.acme.len() > MOST_ACME_NAMES {
            return Err(TlsError::TooManyNames { count: self.acme.len() });
        }
        let mut names = Vec::new();
        for name in &self.acme {
            let name = Name::parse_for_acme(name)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

#[cfg(feature = "self-signed")]
fn self_signed_files(names: &[String], folder: &TlsFolder) -> Result<CertificateFiles, TlsError> {
    self_signed::kept(names, folder)
}

#[cfg(not(feature = "self-signed"))]
fn self_signed_files(_: &[String], _: &TlsFolder) -> Result<CertificateFiles, TlsError> {
    Err(TlsError::NoSelfSigned)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
