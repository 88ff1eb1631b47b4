//! From a configuration of Apache to that of a site.
//!
//! In reading order: `words` are the lines of a file and what is in them, `source` is what is read of all files, with what
//! they include, as one tree; `scope` gathers what a virtual host says, `routes` finds what answers which path in it, and
//! `write` writes that down. What is not understood is passed over and noted, with its file and line: nobody is to believe
//! that a rule about access, say, is still there.

mod glob;
mod routes;
mod rule;
mod scope;
mod source;
#[cfg(test)]
mod tests;
mod words;
mod write;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A configuration that was read.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The file `cepa.toml` of a site that answers likewise.
    pub text: String,
    /// What of Apache's configuration is not in it.
    pub notes: Vec<Note>,
}

/// Something that was not understood, or cannot be said to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands.
    pub place: Place,
    /// What it is, and what of it.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The number of the line, from 1 on.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why nothing could be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is more than a configuration would have.
    #[error("{0}: there is more than is read: {1}")]
    TooMuch(Place, &'static str),
    /// There is nothing to serve.
    #[error("{}: there is neither a DocumentRoot nor anything else that would answer a request", .0.display())]
    Nothing(PathBuf),
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
}

/// Reads a configuration of Apache 2.4, with the files that it includes, as a configuration of a site.
///
/// Read are `Listen`, virtual hosts with their addresses, names and aliases, `DocumentRoot`, `Alias`, `ScriptAlias`,
/// `DirectoryIndex`, `Options Indexes`, `Redirect` and simple `RedirectMatch`, `ProxyPass` with balancers and exclusions,
/// PHP by a `SetHandler` to FastCGI, `ErrorDocument` for pages by status, `SSLCertificateFile` with its key, and
/// `CustomLog`. `defines` are those of the command line (`-D`). Variables of the environment are those of the file
/// `envvars` beside the configuration, which Debian has.
///
/// # Errors
/// The file cannot be read, has nothing to serve, or there is too much: 4 MiB or 1,000 files, included 16 deep.
pub fn import(file: &Path, defines: BTreeMap<String, String>) -> Result<Imported, ImportError> {
    let source = source::read(file, defines)?;
    let (server, mut notes) = scope::Server::of(source);
    let text = write::write(file, &server, &mut notes)?.ok_or_else(|| ImportError::Nothing(file.into()))?;
    notes.sort_by(|one, two| (&one.place.file, one.place.line).cmp(&(&two.place.file, two.place.line)));
    notes.dedup();
    Ok(Imported { text, notes })
}
