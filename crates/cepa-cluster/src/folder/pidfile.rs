//! The pid file: which process is the master, and by the lock on it that it still is.
//!
//! A lock (`flock`) ends with the process that holds it, however that ends. So a file that nobody has locked is a leftover,
//! whatever process has its number by now, and one that is locked is the master's, whatever it is called.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process as this, thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};

use super::{FolderError, process};

/// The longest a pid file can be.
const LONGEST: u64 = 256;

/// How long a lock is waited for, or a line to be written, when nobody says to be the master: whoever looks at a pid
/// file has it locked for a moment, and so has a master that is just beginning.
const MOMENT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

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

/// Makes the pid file of this process and locks it, in the place of one that was left behind.
pub(super) fn lock(path: &Path) -> Result<File, FolderError> {
    let failed = FolderError::at(path);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let until = Instant::now() + MOMENT;
    let mut file = loop {
        let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened.map_err(|error| failed(error.into()))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Its owner may have removed it since it was opened; then the lock is on what nobody finds.
            Ok(()) if is_at(&file, path).map_err(&failed)? => break file,
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pid = owner(&mut file);
                if pid.is_some() || Instant::now() > until {
                    return Err(FolderError::Running(pid));
                }
                pause();
            }
            Err(error) => return Err(failed(error.into())),
        }
    };
    let text = match process::start_of(this::id()) {
        Some(start) => format!("{}\nstart={start}\n", this::id()),
        None => format!("{}\n", this::id()),
    };
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
    Ok(file)
}

/// What the pid file says.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let until = Instant::now() + MOMENT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(Found::Stale(read(&mut file).map(|(pid, _)| pid))),
            Err(Errno::WOULDBLOCK) => {
                let pid = owner(&mut file);
                if pid.is_some() || Instant::now() > until {
                    return Ok(Found::Running(pid));
                }
                pause();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Only commands look at pid files, and masters before they do anything else.
#[allow(clippy::disallowed_methods)]
fn pause() {
    thread::sleep(PAUSE);
}

/// Whether the path leads to this file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
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
