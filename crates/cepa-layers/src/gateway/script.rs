//! Which script a path asks for, and what of the path is left for it.

use std::{path::PathBuf, sync::Arc};

use cepa_core::{Ctx, Error, Result};
use tokio::task::spawn_blocking;

use crate::files::{Named, Root, RootError, Symlinks, disk_error};

/// The scripts below a folder, which another server runs.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    /// Where scripts are looked for before they are asked for; nowhere if that is left to the other server.
    root: Option<Arc<Root>>,
    suffixes: Vec<String>,
    index: String,
    front: Option<String>,
}

/// A script by its path below the folder, with a slash in front, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) info: String,
}

impl Scripts {
    pub(crate) fn new(
        root: Option<PathBuf>,
        suffixes: Vec<String>,
        index: String,
        front: Option<String>,
    ) -> Result<Self, RootError> {
        let root = root.map(|root| Root::new(root, Symlinks::Inside).map(Arc::new)).transpose()?;
        Ok(Self { root, suffixes, index, front })
    }

    /// The script that answers; `None` where none does.
    pub(crate) async fn find(&self, ctx: &Ctx) -> Result<Option<Script>> {
        let path = ctx.path();
        let name = match Named::read(path.strip_prefix('/').unwrap_or(path), false) {
            Named::Name(name) => name,
            Named::Nothing => return Ok(self.front(path)),
            Named::Outside => return Err(Error::status_only(403)),
            Named::Nul => return Err(Error::status_only(400)),
        };
        let slash = if name.is_directory && !name.path.is_empty() { "/" } else { "" };
        let Some(script) = self.split(&format!("/{}{slash}", name.path)) else { return Ok(self.front(path)) };
        let is_there = match &self.root {
            None => true,
            Some(root) => {
                let (root, name) = (Arc::clone(root), script.name[1..].to_owned());
                let opened = spawn_blocking(move || root.open(&name)).await?.map_err(disk_error)?;
                opened.is_some_and(|opened| opened.meta.is_file())
            }
        };
        Ok(if is_there { Some(script) } else { self.front(path) })
    }

    /// Cuts a decoded path behind the first segment that is a script by its name.
    fn split(&self, path: &str) -> Option<Script> {
        let mut at = 0;
        for segment in path[1..].split('/') {
            at += 1 + segment.len();
            if self.suffixes.iter().any(|suffix| segment.len() > suffix.len() && segment.ends_with(suffix)) {
                let (name, info) = path.split_at(at);
                return Some(Script { name: name.to_owned(), info: info.to_owned() });
            }
        }
        let index = path.ends_with('/') && !self.index.is_empty();
        index.then(|| Script { name: format!("{path}{}", self.index), info: String::new() })
    }

    /// The script that answers what no other does.
    fn front(&self, path: &str) -> Option<Script> {
        let name = self.front.clone()?;
        let info = String::from_utf8_lossy(&cepa_core::percent::decode(path)).into_owned();
        // As if the client had asked for the script itself there is nothing behind it.
        let info = if info == name { String::new() } else { info };
        Some(Script { name, info })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> Option<(String, String)> {
        let scripts =
            Scripts::new(None, vec![".php".to_owned(), ".php5".to_owned()], "index.php".to_owned(), None)
                .unwrap();
        scripts.split(path).map(|script| (script.name, script.info))
    }

    #[test]
    fn a_path_is_cut_behind_its_script() {
        for (path, script, info) in [
            ("/", "/index.php", ""),
            ("/a/", "/a/index.php", ""),
            ("/a.php", "/a.php", ""),
            ("/a.php/b/c", "/a.php", "/b/c"),
            ("/a.php/b.php", "/a.php", "/b.php"),
            ("/x.phpx/a.php5/", "/x.phpx/a.php5", "/"),
        ] {
            assert_eq!(split(path), Some((script.to_owned(), info.to_owned())), "{path}");
        }
        for path in ["/a", "/a.ph", "/.php", "/a.php.jpg", "/a.phpx/b"] {
            assert_eq!(split(path), None, "{path}");
        }
    }
}
