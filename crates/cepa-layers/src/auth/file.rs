//! Files with a user on each line, and what can be wrong with them.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes of the largest file of users that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Why a layer cannot ask for names and passwords.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A realm that cannot stand in a header.
    #[error(
        "the realm {0:?} must have 1 to 128 printable ASCII characters other than quotes and backslashes"
    )]
    Realm(String),
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file that is no list of users: larger than 1 MiB.
    #[error("{}: larger than 1 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line that names no user, or has no sound hash of the password.
    #[error("{}:{line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
}

/// What is wrong with a line of a file of users. The hash itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not of the form of such a line.
    #[error("not of the form {0}")]
    Form(&'static str),
    /// A name that an earlier line has, too.
    #[error("the user has a line already")]
    Twice,
    /// A hash that is quickly guessed.
    #[error("the password is hashed by a weak method; make the line anew with {0}")]
    Weak(&'static str),
    /// A bcrypt hash of a cost that is too low, or so high that it would keep processors busy for seconds.
    #[error("the cost of the hash is {found}; it must be from {least} to {most} (htpasswd -B -C {least})")]
    Cost {
        /// The cost of the hash.
        found: u32,
        /// The least that is taken.
        least: u32,
        /// The most that is taken.
        most: u32,
    },
}

/// Calls `line` with each line that is neither empty nor a comment.
pub(crate) fn read_lines(
    path: &Path,
    mut line: impl FnMut(&str) -> Result<(), LineFault>,
) -> Result<(), AuthError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| AuthError::Read { path: path.to_owned(), error })?;
    if text.len() as u64 > MOST_BYTES {
        return Err(AuthError::TooLarge { path: path.to_owned() });
    }
    for (at, text) in text.lines().enumerate() {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        line(text).map_err(|fault| AuthError::Line { path: path.to_owned(), line: at + 1, fault })?;
    }
    Ok(())
}

/// A realm that can stand in quotes as it is.
pub(crate) fn checked_realm(realm: String) -> Result<String, AuthError> {
    let is_plain = realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
    if is_plain && (1..=128).contains(&realm.len()) { Ok(realm) } else { Err(AuthError::Realm(realm)) }
}
