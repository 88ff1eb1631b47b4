//! The pid file: which process is the master, and by the lock on it that it still is.
//!
//! A lock (`flock`) ends with the process that holds it, however that ends. So a file that nobody has locked is a leftover,
//! whatever process has its number by now, and one that is locked is the master's, whatever it is called.

mod process;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    process as this, thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};

/// The longest a pid file can be.
const LONGEST: u64 = 256;

/// How long a lock is waited for, or a line to be written, when nobody says to be the master: whoever looks at a pid
/// file has it locked for a moment, and so has a master that is just beginning.
const MOMENT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// The pid file of this process, which is removed when this is dropped.
///
/// The file has the number of the process in its first line, and when it started in the second.
#[derive(Debug)]
pub struct PidFile {
    file: File,
    path: PathBuf,
}

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// It was left behind by a process that has ended, which had this number if that can be read.
    Stale(Option<u32>),
    /// Its process runs, and has this number if that can be known.
    Running(Option<u32>),
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another process has it.
    #[error("{}", already(.0))]
    Running(Option<u32>),
    /// It is another user's.
    #[error("{} belongs to {owner}; do this as that user, or as root", path.display())]
    Denied {
        /// What may not be opened.
        path: PathBuf,
        /// Whose it is, as far as that can be known.
        owner: String,
    },
    /// It cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// What cannot be used.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn already(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("already running: process {pid}"),
        None => "already running".to_owned(),
    }
}

impl PidFile {
    /// Makes the pid file of this process and locks it, in the place of one that was left behind.
    ///
    /// # Errors
    /// [`PidFileError::Running`] where another process has it.
    pub fn take(path: &Path) -> Result<Self, PidFileError> {
        let failed = |error: io::Error| failure(path, error);
        let until = Instant::now() + MOMENT;
        let mut file = loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
            let mut file = File::from(opened.map_err(|error| failed(error.into()))?);
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Its owner may have removed it since it was opened; then the lock is on what nobody finds.
                Ok(()) if is_at(&file, path).map_err(failed)? => break file,
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let pid = owner(&mut file);
                    if pid.is_some() || Instant::now() > until {
                        return Err(PidFileError::Running(pid));
                    }
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(failed(error.into())),
            }
        };
        let text = match process::start_of(this::id()) {
            Some(start) => format!("{}\nstart={start}\n", this::id()),
            None => format!("{}\n", this::id()),
        };
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The pid file that this process has locked under another program, and has kept open when it became this one.
    pub fn inherited(file: OwnedFd, path: PathBuf) -> Self {
        Self { file: file.into(), path }
    }

    /// What the pid file at `path` says.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn find(path: &Path) -> Result<Found, PidFileError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(error) => return Err(failure(path, error.into())),
        };
        let until = Instant::now() + MOMENT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => {
                    return Ok(Found::Stale(read(&mut file).map(|(pid, _)| pid)));
                }
                Err(Errno::WOULDBLOCK) => {
                    let pid = owner(&mut file);
                    if pid.is_some() || Instant::now() > until {
                        return Ok(Found::Running(pid));
                    }
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(failure(path, error.into())),
            }
        }
    }
}

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Before the lock goes, or it could be the next one's that is removed.
        if is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the path leads to this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The process that a locked file names, if it is the one that has written that.
fn owner(file: &mut File) -> Option<u32> {
    let (pid, start) = read(file)?;
    // Between its lock and its line the file says who was the master before.
    let same = match start {
        Some(start) => process::start_of(pid) == Some(start),
        None => process::is_there(pid),
    };
    same.then_some(pid)
}

/// The number of the process, and when it started if that is known.
fn read(file: &mut File) -> Option<(u32, Option<u64>)> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let start = lines.next().and_then(|line| line.strip_prefix("start=")).map(str::parse);
    Some((pid, start.transpose().ok()?))
}

pub(crate) fn failure(path: &Path, error: io::Error) -> PidFileError {
    let path = path.to_owned();
    if error.kind() != ErrorKind::PermissionDenied {
        return PidFileError::Io { path, error };
    }
    // Of the file or, where that may not even be looked at, the folder.
    let metadata = path.ancestors().find_map(|path| fs::symlink_metadata(path).ok().zip(Some(path)));
    let (path, owner) = match metadata {
        Some((metadata, path)) => (path.to_owned(), process::user_name(metadata.uid())),
        None => (path, "another user".to_owned()),
    };
    PidFileError::Denied { path, owner }
}
