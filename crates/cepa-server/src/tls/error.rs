//! Why TLS cannot be set up, and what to do about it.

use std::{io, path::PathBuf};

/// The most names of a listener that have certificates by ACME.
pub(super) const MOST_ACME_NAMES: usize = 100;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate.
    #[error(
        "TLS needs a certificate: name its files in `certificates`, or host names in `acme` or `self_signed`"
    )]
    NoCertificates,
    /// A name that no certificate can be got for by ACME.
    #[error(
        "acme: {name:?}: ACME answers for plain host names only; name the files of its certificate in `certificates`"
    )]
    NotByAcme {
        /// The name.
        name: String,
    },
    /// There are more names than one server gets certificates for.
    #[error("acme: {count} names are more than {MOST_ACME_NAMES}")]
    TooManyNames {
        /// How many.
        count: usize,
    },
    /// This program cannot make certificates.
    #[error("self_signed: this program is built without the feature `self-signed`")]
    NoSelfSigned,
    /// The folder of certificates cannot be used.
    #[error("server.tls_dir: {path}: {source}", path = path.display())]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A server name that no client can send.
    #[error("{name:?} is no server name: write a host name like example.com or *.example.com, in ASCII")]
    Name {
        /// The name, cut to 253 characters.
        name: String,
    },
    /// The certificate is not valid for a name it is configured for.
    #[error("{cert}: the certificate is not valid for {name}; correct `names` or get one that is", cert = cert.display())]
    NotFor {
        /// The file.
        cert: PathBuf,
        /// The name.
        name: String,
    },
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is larger than any certificate or key.
    #[error("{path}: larger than 1 MiB, so no certificate or key; is it the right file?", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{path}: no {what} in PEM form: {reason}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong with it; of the contents of a key it says nothing.
        reason: String,
    },
    /// The key is not that of the certificate.
    #[error("{key}: this is not the key of the certificate in {cert}", key = key.display(), cert = cert.display())]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate or its key is of a kind that is not supported, or damaged.
    #[error("{cert} with {key}: {source}", key = key.display(), cert = cert.display())]
    Unusable {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The cryptography cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl TlsError {
    /// Whether it is that a file is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
