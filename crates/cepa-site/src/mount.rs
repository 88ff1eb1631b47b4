//! What answers below one path of a host.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use cepa_core::{App, Ctx, Handler, LocalBoxFuture, Result, percent, router::Mount};
use cepa_layers::{When, cgi, directory, fastcgi_pass, proxy, scgi_pass, static_files};
use http::{Method, StatusCode, header};

use crate::{
    config::{MountConfig, is_script, shows_none},
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
        let place = |root: &mut PathBuf| *root = below(folder, root);
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

    /// What answers, in a word, with where it is.
    fn what(&self) -> String {
        let MountConfig { files, fastcgi, scgi, .. } = &self.config;
        let files = files.iter().map(|files| format!("files {}", files.root.display()));
        let fastcgi = fastcgi.iter().map(|options| format!("fastcgi {}", options.upstream));
        let scgi = scgi.iter().map(|options| format!("scgi {}", options.upstream));
        files.chain(fastcgi).chain(scgi).collect::<Vec<_>>().join(", ")
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
            shows_none(files, &suffixes).map_err(MountFault::of("files"))?;
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
                Some(_) => Mount::new(around.mount("/", proxy)),
                None => Mount::new(proxy),
            });
        }
        let rest = Rest { what: self.what(), reads_only: config.fastcgi.is_none() && config.scgi.is_none() };
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
        Ok(Mount::new(around.mount("/", rest)))
    }
}

/// What no layer of a mount has answered: it is not there. It has the mount's name in the list of routes.
struct Rest {
    what: String,
    /// Whether there are files only.
    reads_only: bool,
}

impl Handler<()> for Rest {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async {
            if self.reads_only && !matches!(*ctx.method(), Method::GET | Method::HEAD) {
                ctx.set(header::ALLOW, "GET, HEAD")?;
                ctx.set_status(StatusCode::METHOD_NOT_ALLOWED)?;
            }
            Ok(())
        })
    }

    fn name(&self) -> Cow<'static, str> {
        self.what.clone().into()
    }
}

/// A path from a folder on, without the `.` in it.
pub(crate) fn below(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path).components().collect()
}

/// Whether a part of a path, decoded, is a script by its name.
fn has_script(path: &str, suffixes: &[String]) -> bool {
    let path = percent::decode(path);
    let path = String::from_utf8_lossy(&path);
    path.split(['/', '\\']).any(|part| is_script(part, suffixes))
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
