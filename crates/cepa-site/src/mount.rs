//! What answers below one path of a host.

use std::path::{Path, PathBuf};

use cepa_core::{App, BuildError, Ctx, percent, router::Mount};
use cepa_layers::{When, cgi, directory, fastcgi_pass, proxy, scgi_pass, static_files};

use crate::{
    config::{MountConfig, is_script},
    redirect::Redirect,
    roots::Roots,
};

/// Why nothing can be mounted. The key is that of the mount.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub(crate) struct MountFault {
    pub(crate) key: &'static str,
    fault: Box<dyn std::error::Error + Send + Sync>,
}

impl MountFault {
    pub(crate) fn of<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        key: &'static str,
    ) -> impl Fn(E) -> Self {
        move |fault| Self { key, fault: fault.into() }
    }
}

/// A mount whose folders lie where they are.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) config: MountConfig,
}

impl Placed {
    /// A mount, with its relative folders below `folder`.
    pub(crate) fn new(mut config: MountConfig, folder: &Path) -> Self {
        let place = |root: &mut PathBuf| *root = folder.join(&*root);
        config.files.iter_mut().for_each(|files| place(&mut files.root));
        config.cgi.iter_mut().for_each(|cgi| place(&mut cgi.root));
        let scripts = config.fastcgi.iter_mut().chain(config.scgi.iter_mut());
        scripts.filter_map(|scripts| scripts.root.as_mut()).for_each(place);
        Self { config }
    }

    /// The path, without a slash at its end but for the root's.
    pub(crate) fn path(&self) -> &str {
        match self.config.path.trim_end_matches('/') {
            "" => "/",
            path => path,
        }
    }

    /// What answers. `app` is the one that is named, `roots` are the folders of all hosts.
    pub(crate) fn mount(&self, app: Option<App>, roots: &Roots) -> Result<Mount, MountFault> {
        let config = self.config.clone();
        if let Some(redirect) = config.redirect {
            return Ok(Mount::new(Redirect(redirect)));
        }
        if let Some(options) = config.cgi {
            return cgi(options).map(Mount::new).map_err(MountFault::of("cgi"));
        }
        let mut around = App::new();
        if let Some(files) = &config.files {
            let suffixes = roots.scripts_in(&files.root).map_err(MountFault::of("files.root"))?;
            let suffixes = [config.scripts(), &suffixes].concat();
            let layer = static_files(files.clone()).map_err(MountFault::of("files.root"))?;
            around = match suffixes.is_empty() {
                true => around.with(layer),
                false => around.with(layer.except(move |ctx: &Ctx| has_script(ctx.path(), &suffixes))),
            };
        }
        if let Some(app) = app {
            return Ok(Mount::new(match &config.files {
                Some(_) => around.mount("/", app),
                None => app,
            }));
        }
        if let Some(options) = config.proxy {
            let proxy = proxy::proxy(options).map_err(MountFault::of("proxy"))?;
            return Ok(match &config.files {
                Some(_) => Mount::new(around.fallback(proxy)),
                None => Mount::new(proxy),
            });
        }
        if let Some(options) = config.fastcgi {
            around = around.with(fastcgi_pass(options).map_err(MountFault::of("fastcgi"))?);
        }
        if let Some(options) = config.scgi {
            around = around.with(scgi_pass(options).map_err(MountFault::of("scgi"))?);
        }
        if let Some(files) = config.files.filter(|_| config.listing) {
            let static_files::Options { root, hidden, symlinks, .. } = files;
            let options = directory::Options { root, hidden, symlinks, ..Default::default() };
            around = around.with(directory(options).map_err(MountFault::of("listing"))?);
        }
        Ok(Mount::new(around))
    }
}

/// Whether a part of a path, decoded, is a script by its name.
fn has_script(path: &str, suffixes: &[String]) -> bool {
    let path = percent::decode(path);
    let path = String::from_utf8_lossy(&path);
    path.split(['/', '\\']).any(|part| is_script(part, suffixes))
}

impl From<BuildError> for MountFault {
    fn from(error: BuildError) -> Self {
        Self { key: "app", fault: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_however_it_is_written() {
        let suffixes = [".php".to_owned()];
        for (path, is) in [
            ("/a.php", true),
            ("/a.PhP", true),
            ("/a.ph%70", true),
            ("/a%2ephp/b", true),
            ("/a.php%2Fx.css", true),
            ("/.php", true),
            ("/a.php.css", false),
            ("/php", false),
            ("/a.phps", false),
        ] {
            assert_eq!(has_script(path, &suffixes), is, "{path}");
        }
    }
}
