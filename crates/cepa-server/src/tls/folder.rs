//! The folder of the certificates that are not given as files: made by the server itself, or got by ACME.

use super::{TlsError, name::Name};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// The longest token of a challenge; those of Let's Encrypt have 43 bytes, and RFC 8555 asks for 128 bits at least.
const LONGEST_TOKEN: usize = 128;

/// Where certificates are kept that are made, or got by ACME: `server.tls_dir`.
///
/// Whoever gets certificates and those who serve them may be different processes of one user; what they have to tell each
/// other is here. Folders are made with mode 0700, files with 0600, and each file is whole at every moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFolder(PathBuf);

impl TlsFolder {
    /// The folder at this path, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// What belongs to ACME: the account and the lock of whoever gets certificates.
    #[must_use]
    pub fn acme(&self) -> PathBuf {
        self.0.join("acme")
    }

    /// The certificate of `name` that was got by ACME, with its key, in PEM.
    ///
    /// # Errors
    /// It is no name that a certificate can be got for by ACME.
    pub fn certificate(&self, name: &str) -> Result<PathBuf, TlsError> {
        Ok(self.acme().join("certificates").join(format!("{}.pem", Name::parse_for_acme(name)?)))
    }

    /// The certificate, with its key, that proves control over `name` by tls-alpn-01 (RFC 8737), while that is asked for.
    ///
    /// # Errors
    /// As [`certificate`](Self::certificate).
    pub fn alpn_challenge(&self, name: &str) -> Result<PathBuf, TlsError> {
        Ok(self.acme().join("tls-alpn-01").join(format!("{}.pem", Name::parse_for_acme(name)?)))
    }

    /// What is to be answered for `token` by http-01 (RFC 8555, section 8.3), while that is asked for; `None` for what
    /// is no token: 1 to 128 bytes of base64url.
    #[must_use]
    pub fn http_challenge(&self, token: &str) -> Option<PathBuf> {
        let is_token = (1..=LONGEST_TOKEN).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_token.then(|| self.acme().join("http-01").join(token))
    }

    /// Where a certificate is that the server makes itself.
    #[cfg(feature = "self-signed")]
    pub(super) fn self_signed(&self, name: &str) -> PathBuf {
        self.0.join("self-signed").join(format!("{name}.pem"))
    }

    /// Puts a file in the place of what may be there; whoever reads it sees the one or the other.
    ///
    /// # Errors
    /// [`TlsError::Folder`]: it cannot be written, or not made last.
    pub fn write(path: &Path, text: &[u8]) -> Result<(), TlsError> {
        Self::put(path, text, |part| fs::rename(part, path))
    }

    /// Puts a file where there is none; if there is one already, it stays.
    #[cfg(feature = "self-signed")]
    pub(super) fn write_first(path: &Path, text: &[u8]) -> Result<(), TlsError> {
        Self::put(path, text, |part| match fs::hard_link(part, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(part, path),
            _ => fs::remove_file(part),
        })
    }

    fn put(path: &Path, text: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), TlsError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let part = format!("part-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let part = path.with_extension(part);
        let write = || {
            let dir = path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            file.write_all(text)?;
            file.sync_all()?;
            place(&part)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|source| {
            // Perhaps it was not made at all.
            let _ = fs::remove_file(&part);
            TlsError::Folder { path: path.to_owned(), source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let folder = TlsFolder::new("/t");
        assert_eq!(folder.certificate("A.Test").unwrap(), Path::new("/t/acme/certificates/a.test.pem"));
        assert_eq!(folder.alpn_challenge("a.test").unwrap(), Path::new("/t/acme/tls-alpn-01/a.test.pem"));
        for name in ["", "..", "../x", "a/b.test", "*.a.test", "localhost", "10.0.0.1", "a.test\0"] {
            assert!(folder.certificate(name).is_err(), "{name}");
            assert!(folder.alpn_challenge(name).is_err(), "{name}");
        }
        assert_eq!(folder.http_challenge("aZ-_09").unwrap(), Path::new("/t/acme/http-01/aZ-_09"));
        assert!(folder.http_challenge(&"a".repeat(128)).is_some());
        for token in ["", ".", "..", "a/b", "a.b", "a%2fb", "a b", "\0", &"a".repeat(129)] {
            assert!(folder.http_challenge(token).is_none(), "{token:?}");
        }
    }

    #[test]
    fn files_are_for_their_owner_and_leave_no_parts() {
        let scratch = Folder::new();
        let path = scratch.path("acme/certificates/a.test.pem");
        for text in ["one", "two"] {
            TlsFolder::write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        let dir = path.parent().unwrap();
        assert_eq!((mode(dir), mode(&scratch.path("acme"))), (0o700, 0o700));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);

        let below = path.join("x.pem");
        let error = TlsFolder::write(&below, b"").unwrap_err().to_string();
        assert!(error.starts_with("server.tls_dir: ") && error.contains("a.test.pem/x.pem: "), "{error}");
    }
}
