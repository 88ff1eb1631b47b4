//! A file as it is known: its forms, and what tells one version of it from another.

use std::{
    fs::{File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cepa_core::date;
use http::HeaderValue;

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Nothing,
    /// A directory that has an index, asked for without its slash.
    Directory,
    File(Arc<Entry>),
}

impl Found {
    pub(super) fn into_entry(self) -> Option<Arc<Entry>> {
        match self {
            Self::File(entry) => Some(entry),
            Self::Nothing | Self::Directory => None,
        }
    }

    /// The memory it takes to keep this; `None` when it must not be kept, since it holds descriptors.
    pub(super) fn weight(&self) -> Option<usize> {
        let Self::File(entry) = self else { return Some(0) };
        entry.forms.iter().try_fold(0, |sum, form| match &form.content {
            Content::Memory(bytes) => Some(sum + bytes.len() + size_of::<Form>()),
            Content::Disk(..) => None,
        })
    }
}

/// A file with the codings it is there in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: HeaderValue,
    pub(super) cache_control: HeaderValue,
    /// The file itself first, then what lies beside it, the best coding first.
    pub(super) forms: Vec<Form>,
}

impl Entry {
    /// The form of this coding as it was known.
    pub(super) fn form(&self, coding: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.coding == coding)
    }
}

#[derive(Debug)]
pub(super) struct Form {
    /// `identity`, or the name of the coding.
    pub(super) coding: &'static str,
    pub(super) stamp: Stamp,
    pub(super) etag: HeaderValue,
    pub(super) last_modified: Option<HeaderValue>,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Bytes),
    /// The file and its name below the root.
    Disk(Arc<File>, Box<str>),
}

/// Tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len: u64,
    dev: u64,
    ino: u64,
    modified: (i64, i64),
    /// Whether the last change was so long ago that one after it would have another time.
    settled: bool,
}

/// Coarser than the clock of any file system that is still about (FAT counts in steps of two seconds).
const SETTLES: Duration = Duration::from_secs(2);

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let age = meta.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        Self {
            len: meta.len(),
            dev: meta.dev(),
            ino: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            settled: age.is_some_and(|age| age > SETTLES),
        }
    }

    /// Whether what was read with this stamp is what a file with the stamp `now` holds.
    pub(super) fn still_is(&self, now: &Self) -> bool {
        self.settled && self == now
    }

    /// An entity tag, weak where a change could go unnoticed (RFC 9110, section 8.8.1). It is the same in all
    /// workers, and tells nobody the numbers it is made of.
    pub(super) fn etag(&self) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        (self.dev, self.ino, self.modified).hash(&mut hasher);
        let weak = if self.settled { "" } else { "W/" };
        let tag = format!("{weak}\"{:x}-{:016x}\"", self.len, hasher.finish());
        HeaderValue::try_from(tag).expect("hexadecimal digits are visible")
    }

    pub(super) fn last_modified(&self) -> Option<HeaderValue> {
        let seconds = u64::try_from(self.modified.0).ok()?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        HeaderValue::try_from(date::format(time)?).ok()
    }
}
