//! The app of a site: what its configuration says, else what is in its folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cepa::{Boot, Error, Program};
use cepa_core::{App, Result, forwarded::Trust};

use crate::{
    certificates,
    config::{HostConfig, SiteConfig},
    errors::Pages,
    host,
    mount::{Placed, below},
    roots::Roots,
    sites::Sites,
    welcome,
};

/// The configuration file of a site.
pub const CONFIG: &str = "cepa.toml";

/// A program that hosts sites: it works in a folder, of which [`CONFIG`] is a layer of the configuration, and gives its
/// listeners the certificates of the hosts.
///
/// ```no_run
/// use cepa::prelude::*;
/// use cepa_site::Site;
///
/// fn main() -> ExitCode {
///     cepa_site::program("shops", env!("CARGO_PKG_VERSION")).run(|boot| {
///         let shop = App::new().get("/", async |_: &mut Ctx| "a shop in Rust");
///         Site::new().app("shop", shop).build(boot)
///     })
/// }
/// ```
pub fn program(name: impl Into<String>, version: impl Into<String>) -> Program {
    Program::new(name, version).hosts_folders(CONFIG).settle(certificates::settle)
}

/// A site: the sections `site` and `hosts` of the configuration, and the apps that they may name.
#[derive(Debug, Default)]
pub struct Site {
    apps: BTreeMap<String, App>,
    /// Those that a mount has.
    mounted: BTreeSet<String>,
}

impl Site {
    /// A site without apps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives an app the name by which a mount takes it. What is [provided](Boot::provide) to the process is found by it.
    #[must_use]
    pub fn app(mut self, name: impl Into<String>, app: App) -> Self {
        self.apps.insert(name.into(), app);
        self
    }

    /// Makes the app of the site that the program works in.
    ///
    /// Without `hosts` there is one, for all names: `public` at `/`, `cgi` at `/cgi-bin`, pages for errors in `errors`.
    /// Where there is none of the first two, a page says so.
    ///
    /// # Errors
    /// What is wrong with the configuration or the folders; the message names the place where it is written.
    pub fn build(mut self, boot: &mut Boot) -> Result<App> {
        let site: SiteConfig = boot.config("site")?;
        let mut hosts: Vec<HostConfig> = boot.config("hosts")?;
        let trust = site.trusted().map_err(|fault| boot.config_fault("site.trust", fault))?;
        let is_named = !hosts.is_empty();
        if !is_named {
            hosts.push(HostConfig::default());
        }
        certificates::listeners(boot)?;
        let folder = boot.root().to_owned();
        let mut roots = Roots::of_site(&folder);
        roots.add_server(&boot.config("server")?);
        let mut all = Vec::new();
        for host in &hosts {
            let mounts = host::mounts(host, &below(&folder, &host.folder));
            mounts.iter().for_each(|mount| roots.add(mount));
            all.push(mounts);
        }
        let mut sites = Sites::new().unknown(site.unknown);
        for (place, (host, mounts)) in hosts.iter().zip(&all).enumerate() {
            let key = format!("hosts[{place}]");
            let app = match mounts.is_empty() {
                true if is_named => return Err(nothing(boot, &key, host)),
                true => welcome::app(boot),
                false => self.host(boot, &key, host, mounts, &roots)?,
            };
            let app = trusting(boot.equip(app), trust.as_ref());
            let added = sites.host_at(&host.listen, &host.names, app);
            sites = added.map_err(|fault| boot.config_fault(&format!("{key}.names"), fault))?;
        }
        Ok(trusting(sites.into_app(), trust.as_ref()))
    }

    /// The app of one host, which stands at this key.
    fn host(
        &mut self,
        boot: &Boot,
        key: &str,
        host: &HostConfig,
        mounts: &[Placed],
        roots: &Roots,
    ) -> Result<App> {
        let folder = below(boot.root(), &host.folder);
        let pages =
            pages(host, &folder).map_err(|fault| boot.config_fault(&format!("{key}.errors"), fault))?;
        let mut app = host::layers(host, pages, mounts)?;
        let mut paths = BTreeSet::new();
        for (place, mount) in mounts.iter().enumerate() {
            let key = format!("{key}.mounts[{place}]");
            if !paths.insert(mount.path()) {
                let fault = format!("there is a mount at {} already", mount.path());
                return Err(boot.config_fault(&format!("{key}.path"), fault));
            }
            let named = mount.config.app.as_ref().map(|name| self.take(name));
            let named = named.transpose().map_err(|fault| boot.config_fault(&format!("{key}.app"), fault))?;
            let mounted = mount.mount(named, roots);
            let mounted =
                mounted.map_err(|fault| boot.config_fault(&format!("{key}.{}", fault.key), fault))?;
            app = app.mount(mount.path(), mounted);
        }
        Ok(app)
    }

    /// The app that has this name.
    fn take(&mut self, name: &str) -> Result<App, String> {
        if let Some(app) = self.apps.remove(name) {
            self.mounted.insert(name.to_owned());
            return Ok(app);
        }
        if self.mounted.contains(name) {
            return Err(format!("{name:?} is mounted elsewhere already"));
        }
        let known: Vec<_> = self.apps.keys().map(|name| format!("{name:?}")).collect();
        Err(match known.as_slice() {
            [] => format!("there is no app {name:?}: this program has none"),
            known => format!("there is no app {name:?}; there are {}", known.join(", ")),
        })
    }
}

/// The app of the site that the program works in, without apps in Rust: what the program `cepa` serves.
///
/// # Errors
/// See [`Site::build`].
pub fn app(boot: &mut Boot) -> Result<App> {
    Site::new().build(boot)
}

fn trusting(app: App, trust: Option<&Trust>) -> App {
    match trust {
        Some(trust) => app.trust(trust.clone()),
        None => app,
    }
}

fn nothing(boot: &Boot, key: &str, host: &HostConfig) -> Error {
    let folder = host.folder.display();
    let fault = format!("it has no mounts, and there is neither {folder}/public nor {folder}/cgi");
    boot.config_fault(&format!("{key}.folder"), fault)
}

fn pages(host: &HostConfig, folder: &Path) -> Result<Pages, crate::errors::PagesError> {
    match &host.errors {
        Some(errors) => Pages::read(&folder.join(errors)),
        None => match folder.join("errors") {
            errors if errors.is_dir() => Pages::read(&errors),
            _ => Ok(Pages::default()),
        },
    }
}
