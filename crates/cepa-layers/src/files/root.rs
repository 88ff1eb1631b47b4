//! Opening what lies below a root, and nothing else.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::OwnedFd,
    path::PathBuf,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};
use serde::Deserialize;

/// Which symbolic links below a root are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symlinks {
    /// None: a link is as if it were not there.
    Never,
    /// Those that stay below the root, checked by the kernel on the way (`openat2`, Linux 5.6); absolute ones do not.
    /// Where the kernel cannot check it none is followed.
    #[default]
    Inside,
    /// All, wherever they lead. Whoever may make a link below the root may then serve any file of the machine.
    Anywhere,
}

/// A root that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} cannot be served: {cause}")]
pub struct RootError {
    /// The root as it was given.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub cause: io::Error,
}

/// A directory whose files are served.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: PathBuf,
    symlinks: Symlinks,
}

/// Something below a root.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) meta: Metadata,
}

/// Not to wait for the writer of a FIFO, and not to become the terminal of a process without one.
const FLAGS: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Root {
    /// A root, which must be a directory now. It is looked up anew for each file, so that it may be a link that is
    /// moved on to a new release.
    pub(crate) fn new(path: impl Into<PathBuf>, symlinks: Symlinks) -> Result<Self, RootError> {
        let root = Self { path: path.into(), symlinks };
        match root.dir() {
            Ok(_) => Ok(root),
            Err(cause) => Err(RootError { path: root.path, cause }),
        }
    }

    fn dir(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::RDONLY;
        Ok(openat(CWD, &self.path, flags, Mode::empty())?)
    }

    /// Opens what has this name, the path of a [`Name`](super::name::Name); `None` where nothing has that may be served.
    ///
    /// Blocks. Errors are those of the machine: no descriptors left, a disk that fails, no permission.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<Opened>> {
        let found = match name {
            "" => self.dir(),
            name => self.dir().and_then(|dir| Ok(self.open_below(&dir, name)?)),
        };
        match found {
            Ok(found) => {
                let file = File::from(found);
                let meta = file.metadata()?;
                Ok(Some(Opened { file, meta }))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_below(&self, dir: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        match self.symlinks {
            Symlinks::Anywhere => openat(dir, name, FLAGS | OFlags::RDONLY, Mode::empty()),
            checked => match beneath(dir, name, checked) {
                // An old kernel, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => by_component(dir, name),
                found => found,
            },
        }
    }
}

/// Lets the kernel see to it that the path stays below the directory.
#[cfg(target_os = "linux")]
fn beneath(dir: &OwnedFd, name: &str, symlinks: Symlinks) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};

    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if symlinks == Symlinks::Never {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    // EAGAIN: something was moved while the kernel looked, and it could not tell whether the path stayed inside.
    const TRIES: usize = 8;
    for _ in 1..TRIES {
        match openat2(dir, name, FLAGS | OFlags::RDONLY, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            found => return found,
        }
    }
    openat2(dir, name, FLAGS | OFlags::RDONLY, Mode::empty(), resolve)
}

#[cfg(not(target_os = "linux"))]
fn beneath(_: &OwnedFd, _: &str, _: Symlinks) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Goes down directory by directory and follows no link.
fn by_component(dir: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = FLAGS | OFlags::RDONLY | OFlags::NOFOLLOW;
    let Some((parents, last)) = name.rsplit_once('/') else {
        return openat(dir, name, flags, Mode::empty());
    };
    let mut segments = parents.split('/');
    let first = segments.next().unwrap_or_default();
    let mut at = openat(dir, first, flags | OFlags::DIRECTORY, Mode::empty())?;
    for segment in segments {
        at = openat(&at, segment, flags | OFlags::DIRECTORY, Mode::empty())?;
    }
    openat(&at, last, flags, Mode::empty())
}

/// Whether an error says that there is nothing to be served of that name.
fn is_missing(error: &io::Error) -> bool {
    // XDEV: the path left the root; LOOP: a link where none is followed; NXIO: a socket.
    const MISSING: [Errno; 7] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::XDEV,
        Errno::NAMETOOLONG,
        Errno::NXIO,
        Errno::INVAL,
    ];
    Errno::from_io_error(error).is_some_and(|errno| MISSING.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "in").unwrap();
        fs::write(dir.path().join("secret"), "out").unwrap();
        symlink("b/file", root.join("a/inside")).unwrap();
        symlink("a", root.join("dir")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        dir
    }

    #[test]
    fn links_are_followed_as_far_as_told() {
        let dir = tree();
        for (name, never, inside, anywhere) in [
            ("a/b/file", true, true, true),
            ("a/inside", false, true, true),
            ("dir/b/file", false, true, true),
            ("outside", false, false, true),
            ("up/secret", false, false, true),
            ("loop", false, false, false),
            ("a/b/file/x", false, false, false),
            ("a/none", false, false, false),
        ] {
            let policies =
                [(Symlinks::Never, never), (Symlinks::Inside, inside), (Symlinks::Anywhere, anywhere)];
            for (symlinks, expected) in policies {
                let root = Root::new(dir.path().join("root"), symlinks).unwrap();
                assert_eq!(root.open(name).unwrap().is_some(), expected, "{name} {symlinks:?}");
            }
            let root = Root::new(dir.path().join("root"), Symlinks::Never).unwrap();
            let found = by_component(&root.dir().unwrap(), name);
            assert_eq!(found.is_ok(), never, "{name} by component");
        }
    }

    #[test]
    fn a_fifo_holds_nobody_up_and_a_root_must_be_there() {
        let dir = tree();
        let path = dir.path().join("root/fifo");
        rustix::fs::mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
        let root = Root::new(dir.path().join("root"), Symlinks::Inside).unwrap();
        let fifo = root.open("fifo").unwrap().unwrap();
        assert!(!fifo.meta.is_file());
        assert!(root.open("").unwrap().unwrap().meta.is_dir());
        let error = Root::new(dir.path().join("secret"), Symlinks::Inside).unwrap_err();
        assert!(error.to_string().contains("secret"), "{error}");
    }
}
