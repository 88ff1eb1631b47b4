//! Gives listeners the certificates of hosts.

use cepa::{
    Boot, ServerConfig,
    server::{ListenConfig, tls::CertificateFiles},
};
use cepa_core::Result;

use crate::{
    config::{HostConfig, HostTls},
    names::HostName,
};

/// Adds the certificates of the section `hosts` to each listener with TLS: in the configuration, since an agent gets some
/// of them by ACME, which knows no app.
pub(crate) fn settle(boot: &mut Boot) -> Result {
    match listeners(boot) {
        Ok(Some(listen)) => boot.set(&format!("server.listen={}", toml::Value::try_from(listen)?)),
        // What is wrong with it is said when the app is made, and is no reason not to stop what serves.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The listeners with the certificates of the hosts; `None` if there are none.
///
/// # Errors
/// What is wrong with the sections `hosts` and `server`.
pub(crate) fn listeners(boot: &Boot) -> Result<Option<Vec<ListenConfig>>> {
    let hosts: Vec<HostConfig> = boot.config("hosts")?;
    if hosts.iter().all(|host| host.tls.is_none()) {
        return Ok(None);
    }
    let mut server: ServerConfig = boot.config("server")?;
    let listeners = server.listen.iter_mut().filter_map(|listen| listen.tls.as_mut());
    let mut listeners: Vec<_> = listeners.collect();
    for (place, host) in hosts.iter().enumerate() {
        let Some(tls) = &host.tls else { continue };
        let key = format!("hosts[{place}].tls");
        if listeners.is_empty() {
            let fault = "no listener has TLS: write `tls = {}` into one of `server.listen`";
            return Err(boot.config_fault(&key, fault));
        }
        let names = certain(host, matches!(tls, HostTls::Acme));
        let names = names.map_err(|name| {
            let fault = format!("no certificate can be had for {name}: name a host, without a pattern");
            boot.config_fault(&key, fault)
        })?;
        for listener in &mut listeners {
            match tls {
                HostTls::Files(files) => listener.certificates.push(CertificateFiles {
                    cert: files.cert.clone(),
                    key: files.key.clone(),
                    names: names.clone(),
                }),
                HostTls::Acme => add(&mut listener.acme, &names),
                HostTls::SelfSigned => add(&mut listener.self_signed, &names),
            }
        }
    }
    Ok(Some(server.listen))
}

/// The names of a host as certificates have them: `*.name` for one more label in front.
///
/// # Errors
/// A name that no certificate can be asked for, where one is to be asked for each.
fn certain(host: &HostConfig, each: bool) -> Result<Vec<String>, &HostName> {
    let mut names = Vec::new();
    for name in &host.names {
        match name {
            HostName::Exact(name) => names.push(name.trim_matches(['[', ']']).to_owned()),
            name if each => return Err(name),
            HostName::Below(below) => names.push(format!("*.{below}")),
            HostName::Domain(domain) => names.extend([domain.clone(), format!("*.{domain}")]),
            // Clients that ask for such a name get the first certificate.
            HostName::Pattern(_) | HostName::Any => {}
        }
    }
    Ok(names)
}

/// Adds what is not there: two hosts may have one name at different addresses.
fn add(list: &mut Vec<String>, names: &[String]) {
    for name in names {
        if !list.contains(name) {
            list.push(name.clone());
        }
    }
}
