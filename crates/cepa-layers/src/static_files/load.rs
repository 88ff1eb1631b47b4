//! Asks the disk for a file and what lies beside it. Everything here blocks.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use cepa_core::mime;
use http::HeaderValue;

use super::{
    Options,
    entry::{Content, Entry, Form, Found, Stamp},
};
use crate::{
    files::{Opened, Root, RootError},
    when::is_below,
};

/// Codings that may lie beside a file, the best first, and how their names end.
const SIBLINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

const IDENTITY: &str = "identity";

#[derive(Debug)]
pub(super) struct Loader {
    pub(super) options: Options,
    root: Root,
}

impl Loader {
    pub(super) fn new(options: Options) -> Result<Self, RootError> {
        let root = Root::new(&options.root, options.symlinks)?;
        Ok(Self { options, root })
    }

    /// The root as other programs find it; like its files anew each time, since it may be a link that is moved on.
    pub(super) fn place(&self) -> io::Result<PathBuf> {
        self.options.root.canonicalize()
    }

    /// What a path leads to. Contents that `last` has and that did not change are not read again.
    pub(super) fn find(&self, path: &str, is_directory: bool, last: Option<&Entry>) -> io::Result<Found> {
        let index = &self.options.index;
        if is_directory {
            return if index.is_empty() { Ok(Found::Nothing) } else { self.file(&join(path, index), last) };
        }
        let mut is_missing = true;
        if let Some(opened) = self.root.open(path)? {
            if opened.meta.is_file() {
                return self.entry(path, opened, last);
            }
            is_missing = !opened.meta.is_dir();
        }
        if !is_missing && !index.is_empty() && self.open_file(&join(path, index))?.is_some() {
            return Ok(Found::Directory);
        }
        if !path.is_empty() && !path.rsplit('/').next().is_some_and(|last| last.contains('.')) {
            for extension in &self.options.extensions {
                let path = format!("{path}.{}", extension.trim_start_matches('.'));
                if let Found::File(entry) = self.file(&path, last)? {
                    return Ok(Found::File(entry));
                }
            }
        }
        Ok(Found::Nothing)
    }

    fn file(&self, path: &str, last: Option<&Entry>) -> io::Result<Found> {
        match self.open_file(path)? {
            Some(opened) => self.entry(path, opened, last),
            None => Ok(Found::Nothing),
        }
    }

    fn open_file(&self, path: &str) -> io::Result<Option<Opened>> {
        Ok(self.root.open(path)?.filter(|opened| opened.meta.is_file()))
    }

    fn entry(&self, path: &str, opened: Opened, last: Option<&Entry>) -> io::Result<Found> {
        // The name alone decides: of a path, the type would be taken from a dot in a directory.
        let name = path.rsplit('/').next().unwrap_or(path);
        let kind = if name.contains('.') { mime::content_type(name) } else { None };
        let kind = kind.as_deref().unwrap_or("application/octet-stream");
        let mut forms = vec![self.form(IDENTITY, path, opened, last)?];
        if self.options.precompressed && mime::is_compressible(kind) && mime::from_extension(name).is_some() {
            for (coding, ending) in SIBLINGS {
                let path = format!("{path}{ending}");
                if let Some(opened) = self.open_file(&path)? {
                    forms.push(self.form(coding, &path, opened, last)?);
                }
            }
        }
        let kind = HeaderValue::from_str(kind).map_err(io::Error::other)?;
        Ok(Found::File(Arc::new(Entry { kind, cache_control: self.cache_control(path), forms })))
    }

    fn cache_control(&self, path: &str) -> HeaderValue {
        const YEAR: u64 = 365 * 24 * 60 * 60;
        let immutable = self.options.immutable.iter().map(|below| below.trim_start_matches('/'));
        let text = match immutable.into_iter().any(|below| is_below(path, below)) {
            true => format!("public, max-age={YEAR}, immutable"),
            false => format!("max-age={}", self.options.max_age.as_secs()),
        };
        HeaderValue::try_from(text).expect("words and digits are visible")
    }

    fn form(
        &self,
        coding: &'static str,
        path: &str,
        opened: Opened,
        last: Option<&Entry>,
    ) -> io::Result<Form> {
        let last = last.and_then(|last| last.form(coding));
        let (stamp, content) = self.content(path, opened, last)?;
        Ok(Form { coding, stamp, etag: stamp.etag(), last_modified: stamp.last_modified(), content })
    }

    fn content(&self, path: &str, opened: Opened, last: Option<&Form>) -> io::Result<(Stamp, Content)> {
        /// How often a file is read that changes meanwhile, before it is left to be sent as it then is.
        const TRIES: usize = 3;
        let Opened { file, meta } = opened;
        let mut stamp = Stamp::of(&meta);
        if let Some(last) = last.filter(|last| last.stamp.still_is(&stamp)) {
            return Ok((stamp, last.content.clone()));
        }
        if stamp.len <= self.options.whole {
            for _ in 0..TRIES {
                let bytes = read(&file, stamp.len)?;
                let after = Stamp::of(&file.metadata()?);
                if after == stamp && bytes.len() as u64 == stamp.len {
                    return Ok((stamp, Content::Memory(bytes)));
                }
                stamp = after;
                if stamp.len > self.options.whole {
                    break;
                }
            }
        }
        Ok((stamp, Content::Disk(Arc::new(file), path.into())))
    }
}

fn read(mut file: &File, len: u64) -> io::Result<Bytes> {
    use std::io::Seek;

    file.rewind()?;
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
