//! Reads a directory and sorts what is in it.

use std::{cmp::Ordering, ffi::CStr, io, os::unix::fs::MetadataExt, time::SystemTime};

use cepa_core::{Ctx, date};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use serde::Serialize;

use super::Options;
use crate::files::{Root, Symlinks};

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Size,
    Modified,
}

impl Key {
    pub(super) const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Modified];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Modified => "modified",
        }
    }

    /// The key that the query names, the name where it names none.
    pub(super) fn asked(ctx: &Ctx) -> Self {
        let asked = ctx.query_value("sort").unwrap_or_default();
        Self::ALL.into_iter().find(|key| key.name() == asked).unwrap_or(Self::Name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Order {
    pub(super) fn asked(ctx: &Ctx) -> Self {
        match ctx.query_value("order").as_deref() {
            Some("desc") => Self::Descending,
            _ => Self::Ascending,
        }
    }
}

/// A file or directory in a list.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) directory: bool,
    /// Bytes; 0 for a directory.
    pub(super) size: u64,
    /// ISO 8601.
    pub(super) modified: Option<String>,
}

#[derive(Debug)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// Whether there was more than may be looked at.
    pub(super) cut: bool,
}

/// A listing as it is told to programs.
#[derive(Serialize)]
pub(super) struct Json<'l> {
    path: &'l str,
    entries: &'l [Entry],
    cut: bool,
}

impl Listing {
    pub(super) fn json<'l>(&'l self, path: &'l str) -> Json<'l> {
        Json { path, entries: &self.entries, cut: self.cut }
    }

    pub(super) fn sort(&mut self, key: Key, order: Order) {
        self.entries.sort_by(|a, b| {
            let by_key = match key {
                Key::Name => Ordering::Equal,
                Key::Size => a.size.cmp(&b.size),
                Key::Modified => a.modified.cmp(&b.modified),
            };
            let found = by_key.then_with(|| a.name.cmp(&b.name));
            let found = if order == Order::Descending { found.reverse() } else { found };
            b.directory.cmp(&a.directory).then(found)
        });
    }
}

/// The entries of a directory, in the order of the disk; `None` where there is none. Blocks.
pub(super) fn list(root: &Root, path: &str, options: &Options) -> io::Result<Option<Listing>> {
    let Some(opened) = root.open(path)?.filter(|opened| opened.meta.is_dir()) else { return Ok(None) };
    let mut listing = Listing { entries: Vec::new(), cut: false };
    let mut looked_at = 0;
    for found in Dir::read_from(&opened.file)? {
        let found = found?;
        if matches!(found.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        // What is not shown costs as much to look at.
        if looked_at == options.entries {
            listing.cut = true;
            break;
        }
        looked_at += 1;
        let Some(name) = listed(found.file_name(), options.hidden) else { continue };
        listing.entries.extend(entry(root, &opened.file, path, name, options.symlinks)?);
    }
    Ok(Some(listing))
}

/// The name, if a file of that name would be served.
fn listed(name: &CStr, hidden: bool) -> Option<&str> {
    let name = name.to_str().ok()?;
    let shown = hidden || !name.starts_with('.');
    (shown && !name.contains('\\')).then_some(name)
}

/// What has this name; `None` when it is gone, is neither file nor directory, or is a link that is not followed.
fn entry(
    root: &Root,
    directory: &std::fs::File,
    path: &str,
    name: &str,
    symlinks: Symlinks,
) -> io::Result<Option<Entry>> {
    let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(None) };
    let (kind, size, seconds) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink if symlinks == Symlinks::Never => return Ok(None),
        FileType::Symlink => {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            // A link to what may not be read is as one that leads out.
            let Ok(Some(target)) = root.open(&path) else { return Ok(None) };
            (FileType::from_raw_mode(target.meta.mode()), target.meta.len(), target.meta.mtime())
        }
        kind => (kind, u64::try_from(stat.st_size).unwrap_or_default(), stat.st_mtime),
    };
    let is_directory = kind == FileType::Directory;
    if !is_directory && kind != FileType::RegularFile {
        return Ok(None);
    }
    let time = u64::try_from(seconds).ok().map(std::time::Duration::from_secs);
    let time = time.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let size = if is_directory { 0 } else { size };
    let modified = time.and_then(date::format_iso);
    Ok(Some(Entry { name: name.to_owned(), directory: is_directory, size, modified }))
}
