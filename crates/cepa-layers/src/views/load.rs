//! Templates from a folder: all at start, or each when it is asked for and has changed.

use std::{fs, io, path::Path, path::PathBuf};

use minijinja::{Environment, path_loader};

use super::Options;

const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 16;
const MAX_BYTES: u64 = 1 << 20;

/// Why templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// A file or folder cannot be read.
    #[error("templates: {} cannot be read", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than a template can be, or no text.
    #[error("templates: {} is no template: UTF-8 text of at most 1 MiB", .0.display())]
    NoTemplate(PathBuf),
    /// There are more files, or folders in each other, than templates.
    #[error("templates: {} holds more than {MAX_FILES} files or {MAX_DEPTH} folders in each other", .0.display())]
    TooMany(PathBuf),
    /// Templates cannot lie so deep in each other.
    #[error("templates: recursion is {0}: at most 500")]
    Recursion(usize),
    /// A template does not parse; the message names it and the line.
    #[error("templates: {0}")]
    Template(#[from] minijinja::Error),
}

pub(super) fn load(templates: &mut Environment<'static>, options: Options) -> Result<(), ViewsError> {
    let Options { dir, reload, .. } = options;
    if reload {
        fs::read_dir(&dir).map_err(|source| ViewsError::Read { path: dir.clone(), source })?;
        templates.set_loader(path_loader(dir));
        return Ok(());
    }
    let mut files = Vec::new();
    walk(&dir, "", 0, &mut files)?;
    for (name, path) in files {
        templates.add_template_owned(name, read(&path)?)?;
    }
    Ok(())
}

/// Lists the files below a folder by their names as templates: `users/show.html`.
fn walk(
    dir: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), ViewsError> {
    let unreadable = |source| ViewsError::Read { path: dir.to_owned(), source };
    if depth > MAX_DEPTH {
        return Err(ViewsError::TooMany(dir.to_owned()));
    }
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'))
        else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            walk(&path, &format!("{name}/"), depth + 1, files)?;
        } else if files.len() < MAX_FILES {
            files.push((name, path));
        } else {
            return Err(ViewsError::TooMany(dir.to_owned()));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ViewsError> {
    let unreadable = |source| ViewsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(ViewsError::NoTemplate(path.to_owned()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| ViewsError::NoTemplate(path.to_owned()))
}
