//! The folders of all hosts, so that none shows what another keeps to itself.

use std::{
    io,
    path::{self, Path, PathBuf},
};

use cepa::ServerConfig;

use crate::mount::Placed;

/// What must not be served as files: the folder of the site, programs, keys; and the sources of scripts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    /// A place, and what is there.
    kept: Vec<(PathBuf, &'static str)>,
    /// The folder of scripts, and how their names end.
    scripts: Vec<(PathBuf, Vec<String>)>,
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exposed {
    /// It is not there.
    #[error("{0:?} cannot be served: {1}")]
    Missing(PathBuf, #[source] io::Error),
    /// Something in it is not for everybody.
    #[error("{root:?} cannot be served: {what}, {kept:?}, would be shown; choose a folder without it")]
    Kept {
        /// The folder.
        root: PathBuf,
        /// What is in it.
        what: &'static str,
        /// Where.
        kept: PathBuf,
    },
}

impl Roots {
    /// Those of a site in this folder.
    pub(crate) fn of_site(folder: &Path) -> Self {
        let mut roots = Self::default();
        roots.keep(folder, "the folder of the site");
        roots
    }

    fn keep(&mut self, place: &Path, what: &'static str) {
        // What is not there may come.
        let place = place.canonicalize().or_else(|_| path::absolute(place));
        self.kept.extend(place.ok().map(|place| (place, what)));
    }

    /// Adds the folders of a mount.
    pub(crate) fn add(&mut self, mount: &Placed) {
        let config = &mount.config;
        if let Some(cgi) = &config.cgi {
            self.keep(&cgi.root, "a folder of programs");
        }
        let scripts = config.fastcgi.iter().chain(&config.scgi);
        for scripts in scripts {
            let root = scripts.root.as_ref().and_then(|root| root.canonicalize().ok());
            self.scripts.extend(root.map(|root| (root, scripts.suffixes.clone())));
        }
    }

    /// Adds the keys of the listeners, those of hosts among them, and the folder of those that are made or got.
    pub(crate) fn add_server(&mut self, server: &ServerConfig) {
        let mut listeners = server.listen.iter().filter_map(|listen| listen.tls.as_ref()).peekable();
        if listeners.peek().is_some() {
            self.keep(&server.tls_dir, "the folder of certificates");
        }
        for files in listeners.flat_map(|tls| &tls.certificates) {
            self.keep(&files.key, "the key of a certificate");
        }
    }

    /// How names end in a folder that are scripts of some mount: the same file can be asked for in two ways.
    pub(crate) fn scripts_in(&self, root: &Path) -> Result<Vec<String>, Exposed> {
        let canonical = root.canonicalize().map_err(|error| Exposed::Missing(root.to_owned(), error))?;
        let is_kept = |kept: &&(PathBuf, &'static str)| kept.0.starts_with(&canonical);
        if let Some((kept, what)) = self.kept.iter().find(is_kept) {
            return Err(Exposed::Kept { root: root.to_owned(), what, kept: kept.clone() });
        }
        let meets = |scripts: &Path| scripts.starts_with(&canonical) || canonical.starts_with(scripts);
        let scripts = self.scripts.iter().filter(|(root, _)| meets(root));
        Ok(scripts.flat_map(|(_, suffixes)| suffixes.iter().cloned()).collect())
    }
}
