//! The command `check`: what can be known without opening anything.

use cepa_core::Onion;
use cepa_server::{
    ServerConfig, ServerError,
    tls::{Tls, TlsConfig, TlsFolder},
};
use toml::Value;

use super::Failure;
#[cfg(feature = "acme")]
use crate::acme;
#[cfg(feature = "dev")]
use crate::dev;
use crate::{
    acme::Certificates,
    boot::{Boot, LifecycleConfig},
};

/// Looks at what only serving would find, and says what there is.
pub(super) fn check(boot: &Boot, onion: &Onion, server: &ServerConfig) -> Result<String, Failure> {
    let folder = TlsFolder::new(&server.tls_dir);
    for tls in server.listen.iter().filter_map(|listen| listen.tls.as_ref()) {
        // What serving makes is not made here.
        let tls = TlsConfig { self_signed: Vec::new(), ..tls.clone() };
        if !(tls.certificates.is_empty() && tls.acme.is_empty()) {
            Tls::load(&tls, &folder).map_err(ServerError::from)?;
        }
    }
    Certificates::of(boot, server)?;
    Ok(summary(boot, onion))
}

/// The configuration as it takes effect.
pub(super) fn dump(boot: &Boot) -> Result<String, Failure> {
    let mut defaults = toml::Table::new();
    defaults.insert("server".to_owned(), Value::try_from(ServerConfig::default())?);
    defaults.insert("lifecycle".to_owned(), Value::try_from(LifecycleConfig::default())?);
    #[cfg(feature = "acme")]
    if acme::is_wanted(boot)? {
        defaults.insert("acme".to_owned(), Value::try_from(cepa_acme::AcmeConfig::default())?);
    }
    #[cfg(feature = "cluster")]
    defaults.insert("jobs".to_owned(), Value::try_from(cepa_cluster::jobs::JobsConfig::default())?);
    #[cfg(feature = "dev")]
    defaults.insert("dev".to_owned(), Value::try_from(dev::DevConfig::default())?);
    let log = [("level", "info"), ("zone", "local"), ("queue", "4 MiB")];
    let log = log.map(|(key, value)| (key.to_owned(), value.into()));
    defaults.insert("log".to_owned(), Value::Table(log.into_iter().collect()));
    Ok(boot.settings().dump(&defaults))
}

fn summary(boot: &Boot, onion: &Onion) -> String {
    let files: Vec<_> = boot.settings().files().iter().map(|path| path.display().to_string()).collect();
    let files = if files.is_empty() { "no configuration file".to_owned() } else { files.join(", ") };
    let routes = match onion.routes().len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    format!("ok: environment {}, {files}, {routes}\n", boot.env())
}
