//! A certificate and its key, read from their files, and again when those change.

use super::{CertificateFiles, TlsError, name::Name};
use rustls::{
    InconsistentKeys,
    client::verify_server_name,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// More than any chain of certificates has.
const MAX_FILE: u64 = 1 << 20;

/// A certificate as it is served, and where it came from.
pub(super) struct Certificate {
    files: CertificateFiles,
    pub(super) names: Vec<Name>,
    /// `None` while somebody is still getting it.
    pub(super) key: Option<Arc<CertifiedKey>>,
    /// How the files of certificate and key were when they were read.
    stamps: Option<[Stamp; 2]>,
}

/// What changes when a file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Certificate {
    pub(super) fn load(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let names = files.names.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let (key, stamps) = read(files, &names, provider)?;
        Ok(Self { files: files.clone(), names, key: Some(key), stamps: Some(stamps) })
    }

    /// A certificate for one name that somebody else puts into a file with its key, sooner or later. One that is there and
    /// cannot be used is not there: whoever gets it gets another.
    pub(super) fn awaited(name: Box<str>, file: PathBuf, provider: &CryptoProvider) -> Self {
        let files = CertificateFiles { cert: file.clone(), key: file, names: vec![name.to_string()] };
        let mut awaited = Self { files, names: vec![Name::Exact(name)], key: None, stamps: None };
        if let Err(error) = awaited.reload_if_changed(provider) {
            tracing::error!(target: "cepa::tls", %error, "a certificate of ACME cannot be used");
        }
        awaited
    }

    /// Reads the files again if they have changed; after an error the certificate is what it was.
    pub(super) fn reload_if_changed(&mut self, provider: &CryptoProvider) -> Result<bool, TlsError> {
        let stamps = match (stamp(&self.files.cert), stamp(&self.files.key)) {
            (Err(error), _) | (_, Err(error)) if self.key.is_none() && error.is_missing() => {
                return Ok(false);
            }
            (cert, key) => [cert?, key?],
        };
        if self.stamps == Some(stamps) {
            return Ok(false);
        }
        let (key, stamps) = read(&self.files, &self.names, provider)?;
        (self.key, self.stamps) = (Some(key), Some(stamps));
        Ok(true)
    }
}

/// A certificate of one file, with its key, as it is at this moment, whatever it says.
pub(super) fn read_unchecked(file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let files = CertificateFiles { cert: file.to_owned(), key: file.to_owned(), names: Vec::new() };
    let Pem { chain, key, .. } = Pem::read(&files)?;
    let key = provider.key_provider.load_private_key(key).map_err(unusable(&files))?;
    Ok(CertifiedKey::new(chain, key))
}

fn read(
    files: &CertificateFiles,
    names: &[Name],
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, [Stamp; 2]), TlsError> {
    let Pem { chain, key, stamps } = Pem::read(files)?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(unusable(files))?;
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from).map_err(unusable(files))?;
    for name in names {
        let example = ServerName::try_from(name.example()).map_err(|_| name.error())?;
        verify_server_name(&parsed, &example)
            .map_err(|_| TlsError::NotFor { cert: files.cert.clone(), name: name.to_string() })?;
    }
    Ok((Arc::new(key), stamps))
}

fn unusable(files: &CertificateFiles) -> impl Fn(rustls::Error) -> TlsError {
    move |source| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone() }
        }
        source => TlsError::Unusable { cert: files.cert.clone(), key: files.key.clone(), source },
    }
}

/// What the files of a certificate and its key hold.
struct Pem {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    stamps: [Stamp; 2],
}

impl Pem {
    fn read(files: &CertificateFiles) -> Result<Self, TlsError> {
        let (cert_pem, cert_stamp) = read_file(&files.cert)?;
        let (key_pem, key_stamp) = read_file(&files.key)?;
        let chain = CertificateDer::pem_slice_iter(&cert_pem).collect::<Result<Vec<_>, _>>();
        let chain = match chain {
            Ok(chain) if !chain.is_empty() => chain,
            Ok(_) => return Err(pem_error(&files.cert, "certificate", &"there is no CERTIFICATE section")),
            Err(error) => return Err(pem_error(&files.cert, "certificate", &error)),
        };
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| {
            use rustls::pki_types::pem::Error::*;
            let reason = match error {
                NoItemsFound => "there is no PRIVATE KEY section without a passphrase",
                MissingSectionEnd { .. } => "its END line is missing",
                // Other errors repeat parts of the file.
                _ => "it is damaged",
            };
            pem_error(&files.key, "private key", &reason)
        })?;
        Ok(Self { chain, key, stamps: [cert_stamp, key_stamp] })
    }
}

/// Reads a file, and how it was at that time.
fn read_file(path: &Path) -> Result<(Vec<u8>, Stamp), TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    stamp(path)?;
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok((bytes, stamp))
}

fn stamp(path: &Path) -> Result<Stamp, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a file")));
    }
    Ok(Stamp::of(&metadata))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn pem_error(path: &Path, what: &'static str, reason: &dyn ToString) -> TlsError {
    TlsError::Pem { path: path.to_owned(), what, reason: reason.to_string() }
}
