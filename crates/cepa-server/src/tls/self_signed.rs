//! Certificates for development, signed by themselves.

use super::{
    CertificateFiles, TlsError, TlsFolder, certificate::Certificate, name::Name, provider::provider,
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use std::{
    fmt, fs, io,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest life that all browsers accept.
const LIFE: Duration = Duration::from_secs(397 * 86_400);

/// The age at which one that is kept is replaced.
const OLD: Duration = Duration::from_secs(300 * 86_400);

/// The certificate for `names` that is kept in `folder`, made if it is not there, or has not long to live.
///
/// Who starts at the same time, as workers do, gets the same one.
pub(super) fn kept(names: &[String], folder: &TlsFolder) -> Result<CertificateFiles, TlsError> {
    let is_name = |name: &&String| name.parse::<IpAddr>().is_err();
    let host_names: Vec<_> = names.iter().filter(is_name).map(|name| name.to_ascii_lowercase()).collect();
    host_names.iter().try_for_each(|name| Name::parse(name).map(drop))?;
    let file = folder.self_signed(&file_name(names));
    let files = CertificateFiles { cert: file.clone(), key: file.clone(), names: host_names };
    let failed = |source| TlsError::Folder { path: file.clone(), source };
    if !file.try_exists().map_err(failed)? {
        // One that another process makes at this moment is as good.
        TlsFolder::write_first(&file, made(names)?.as_bytes())?;
    } else if is_old(&file).map_err(failed)? || Certificate::load(&files, &provider()).is_err() {
        TlsFolder::write(&file, made(names)?.as_bytes())?;
    }
    tracing::info!(
        target: "cepa::tls",
        names = names.join(", "),
        file = %file.display(),
        "a self-signed certificate, for development: clients do not trust it unless they are told to"
    );
    Ok(files)
}

/// A new certificate with its key.
fn made(names: &[String]) -> Result<String, TlsError> {
    let SelfSigned { cert, key } = self_signed(names)?;
    Ok(cert + &key)
}

/// Whether a file was written long ago.
fn is_old(file: &Path) -> io::Result<bool> {
    let written = fs::metadata(file)?.modified()?;
    // In the future is not long ago.
    Ok(written.elapsed().is_ok_and(|age| age > OLD))
}

/// A name for the file: that of the first host, and what makes other lists have another (FNV-1a, 64 bits).
fn file_name(names: &[String]) -> String {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, mix);
    let first = names.first().map_or("", String::as_str);
    let first: String = first
        .chars()
        .map(|char| if matches!(char, '*' | ':' | '/') { '_' } else { char })
        .take(200)
        .collect();
    format!("{first}-{hash:016x}")
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct SelfSigned {
    /// The certificate.
    pub cert: String,
    /// Its private key: keep the file readable for its owner only.
    pub key: String,
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// Makes a certificate for `names` (host names, `*.` wildcards and IP addresses), valid from yesterday on for 397 days,
/// with a new ECDSA key on P-256.
///
/// No client trusts it before it is told to: it is for development and tests.
///
/// # Errors
/// [`TlsError::NoCertificates`] without names, [`TlsError::Name`] for one that is not ASCII, and [`TlsError::Setup`]
/// when there is no randomness.
pub fn self_signed<N: AsRef<str>>(names: &[N]) -> Result<SelfSigned, TlsError> {
    let setup = |error: rcgen::Error| TlsError::Setup(rustls::Error::General(error.to_string()));
    let first = names.first().ok_or(TlsError::NoCertificates)?.as_ref();
    if let Some(name) = names.iter().map(AsRef::as_ref).find(|name| name.is_empty() || !name.is_ascii()) {
        return Err(TlsError::Name { name: name.chars().take(253).collect() });
    }
    let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(setup)?;
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(DAY);
    params.not_after = params.not_before + LIFE;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, first);
    let key = KeyPair::generate().map_err(setup)?;
    let cert = params.self_signed(&key).map_err(setup)?;
    Ok(SelfSigned { cert: cert.pem(), key: key.serialize_pem() })
}
