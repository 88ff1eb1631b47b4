//! A certificate as it is kept: with its key, and with the directory that it came from, in one file.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cepa_server::tls;
use instant_acme::CertificateIdentifier;
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

use crate::plan::Validity;

/// What stands before the name of the directory, in the first line. Text between the parts of a PEM file means nothing to
/// those who read it (RFC 7468, section 2).
const DIRECTORY: &str = "Directory: ";

/// A certificate that was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) directory: String,
    pub(crate) validity: Validity,
    /// By which the authority knows it, if it says one.
    pub(crate) id: Option<CertificateIdentifier<'static>>,
}

/// What a file is to hold.
pub(crate) fn text(directory: &str, key: &str, chain: &str) -> String {
    format!("{DIRECTORY}{directory}\n{key}{chain}")
}

impl Kept {
    /// What the file of the certificate for `name` holds; `None` if it is not there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(path: &Path, name: &str) -> Result<Option<Self>, String> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, name).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a text says, which must be a certificate for `name` with its key.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, String> {
        let first = text.lines().next().and_then(|line| line.strip_prefix(DIRECTORY));
        let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| error.to_string())?;
        // What else an error says may be parts of the key.
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| "it has no key".to_owned())?;
        let first_der = chain.first().cloned().ok_or("it has no certificate")?;
        let said = |error: rustls::Error| error.to_string();
        let certified = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(said)?;
        let parsed = certified.end_entity_cert().and_then(ParsedCertificate::try_from).map_err(said)?;
        let server_name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        verify_server_name(&parsed, &server_name).map_err(said)?;
        let (_, certificate) = parse_x509_certificate(&first_der).map_err(|error| error.to_string())?;
        let validity = certificate.validity();
        let validity = Validity {
            from: time(validity.not_before.timestamp())?,
            to: time(validity.not_after.timestamp())?,
        };
        let id = CertificateIdentifier::try_from(&first_der).ok().map(CertificateIdentifier::into_owned);
        Ok(Self { directory: first.unwrap_or_default().to_owned(), validity, id })
    }
}

fn time(seconds: i64) -> Result<SystemTime, String> {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    UNIX_EPOCH.checked_add(seconds).ok_or_else(|| "it has a time that is none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2020, 3, 31));
        params.use_authority_key_identifier_extension = true;
        let key = rcgen::KeyPair::generate().unwrap();
        (key.serialize_pem(), params.self_signed(&key).unwrap().pem())
    }

    #[test]
    fn what_was_written_is_read() {
        let (key, chain) = made(&["a.test"]);
        let text = text("https://ca.test/dir", &key, &chain);
        let kept = Kept::parse(&text, "a.test").unwrap();
        assert_eq!(kept.directory, "https://ca.test/dir");
        assert_eq!(kept.validity.from, UNIX_EPOCH + Duration::from_secs(1_577_836_800));
        assert_eq!(kept.validity.to, UNIX_EPOCH + Duration::from_secs(1_585_612_800));
        assert!(kept.id.is_some());
        // Of somebody else, who has not said from where.
        assert_eq!(Kept::parse(&(chain + &key), "a.test").unwrap().directory, "");
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let ((key, chain), (other, _)) = (made(&["a.test"]), made(&["a.test"]));
        for (text, name, fault) in [
            (String::new(), "a.test", "it has no key"),
            (chain.clone(), "a.test", "it has no key"),
            (key.clone(), "a.test", "it has no certificate"),
            (format!("{other}{chain}"), "a.test", "KeyMismatch"),
            (format!("{key}{chain}"), "b.test", "not valid for name"),
            (format!("{key}{}", &chain[..100]), "a.test", "section end"),
        ] {
            let error = Kept::parse(&text, name).unwrap_err();
            assert!(error.contains(fault), "{error} / {fault}");
        }
    }
}
