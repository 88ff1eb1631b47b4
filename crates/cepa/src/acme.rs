//! Certificates by ACME: the part of a process in getting and showing them.

#[cfg(feature = "cluster")]
pub(crate) mod cluster;

use cepa_acme::{AcmeConfig, AcmeError, HttpChallenges, Keeper};
use cepa_core::App;
use cepa_server::{
    ServerConfig,
    tls::{TlsError, TlsFolder},
};

use crate::{ConfigError, boot::Boot};

/// Why a process cannot do its part for certificates by ACME.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A name is none.
    #[error(transparent)]
    Names(#[from] TlsError),
    /// Certificates cannot be asked for.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The section `acme`, or `server`, cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Workers cannot be heard.
    #[cfg(feature = "cluster")]
    #[error("the bus of the agent: {0}")]
    Bus(#[from] cepa_bus::NameError),
}

/// What is to be looked after, and how.
#[derive(PartialEq)]
struct Wanted {
    config: AcmeConfig,
    env: String,
    names: Vec<Box<str>>,
    folder: TlsFolder,
}

impl Wanted {
    fn of(boot: &Boot, server: &ServerConfig) -> Result<Self, CertificatesError> {
        let (config, folder) = (boot.settings().section("acme")?, TlsFolder::new(&server.tls_dir));
        Ok(Self { config, env: boot.env().to_owned(), names: names(server)?, folder })
    }

    fn certificates(&self) -> Result<Certificates, CertificatesError> {
        if self.names.is_empty() {
            return Ok(Certificates(None));
        }
        let (config, names, folder) = (self.config.clone(), self.names.clone(), self.folder.clone());
        Ok(Certificates(Some(Keeper::new(config, &self.env, names, folder)?)))
    }
}

/// Who looks after the certificates of a program, if there are any to be looked after.
pub(crate) struct Certificates(Option<Keeper>);

impl Certificates {
    /// For the listeners of `server`.
    pub(crate) fn of(boot: &Boot, server: &ServerConfig) -> Result<Self, CertificatesError> {
        Wanted::of(boot, server)?.certificates()
    }

    /// Looks after them for as long as it is polled; returns at once if there are none.
    pub(crate) async fn keep(self) {
        if let Some(keeper) = self.0 {
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

/// Whether a listener lists names for it.
pub(crate) fn is_wanted(boot: &Boot) -> Result<bool, ConfigError> {
    let server: ServerConfig = boot.settings().section("server")?;
    Ok(server.listen.iter().filter_map(|listen| listen.tls.as_ref()).any(|tls| !tls.acme.is_empty()))
}

/// The app with what it has to answer for certificates.
pub(crate) fn around(app: App, boot: &Boot) -> Result<App, ConfigError> {
    // Read in any case: it is a section that there is.
    boot.settings().section::<AcmeConfig>("acme")?;
    // Whatever the challenge is: a change of it need not find workers that do not know.
    Ok(if is_wanted(boot)? {
        let server: ServerConfig = boot.settings().section("server")?;
        app.around(HttpChallenges::new(TlsFolder::new(server.tls_dir)))
    } else {
        app
    })
}

/// In `dev` nobody asks for certificates: names get one of the program's own.
pub(crate) fn made_in_dev(server: &mut ServerConfig) {
    for tls in server.listen.iter_mut().filter_map(|listen| listen.tls.as_mut()) {
        tls.self_signed.append(&mut tls.acme);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerConfig {
        toml::from_str(text).unwrap()
    }

    const LISTEN: &str = "\
        listen = ['127.0.0.1:80',
            { address = '127.0.0.1:443', tls.acme = ['A.test', 'b.test'] },
            { address = '127.0.0.1:444', tls.acme = ['b.test', 'c.test'], tls.self_signed = ['localhost'] }]
    ";

    #[test]
    fn the_names_of_all_listeners_are_looked_after_once() {
        assert_eq!(names(&server(LISTEN)).unwrap(), ["a.test".into(), "b.test".into(), Box::from("c.test")]);
        assert!(names(&ServerConfig::default()).unwrap().is_empty());
        assert!(names(&server("listen = [{ address = '127.0.0.1:443', tls.acme = ['*.a.test'] }]")).is_err());
    }

    #[test]
    fn nobody_is_asked_in_dev() {
        let mut server = server(LISTEN);
        made_in_dev(&mut server);
        assert!(names(&server).unwrap().is_empty());
        let made = |at: usize| server.listen[at].tls.as_ref().map(|tls| tls.self_signed.join(" "));
        let expected = [None, Some("A.test b.test".to_owned()), Some("localhost b.test c.test".to_owned())];
        assert_eq!([made(0), made(1), made(2)], expected);
    }
}
