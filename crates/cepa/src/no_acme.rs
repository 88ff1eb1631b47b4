//! In the place of `acme` in programs without it: they refuse to list names for it.

use cepa_core::App;
use cepa_server::ServerConfig;

use crate::{ConfigError, boot::Boot};

/// Why a process cannot do its part for certificates by ACME: the program has none.
#[derive(Debug, thiserror::Error)]
#[error("server.listen: tls.acme: this program is built without the feature `acme` of cepa")]
pub struct CertificatesError;

/// What programs without ACME look after: nothing.
pub(crate) struct Certificates;

impl Certificates {
    pub(crate) fn of(_: &Boot, server: &ServerConfig) -> Result<Self, CertificatesError> {
        let mut tls = server.listen.iter().filter_map(|listen| listen.tls.as_ref());
        if tls.any(|tls| !tls.acme.is_empty()) { Err(CertificatesError) } else { Ok(Self) }
    }

    pub(crate) async fn keep(self) {}
}

#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(crate) fn around(app: App, _: &Boot) -> Result<App, ConfigError> {
    Ok(app)
}

pub(crate) fn made_in_dev(_: &mut ServerConfig) {}

/// The certificates of a cluster.
#[cfg(feature = "cluster")]
pub(crate) mod cluster {
    use cepa_bus::Bus;

    use super::Certificates;
    use crate::{
        boot::{Boot, Surroundings},
        program::{Failure, Own},
    };

    pub(crate) async fn tell(_: &Bus) {}

    /// Of which there are none.
    pub(crate) struct Keeping;

    impl Keeping {
        pub(crate) fn new(surroundings: Surroundings, _: &Bus) -> Result<Self, Failure> {
            let boot = Boot::new(surroundings)?;
            Certificates::of(&boot, &Own::of(&boot)?.server)?;
            Ok(Self)
        }

        pub(crate) async fn keep(self) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_it_are_refused() {
        let boot = Boot::load("test").unwrap();
        let server = |tls: &str| -> ServerConfig {
            toml::from_str(&format!("listen = [{{ address = '127.0.0.1:443', tls = {tls} }}]")).unwrap()
        };
        let refused = Certificates::of(&boot, &server("{ acme = ['a.test'] }")).err().unwrap();
        assert!(refused.to_string().contains("built without the feature `acme`"));
        assert!(Certificates::of(&boot, &server("{ self_signed = ['a.test'] }")).is_ok());
    }
}
