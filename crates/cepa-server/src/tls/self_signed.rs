//! Certificates for development, signed by themselves.

use super::TlsError;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest life that all browsers accept.
const LIFE: Duration = Duration::from_secs(397 * 86_400);

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
