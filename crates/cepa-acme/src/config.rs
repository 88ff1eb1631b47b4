//! From whom certificates are got, and how: the section `acme` of the configuration.

use std::{path::PathBuf, time::Duration};

use cepa_core::units::{duration, size};
use instant_acme::LetsEncrypt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The environment in which the default directory is one whose certificates clients trust.
const PRODUCTION: &str = "production";

/// The longest of all times: within it there is another certificate to be got anyway.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// The most addresses of an account.
const MOST_CONTACTS: usize = 10;

/// From whom certificates are got by ACME, and how; for which names is said by `tls.acme` of the listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct AcmeConfig {
    /// Whether you agree to the terms of service of the authority, default false: nothing is begun before you do.
    pub agree_to_terms: bool,
    /// The directory of the authority, a URL with `https`. The default is Let's Encrypt: in the environment
    /// `production` the directory whose certificates clients trust, elsewhere the one for trying things out.
    pub directory: Option<String>,
    /// Mail addresses at which the authority may reach you, default none.
    pub contact: Vec<String>,
    /// How the authority sees that a name is yours: `http-01` (the default), by a request to its port 80, or
    /// `tls-alpn-01`, by a handshake on its port 443.
    pub challenge: Challenge,
    /// One of the profiles of certificates that the authority offers, default none: its own default.
    pub profile: Option<String>,
    /// A file of certificates in PEM that are believed for the directory beside those of the system, default none.
    pub root: Option<PathBuf>,
    /// The account with the authority that the one of ACME is to belong to, for authorities that want that, default
    /// none.
    pub external_account: Option<ExternalAccount>,
    /// Certificates that are asked for within an hour, over restarts too, default 50, at most 300; of these 5 for one name.
    pub orders_per_hour: u32,
    /// Time before another try after a failed one, default 5 m; it doubles with each, and up to half of it is taken off
    /// at random.
    #[serde(with = "duration")]
    pub retry: Duration,
    /// The longest time between two tries, default a day.
    #[serde(with = "duration")]
    pub retry_most: Duration,
    /// Time for one request to the authority, default 30 s.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// Time for getting one certificate, default 5 m.
    #[serde(with = "duration")]
    pub order_timeout: Duration,
    /// Bytes of one answer of the authority, default 256 KiB.
    #[serde(with = "size")]
    pub answer: usize,
}

/// How an authority sees who controls a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// It fetches `http://NAME/.well-known/acme-challenge/..`; RFC 8555, section 8.3.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// It makes a handshake with port 443 of the name; RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// An account with an authority that was made otherwise; RFC 8555, section 7.3.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// The identifier that the authority has given it (`kid`).
    pub id: String,
    /// The file of the key that the authority has given (HMAC, in base64url).
    pub key_file: PathBuf,
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            agree_to_terms: false,
            directory: None,
            contact: Vec::new(),
            challenge: Challenge::default(),
            profile: None,
            root: None,
            external_account: None,
            orders_per_hour: 50,
            retry: Duration::from_secs(300),
            retry_most: Duration::from_secs(86_400),
            request_timeout: Duration::from_secs(30),
            order_timeout: Duration::from_secs(300),
            answer: 256 << 10,
        }
    }
}

/// A key of the section whose value cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {fault}")]
pub(crate) struct Fault {
    field: &'static str,
    fault: String,
}

impl AcmeConfig {
    /// The directory that is used in an environment.
    pub(crate) fn directory(&self, env: &str) -> String {
        let default = if env == PRODUCTION { LetsEncrypt::Production } else { LetsEncrypt::Staging };
        self.directory.clone().unwrap_or_else(|| default.url().to_owned())
    }

    /// The mail addresses as URLs.
    pub(crate) fn contact_urls(&self) -> Vec<String> {
        let url = |contact: &String| match contact.starts_with("mailto:") {
            true => contact.clone(),
            false => format!("mailto:{contact}"),
        };
        self.contact.iter().map(url).collect()
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        let refuse = |field, fault: String| Err(Fault { field, fault });
        if let Some(directory) = self.directory.as_ref().filter(|url| !is_https(url)) {
            return refuse("directory", format!("is {directory:?}: it must be a URL with https"));
        }
        if self.contact.len() > MOST_CONTACTS {
            return refuse(
                "contact",
                format!("has {} addresses: at most {MOST_CONTACTS}", self.contact.len()),
            );
        }
        if let Some(contact) = self.contact.iter().find(|contact| !is_address(contact)) {
            return refuse("contact", format!("has {contact:?}, which is no mail address"));
        }
        if !(1..=300).contains(&self.orders_per_hour) {
            return refuse(
                "orders_per_hour",
                format!("is {}: it must be from 1 to 300", self.orders_per_hour),
            );
        }
        if !(1024..=16 << 20).contains(&self.answer) {
            return refuse("answer", format!("is {} bytes: it must be from 1 KiB to 16 MiB", self.answer));
        }
        for (field, time) in [
            ("retry", self.retry),
            ("retry_most", self.retry_most),
            ("request_timeout", self.request_timeout),
            ("order_timeout", self.order_timeout),
        ] {
            if time.is_zero() {
                return refuse(field, "is 0: it must be longer".to_owned());
            }
            if time > LONGEST {
                return refuse(field, "is longer than 30 days".to_owned());
            }
        }
        Ok(())
    }
}

fn is_https(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| url.scheme_str() == Some("https") && url.host().is_some())
}

fn is_address(contact: &str) -> bool {
    let address = contact.strip_prefix("mailto:").unwrap_or(contact);
    let parts = address.split_once('@');
    let is_whole =
        parts.is_some_and(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'));
    // No header fields of a mail, and no second address: RFC 8555, section 7.3.
    is_whole
        && address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b',' | b'<' | b'>'))
}

impl<'de> Deserialize<'de> for AcmeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function: `remote = "Self"` makes it an inherent one and leaves the trait to us.
        let config = Self::deserialize(deserializer)?;
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for AcmeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_default_is_deliberate() {
        let text = toml::to_string(&AcmeConfig::default()).unwrap();
        assert_eq!(
            text,
            r#"agree_to_terms = false
contact = []
challenge = "http-01"
orders_per_hour = 50
retry = "5m"
retry_most = "1d"
request_timeout = "30s"
order_timeout = "5m"
answer = "256 KiB"
"#
        );
        assert_eq!(toml::from_str::<AcmeConfig>(&text).unwrap(), AcmeConfig::default());
    }

    #[test]
    fn only_production_asks_for_what_clients_trust() {
        let config = AcmeConfig::default();
        assert_eq!(config.directory("production"), "https://acme-v02.api.letsencrypt.org/directory");
        for env in ["development", "test", "prod", ""] {
            assert_eq!(config.directory(env), "https://acme-staging-v02.api.letsencrypt.org/directory");
        }
        let own = AcmeConfig { directory: Some("https://ca.test/dir".to_owned()), ..config };
        assert_eq!(own.directory("test"), "https://ca.test/dir");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_name() {
        for (text, fault) in [
            (
                "directory = 'http://ca.test/dir'",
                "directory is \"http://ca.test/dir\": it must be a URL with https",
            ),
            ("directory = 'ca.test'", "it must be a URL with https"),
            ("contact = ['ops']", "contact has \"ops\", which is no mail address"),
            ("contact = ['mailto:a@b.test?bcc=c@d.test']", "no mail address"),
            ("contact = ['a@b.test,c@d.test']", "no mail address"),
            ("challenge = 'dns-01'", "unknown variant `dns-01`"),
            ("orders_per_hour = 0", "orders_per_hour is 0: it must be from 1 to 300"),
            ("answer = 1", "answer is 1 bytes"),
            ("retry = '0s'", "retry is 0"),
            ("retry_most = '31d'", "retry_most is longer than 30 days"),
            ("order_timeout = '0s'", "order_timeout is 0"),
            ("agree = true", "unknown field `agree`"),
            ("[external_account]\nid = 'x'", "missing field `key_file`"),
        ] {
            let error = toml::from_str::<AcmeConfig>(text).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
        let config: AcmeConfig = toml::from_str("contact = ['a@b.test', 'mailto:c@d.test']").unwrap();
        assert_eq!(config.contact_urls(), ["mailto:a@b.test", "mailto:c@d.test"]);
    }
}
