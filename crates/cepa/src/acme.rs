//! Certificates by ACME: the part of a process in getting and showing them, where the program has that feature.

#[cfg(feature = "acme")]
use cepa_acme::{AcmeConfig, AcmeError, HttpChallenges, Keeper};
use cepa_core::App;
#[cfg(feature = "acme")]
use cepa_server::tls::TlsFolder;
use cepa_server::{ServerConfig, tls::TlsError};

use crate::{ConfigError, boot::Boot};

/// Why a process cannot do its part.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A name is none.
    #[error(transparent)]
    Names(#[from] TlsError),
    /// Certificates cannot be asked for.
    #[cfg(feature = "acme")]
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The program has no ACME.
    #[cfg(not(feature = "acme"))]
    #[error("server.listen: tls.acme: this program is built without the feature `acme` of cepa")]
    Missing,
    /// The section `acme`, or `server`, cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Who looks after the certificates of a program, if there are any to be looked after.
#[derive(Default)]
pub(crate) struct Certificates {
    #[cfg(feature = "acme")]
    keeper: Option<Keeper>,
}

impl Certificates {
    /// For the listeners of `server`.
    #[cfg(feature = "acme")]
    pub(crate) fn of(boot: &Boot, server: &ServerConfig) -> Result<Self, CertificatesError> {
        let config: AcmeConfig = boot.settings().section("acme")?;
        let names = names(server)?;
        if names.is_empty() {
            return Ok(Self::default());
        }
        let keeper = Keeper::new(config, boot.env(), names, TlsFolder::new(&server.tls_dir))?;
        Ok(Self { keeper: Some(keeper) })
    }

    #[cfg(not(feature = "acme"))]
    pub(crate) fn of(_: &Boot, server: &ServerConfig) -> Result<Self, CertificatesError> {
        if names(server)?.is_empty() { Ok(Self::default()) } else { Err(CertificatesError::Missing) }
    }

    /// Looks after them for as long as it is polled; returns at once if there are none.
    #[cfg_attr(not(feature = "acme"), expect(clippy::unused_async, reason = "as with the feature"))]
    pub(crate) async fn keep(self) {
        #[cfg(feature = "acme")]
        if let Some(keeper) = self.keeper {
            keeper.keep().await;
        }
    }
}

/// The names of all listeners, each once.
fn names(server: &ServerConfig) -> Result<Vec<Box<str>>, TlsError> {
    let mut names = Vec::new();
    for tls in server.listen.iter().filter_map(|listen| listen.tls.as_ref()) {
        for name in tls.acme_names()? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// The app with what it has to answer for certificates.
#[cfg(feature = "acme")]
pub(crate) fn around(app: App, boot: &Boot) -> Result<App, ConfigError> {
    // Read in any case: it is a section that there is.
    boot.settings().section::<AcmeConfig>("acme")?;
    let server: ServerConfig = boot.settings().section("server")?;
    let wanted =
        server.listen.iter().filter_map(|listen| listen.tls.as_ref()).any(|tls| !tls.acme.is_empty());
    // Whatever the challenge is: a change of it need not find workers that do not know.
    Ok(if wanted { app.around(HttpChallenges::new(TlsFolder::new(server.tls_dir))) } else { app })
}

#[cfg(not(feature = "acme"))]
pub(crate) fn around(app: App, _: &Boot) -> Result<App, ConfigError> {
    Ok(app)
}

/// In `dev` nobody asks for certificates: names get one of the program's own.
pub(crate) fn made_in_dev(server: &mut ServerConfig) {
    for tls in server.listen.iter_mut().filter_map(|listen| listen.tls.as_mut()) {
        tls.self_signed.append(&mut tls.acme);
    }
}
