//! Keeps files, each under a name of our own, beside what there is to know of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use cepa::{layers::multipart::File, prelude::*, server::blocking};
use serde::{Deserialize, Serialize};

/// A folder of files; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

/// What there is to know of a file.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// What its sender calls it.
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

impl Shelf {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a file. What is known of it is written last: what breaks off before that is not listed.
    pub(crate) async fn keep(&self, file: File, note: &str) -> Result {
        let at = SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
        let name = file.file_name().filter(|name| !name.is_empty()).unwrap_or("nameless").to_owned();
        let entry = Entry { id: new_id()?, name, note: note.to_owned(), size: file.len(), at };
        file.save_as(self.path(&entry.id, "bin")).await?;
        let (path, text) = (self.path(&entry.id, "json"), serde_json::to_vec(&entry)?);
        blocking(move || fs::write(path, text)).await?;
        Ok(())
    }

    /// All entries, the newest first.
    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                entries.push(serde_json::from_slice::<Entry>(&fs::read(path)?)?);
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        Ok(entries)
    }

    /// An entry and its file, to be read.
    pub(crate) fn find(&self, id: &str) -> Result<Option<(Entry, fs::File)>> {
        // An id comes from a URL: nothing but an id may become part of a path.
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let text = match fs::read(self.path(id, "json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        Ok(Some((serde_json::from_slice(&text)?, fs::File::open(self.path(id, "bin"))?)))
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(id).with_extension(extension)
    }
}

/// 128 random bits, so that nobody finds a file by trying.
fn new_id() -> Result<String> {
    Ok(format!("{:032x}", u128::from(getrandom::u64()?) << 64 | u128::from(getrandom::u64()?)))
}
