//! Why TLS cannot be set up, and what to do about it.

use std::{io, path::PathBuf};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The list of certificates is empty.
    #[error("TLS needs a certificate: add one to the list `certificates`")]
    NoCertificates,
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
