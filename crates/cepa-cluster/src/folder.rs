//! The run folder: where a running cluster is found, by its pid file with a lock and its sockets.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest path that fits into a Unix socket address, `sun_path` less its final NUL; unix(7).
const LONGEST_PATH: usize = 107;

/// Connections that may wait for the master or the agent, lowered by the system to its own limit.
const BACKLOG: i32 = 4096;

/// How long a lock is waited for: whoever only looks holds it for a moment.
const LOOK: Duration = Duration::from_millis(200);

/// The files of one cluster in its run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    dir: PathBuf,
    name: String,
}

/// A running master, as its pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its process; 0 if it has not written it yet.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub started: u64,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The cluster runs already.
    #[error("it runs already, as process {}; stop it first, or set another cluster.run_dir", .0.pid)]
    Running(Instance),
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
        move |source| Self::Io { path: path.to_owned(), source }
    }
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

    /// The pid file: the number of the master's process in its first line, the time of its start in the second. It is
    /// locked (flock) for as long as the master runs.
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

    /// The master that runs now, if there is one. A pid file that nobody has locked is one left behind.
    ///
    /// # Errors
    /// The pid file cannot be read.
    pub fn running(&self) -> Result<Option<Instance>, FolderError> {
        let path = self.pid_file();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FolderError::at(&path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => read(&mut file).map(Some).map_err(FolderError::at(&path)),
            Err(TryLockError::Error(error)) => Err(FolderError::at(&path)(error)),
        }
    }

    /// Makes the folder, if need be, and becomes the one that runs there; says whether the folder was made.
    pub(crate) fn take(&self) -> Result<(PidFile, bool), FolderError> {
        let made = !self.dir.exists();
        let dir = DirBuilder::new().recursive(true).mode(0o750).create(&self.dir);
        dir.map_err(FolderError::at(&self.dir))?;
        let path = self.pid_file();
        let mut file = lock(&path)?;
        write(&mut file).map_err(FolderError::at(&path))?;
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

/// Opens the pid file, and locks it.
fn lock(path: &Path) -> Result<File, FolderError> {
    let failed = FolderError::at(path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let started = Instant::now();
    loop {
        let mut file = options.open(path).map_err(&failed)?;
        match file.try_lock() {
            // Somebody who has just ended may have removed it meanwhile.
            Ok(()) if is_at(&file, path).map_err(&failed)? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if started.elapsed() < LOOK => {
                // Nothing else is done in this process yet.
                #[allow(clippy::disallowed_methods)]
                sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Running(read(&mut file).map_err(&failed)?));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(file: &mut File) -> io::Result<()> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    file.set_len(0)?;
    file.write_all(format!("{}\n{started}\n", process::id()).as_bytes())
}

fn read(file: &mut File) -> io::Result<Instance> {
    let mut text = String::new();
    file.rewind()?;
    file.take(64).read_to_string(&mut text)?;
    let mut lines = text.lines().map(|line| line.parse::<u64>().unwrap_or(0));
    let pid = u32::try_from(lines.next().unwrap_or(0)).unwrap_or(0);
    Ok(Instance { pid, started: lines.next().unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn one_runs_and_a_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(&dir.path().join("a/run"), "app").unwrap();
        assert_eq!(folder.running().unwrap(), None);
        let (taken, made) = folder.take().unwrap();
        assert!(made);
        let Err(FolderError::Running(instance)) = folder.take() else { panic!("it was taken twice") };
        assert_eq!(instance.pid, process::id());
        assert!(instance.started > 1_600_000_000);
        assert_eq!(folder.running().unwrap(), Some(instance));
        // Another program may run beside it.
        let other = RunFolder::new(folder.dir(), "other").unwrap().take().unwrap();
        drop((taken, other));
        assert_eq!(folder.running().unwrap(), None);
        assert_eq!(fs::read_dir(folder.dir()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_behind_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(dir.path(), "app").unwrap();
        fs::write(folder.pid_file(), "1\n5\n").unwrap();
        drop(UnixListener::bind(folder.control()).unwrap());
        assert_eq!(folder.running().unwrap(), None);
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
    fn names_and_paths_have_bounds() {
        for name in ["", "a/b", "a\0"] {
            assert!(matches!(RunFolder::new("run".as_ref(), name), Err(FolderError::Name(_))));
        }
        let long = PathBuf::from("/x".repeat(60));
        assert!(matches!(RunFolder::new(&long, "app"), Err(FolderError::LongPath(_))));
    }
}
