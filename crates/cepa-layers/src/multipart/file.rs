//! A file that was sent, in memory or on disk, where it has no name.

use std::{
    fs,
    io::{self, Cursor, Read, Seek, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use cepa_core::Result;
use tokio::task::spawn_blocking;

use super::{Options, PartHead, disk_error};

/// Bytes that are gathered for one write, once a file is on disk.
const BATCH: usize = 256 << 10;

/// A file that was sent. It is gone when this is dropped, unless it was [saved](Self::save_as).
#[derive(Debug)]
pub struct File {
    head: PartHead,
    content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    Disk { file: fs::File, length: u64 },
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Memory(bytes) if bytes.is_empty())
    }
}

impl File {
    pub(super) fn new(head: PartHead, content: Content) -> Self {
        Self { head, content }
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk { length, .. } => *length,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content, if the file is small enough to be in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes),
            Content::Disk { .. } => None,
        }
    }

    /// The whole content in memory.
    ///
    /// # Errors
    /// 500 when it cannot be read from disk.
    pub async fn bytes(&self) -> Result<Bytes> {
        let Content::Disk { file, length } = &self.content else {
            return Ok(self.as_bytes().cloned().unwrap_or_default());
        };
        let (file, length) = (file.try_clone().map_err(disk_error)?, *length);
        let read = blocking(move || {
            let mut all = vec![0; length as usize];
            // Where the file stands is left alone: all who read it share that.
            file.read_exact_at(&mut all, 0)?;
            Ok(all)
        });
        read.await.map(Bytes::from)
    }

    /// The content from its beginning, for blocking work such as that of an image library.
    ///
    /// # Errors
    /// When the file on disk cannot be rewound.
    pub fn into_reader(self) -> io::Result<Reader> {
        match self.content {
            Content::Memory(bytes) => Ok(Reader(Source::Memory(Cursor::new(bytes)))),
            Content::Disk { file, .. } => Reader::of_disk(file),
        }
    }

    /// Keeps the file under this path, which must not exist. Give it a name of your own:
    /// [`file_name`](PartHead::file_name) is what the client likes to call it.
    ///
    /// On Linux a file that is on the same file system already gets its name there, in no time. Otherwise it is copied;
    /// a copy that fails half-way is removed. Nothing is said of when it outlives a failure of power.
    ///
    /// # Errors
    /// 500 with the `std::io::Error` as its cause, which is `AlreadyExists` where something is under this path; 507
    /// when the disk is full.
    pub async fn save_as(self, path: impl Into<PathBuf>) -> Result {
        let path = path.into();
        blocking(move || match self.content {
            Content::Disk { file, .. } => match link(&file, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                Err(_) => copy(Reader::of_disk(file)?, &path),
                Ok(()) => Ok(()),
            },
            Content::Memory(bytes) => copy(Cursor::new(bytes), &path),
        })
        .await
    }
}

/// The head of its part: name, file name, type.
impl std::ops::Deref for File {
    type Target = PartHead;

    fn deref(&self) -> &PartHead {
        &self.head
    }
}

/// Gives a file that has no name one.
#[cfg(target_os = "linux")]
fn link(file: &fs::File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;

    // As open(2) says under O_TMPFILE, for programs without the right to link a descriptor.
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &fs::File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn copy(mut from: impl Read, path: &Path) -> io::Result<()> {
    let mut to = fs::File::create_new(path)?;
    let copied = io::copy(&mut from, &mut to);
    if copied.is_err() {
        // What is left of it is of no use; that the copy failed is the error to tell.
        let _ = fs::remove_file(path);
    }
    copied.map(drop)
}

/// Runs what waits for the disk beside the loop of this thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(disk_error)
}

/// The content of a [`File`], from its beginning.
#[derive(Debug)]
pub struct Reader(Source);

#[derive(Debug)]
enum Source {
    Memory(Cursor<Bytes>),
    Disk(fs::File),
}

impl Reader {
    fn of_disk(mut file: fs::File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self(Source::Disk(file)))
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Memory(cursor) => cursor.read(buffer),
            Source::Disk(file) => file.read(buffer),
        }
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Source::Memory(cursor) => cursor.seek(to),
            Source::Disk(file) => file.seek(to),
        }
    }
}

/// Content on its way to memory or disk.
pub(super) struct Spool {
    options: Arc<Options>,
    waiting: BytesMut,
    file: Option<fs::File>,
    written: u64,
}

impl Spool {
    pub(super) fn new(options: &Arc<Options>) -> Self {
        Self { options: Arc::clone(options), waiting: BytesMut::new(), file: None, written: 0 }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result {
        self.waiting.extend_from_slice(bytes);
        let most = if self.file.is_some() { BATCH } else { self.options.memory };
        if self.waiting.len() > most { self.flush().await } else { Ok(()) }
    }

    /// Writes what waits. When this is dropped the file goes with it.
    async fn flush(&mut self) -> Result {
        let (file, options) = (self.file.take(), Arc::clone(&self.options));
        let bytes = self.waiting.split();
        self.written += bytes.len() as u64;
        let written = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(&options.folder)?,
            };
            file.write_all(&bytes)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Content> {
        if self.file.is_some() && !self.waiting.is_empty() {
            self.flush().await?;
        }
        Ok(match self.file {
            Some(file) => Content::Disk { file, length: self.written },
            None => Content::Memory(self.waiting.freeze()),
        })
    }
}
