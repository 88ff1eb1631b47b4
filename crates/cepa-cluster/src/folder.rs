//! The run folder: where a running cluster is found, by its pid file with a lock and its sockets.

mod pidfile;
mod process;

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

pub use pidfile::Found;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest path that fits into a Unix socket address, `sun_path` less its final NUL; unix(7).
const LONGEST_PATH: usize = 107;

/// Connections that may wait for the master or the agent, lowered by the system to its own limit.
const BACKLOG: i32 = 4096;

/// The files of one cluster in its run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    dir: PathBuf,
    name: String,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The cluster runs already.
    #[error("it runs already{}; stop it first, or set another cluster.run_dir", as_process(*.0))]
    Running(Option<u32>),
    /// The folder or a file in it is another user's.
    #[error("{} belongs to {owner}; do this as that user, or as root", path.display())]
    Denied {
        /// What may not be used.
        path: PathBuf,
        /// Whose it is, as far as that can be known.
        owner: String,
    },
    /// The folder or a file in it cannot be used.
    #[error("cluster.run_dir: {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path of a socket does not fit into its address.
    #[error(
        "cluster.run_dir: {} is longer than {LONGEST_PATH} bytes, which is all that a Unix socket can have",
        .0.display()
    )]
    LongPath(PathBuf),
    /// The name of the program cannot be that of a file.
    #[error("{0:?} is no name for the files of a cluster")]
    Name(String),
}

impl FolderError {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::denied(path),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    /// Names the owner of the file or, where that may not even be looked at, of the folder that keeps it.
    fn denied(path: &Path) -> Self {
        let looked_at = |path: &Path| Some((path.to_owned(), fs::metadata(path).ok()?.uid()));
        let (path, owner) = match path.ancestors().find_map(looked_at) {
            Some((path, uid)) => (path, process::user_name(uid)),
            None => (path.to_owned(), "another user".to_owned()),
        };
        Self::Denied { path, owner }
    }
}

fn as_process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(", as process {pid}"))
}

impl RunFolder {
    /// The files of the program `name` in `dir`, which is an absolute path or one below the current directory.
    ///
    /// # Errors
    /// A name that is none for a file, or paths that are too long.
    pub fn new(dir: &Path, name: &str) -> Result<Self, FolderError> {
        if name.is_empty() || name.contains(['/', '\0']) {
            return Err(FolderError::Name(name.to_owned()));
        }
        let dir = std::path::absolute(dir).map_err(FolderError::at(dir))?;
        let folder = Self { dir, name: name.to_owned() };
        match folder.control() {
            path if path.as_os_str().as_bytes().len() > LONGEST_PATH => Err(FolderError::LongPath(path)),
            _ => Ok(folder),
        }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pid file: the number of the master's process in its first line, `start=` and the time of its start in a
    /// measure of the system's own in the second. It is locked (flock) for as long as the master runs.
    pub fn pid_file(&self) -> PathBuf {
        self.file("pid")
    }

    /// The control socket, see [`control`](crate::control).
    pub fn control(&self) -> PathBuf {
        self.file("sock")
    }

    /// The socket on which the agent serves the bus.
    pub fn bus(&self) -> PathBuf {
        self.file("bus")
    }

    /// What a daemon prints: its log, unless that is written elsewhere, and the panics of its processes.
    pub fn output(&self) -> PathBuf {
        self.file("log")
    }

    /// Where the state of a master is for a moment when it is upgraded.
    pub(crate) fn state(&self) -> PathBuf {
        self.file("state")
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", self.name))
    }

    /// What the pid file says.
    ///
    /// # Errors
    /// The pid file cannot be read.
    pub fn running(&self) -> Result<Found, FolderError> {
        let path = self.pid_file();
        pidfile::find(&path).map_err(FolderError::at(&path))
    }

    /// Sends SIGTERM to the master that runs, for when its control socket is not there any more; says whether it could.
    ///
    /// # Errors
    /// The pid file cannot be read, or the process may not be signalled.
    pub fn terminate(&self) -> Result<bool, FolderError> {
        match self.running()? {
            Found::Running(Some(pid)) => {
                process::terminate(pid).map_err(FolderError::at(&self.pid_file()))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Makes the folder, if need be; says whether it was made.
    ///
    /// # Errors
    /// Where that fails.
    pub fn make(&self) -> Result<bool, FolderError> {
        let made = !self.dir.exists();
        let dir = DirBuilder::new().recursive(true).mode(0o750).create(&self.dir);
        dir.map_err(FolderError::at(&self.dir))?;
        Ok(made)
    }

    /// Makes the folder, if need be, and becomes the one that runs there; says whether the folder was made.
    pub(crate) fn take(&self) -> Result<(PidFile, bool), FolderError> {
        let made = self.make()?;
        let file = pidfile::lock(&self.pid_file())?;
        Ok((PidFile { file, folder: self.clone() }, made))
    }

    /// Binds a socket that only this user may connect to, in the place of one left behind. Whoever calls it holds the
    /// lock.
    pub(crate) fn listen(&self, path: &Path) -> Result<UnixListener, FolderError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FolderError::at(path)(error));
            }
            _ => {}
        }
        let bind = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            // Before it listens nobody can connect, whatever the umask has made of the permissions.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            net::listen(&socket, BACKLOG)?;
            Ok(UnixListener::from(socket))
        };
        bind().map_err(FolderError::at(path))
    }
}

/// The pid file of this process, locked; dropping it takes all files of the cluster away.
#[derive(Debug)]
pub(crate) struct PidFile {
    file: File,
    folder: RunFolder,
}

impl PidFile {
    /// The pid file that an earlier program of this process has taken.
    pub(crate) fn inherit(file: File, folder: RunFolder) -> Self {
        Self { file, folder }
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever has removed it may have started another cluster, whose files these are then.
        if !pidfile::is_at(&self.file, &self.folder.pid_file()).unwrap_or(false) {
            return;
        }
        // The lock goes with the last of the file, so that whoever waits for it finds nothing.
        for path in [self.folder.control(), self.folder.bus(), self.folder.pid_file()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(target: "cepa::master", path = %path.display(), %error, "a file is left behind");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn one_runs_and_a_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(&dir.path().join("a/run"), "app").unwrap();
        assert_eq!(folder.running().unwrap(), Found::Nothing);
        let (taken, made) = folder.take().unwrap();
        assert!(made);
        let pid = std::process::id();
        let expected =
            format!("it runs already, as process {pid}; stop it first, or set another cluster.run_dir");
        assert_eq!(folder.take().unwrap_err().to_string(), expected);
        assert_eq!(folder.running().unwrap(), Found::Running(Some(pid)));
        // Another program may run beside it.
        let other = RunFolder::new(folder.dir(), "other").unwrap().take().unwrap();
        drop((taken, other));
        assert_eq!(folder.running().unwrap(), Found::Nothing);
        assert_eq!(fs::read_dir(folder.dir()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_behind_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(dir.path(), "app").unwrap();
        fs::write(folder.pid_file(), "1\n5\n").unwrap();
        drop(UnixListener::bind(folder.control()).unwrap());
        assert_eq!(folder.running().unwrap(), Found::Stale(Some(1)));
        let (taken, made) = folder.take().unwrap();
        assert!(!made);
        let listener = folder.listen(&folder.control()).unwrap();
        assert_eq!(fs::metadata(folder.control()).unwrap().permissions().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(folder.control()).unwrap();
        listener.accept().unwrap();
        drop(taken);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_files_of_another_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(dir.path(), "app").unwrap();
        let (first, _) = folder.take().unwrap();
        // Somebody has cleaned up while it ran.
        fs::remove_file(folder.pid_file()).unwrap();
        let _second = folder.take().unwrap();
        drop(first);
        assert_eq!(folder.running().unwrap(), Found::Running(Some(std::process::id())));
    }

    #[test]
    fn who_may_not_is_told_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none/app.pid");
        let error = FolderError::at(&path)(io::ErrorKind::PermissionDenied.into()).to_string();
        let expected = format!("{} belongs to user ", dir.path().display());
        assert!(
            error.starts_with(&expected) && error.ends_with("; do this as that user, or as root"),
            "{error}"
        );
    }

    #[test]
    fn names_and_paths_have_bounds() {
        for name in ["", "a/b", "a\0"] {
            assert!(matches!(RunFolder::new("run".as_ref(), name), Err(FolderError::Name(_))));
        }
        let long = PathBuf::from("/x".repeat(60));
        assert!(matches!(RunFolder::new(&long, "app"), Err(FolderError::LongPath(_))));
    }
}
