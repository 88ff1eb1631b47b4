//! The run folder: where a cluster has its pid file and its sockets, and how they are called.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::pidfile::{self, PidFileError};

/// The most bytes of the path of a Unix socket that all systems take.
const LONGEST_SOCKET: usize = 103;

/// The files of one cluster in its run folder.
#[derive(Clone, Debug)]
pub struct RunDir {
    dir: PathBuf,
    name: String,
}

/// Why a folder is no run folder.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// It cannot be made, or may not be used.
    #[error(transparent)]
    Folder(#[from] PidFileError),
    /// Its path has too many bytes for the sockets in it.
    #[error(
        "{} is too long a path for a Unix socket, which may have {LONGEST_SOCKET} bytes; \
         set cluster.run_dir to a shorter one", .0.display()
    )]
    TooLong(PathBuf),
}

impl RunDir {
    /// The files of the program `name` in the folder `dir`.
    pub fn new(dir: impl Into<PathBuf>, name: &str) -> Self {
        Self { dir: dir.into(), name: name.replace(['/', '\0'], "-") }
    }

    /// Makes the folder, if it is not there, for its owner only.
    ///
    /// # Errors
    /// Where that fails, or the path is too long for what comes into it.
    pub fn create(&self) -> Result<(), RunDirError> {
        let longest = self.control();
        if longest.as_os_str().len() > LONGEST_SOCKET {
            return Err(RunDirError::TooLong(longest));
        }
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.and_then(|()| match fs::metadata(&self.dir)?.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        })
        .map_err(|error| pidfile::failure(&self.dir, error).into())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pid file of the master.
    pub fn pid(&self) -> PathBuf {
        self.file("pid")
    }

    /// The control socket of the master.
    pub fn control(&self) -> PathBuf {
        self.file("sock")
    }

    /// The socket that the agent serves the bus on.
    pub fn bus(&self) -> PathBuf {
        self.file("bus")
    }

    /// What a daemon prints: its log, unless that is written elsewhere, and the panics of its processes.
    pub fn output(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_for_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::new(root.path().join("a/run"), "app");
        run.create().unwrap();
        run.create().unwrap();
        assert_eq!(fs::metadata(run.dir()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(run.pid(), root.path().join("a/run/app.pid"));
        let strange = RunDir::new(run.dir(), "../app");
        assert_eq!(strange.control(), root.path().join("a/run/..-app.sock"));
    }

    #[test]
    fn what_cannot_be_one_is_said() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let error = RunDir::new(root.path().join("file"), "app").create().unwrap_err().to_string();
        assert!(error.contains("/file: "), "{error}");
        let error = RunDir::new(root.path().join("x".repeat(100)), "app").create().unwrap_err().to_string();
        assert!(error.contains("cluster.run_dir"), "{error}");
    }
}
