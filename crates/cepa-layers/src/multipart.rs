//! Reads `multipart/form-data`, the bodies of forms with files (RFC 7578): part by part, or as a whole with its files
//! kept in memory or on disk.
//!
//! With the feature `multipart`.
//!
//! ```
//! use cepa_core::{App, Ctx, Result};
//! use cepa_layers::multipart::{self, MultipartExt as _, multipart};
//!
//! async fn upload(ctx: &mut Ctx) -> Result<String> {
//!     let upload = ctx.upload().await?;
//!     let picture = upload.file("picture");
//!     let picture = ctx.expect(picture, 400, "a picture is missing")?;
//!     Ok(format!("{:?}: {} bytes", upload.field("title"), picture.len()))
//! }
//!
//! # fn main() -> Result {
//! let options = multipart::Options { extensions: Some(vec!["png".into()]), ..Default::default() };
//! let app = App::new().with(multipart(options)?).post("/", upload);
//! # cepa_core::test::block_on(async {
//! let body = "--x\r\nContent-Disposition: form-data; name=title\r\n\r\nTobi\r\n\
//!     --x\r\nContent-Disposition: form-data; name=picture; filename=\"tobi.png\"\r\n\r\n...\r\n--x--\r\n";
//! let answer = app.test().post("/").header("content-type", "multipart/form-data; boundary=x").body(body).await;
//! assert_eq!(answer.text(), r#"Some("Tobi"): 3 bytes"#);
//! # });
//! # Ok(())
//! # }
//! ```
//!
//! How much may be sent in all is the limit of the body: of the server, the route
//! ([`body_limit`](cepa_core::router::Route::body_limit)) or the layer
//! [`body_limits`](crate::body_limits()). A body that declares more is refused before a byte of it is read. Parts are
//! refused with their first byte past a limit of the [`Options`].

mod delimiter;
mod error;
mod file;
mod head;
mod parser;
mod parts;
mod upload;

use std::{io, path::PathBuf, sync::Arc};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::header;
use serde::Deserialize;

pub use self::{
    error::MultipartError,
    file::{File, Reader},
    head::{HeadLimits, PartHead},
    parser::{Event, Parser},
    parts::{Part, Parts},
    upload::Upload,
};

/// What is taken, and where files are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Fields that are no files, default 100: 413.
    pub fields: usize,
    /// Files, default 10: 413.
    pub files: usize,
    /// Bytes of a field, default 100 KiB: 413.
    #[serde(with = "units::size")]
    pub field_bytes: u64,
    /// Bytes of a file, default 10 MiB: 413.
    #[serde(with = "units::size")]
    pub file_bytes: u64,
    /// Bytes of all headers of a part, default 8 KiB: 413.
    #[serde(with = "units::size")]
    pub header_bytes: usize,
    /// Bytes of the name of a field, default 100: 413.
    #[serde(with = "units::size")]
    pub name_bytes: usize,
    /// Bytes of the name of a file, default 255: 413.
    #[serde(with = "units::size")]
    pub file_name_bytes: usize,
    /// The extensions that names of files may have, such as `png` or `tar.gz`, in any case: 400. Default: any, also
    /// none.
    pub extensions: Option<Vec<String>>,
    /// Bytes of a file that [`upload`](MultipartExt::upload) keeps in memory, default 64 KiB; larger ones are written
    /// to disk.
    #[serde(with = "units::size")]
    pub memory: usize,
    /// The folder for files on disk, default that of the system for temporary files.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        let HeadLimits { header_bytes, name_bytes, file_name_bytes } = HeadLimits::default();
        Self {
            fields: 100,
            files: 10,
            field_bytes: 100 << 10,
            file_bytes: 10 << 20,
            header_bytes,
            name_bytes,
            file_name_bytes,
            extensions: None,
            memory: 64 << 10,
            folder: std::env::temp_dir(),
        }
    }
}

impl Options {
    fn head_limits(&self) -> HeadLimits {
        let Self { header_bytes, name_bytes, file_name_bytes, .. } = *self;
        HeadLimits { header_bytes, name_bytes, file_name_bytes }
    }

    /// Whether a file of this name is taken.
    fn takes(&self, file_name: &str) -> bool {
        let ends = |extension: &String| {
            let extension = extension.trim_start_matches('.').as_bytes();
            let (stem, end) = file_name.as_bytes().split_at(file_name.len().saturating_sub(extension.len()));
            stem.ends_with(b".") && end.eq_ignore_ascii_case(extension)
        };
        self.extensions.as_ref().is_none_or(|known| known.iter().any(ends))
    }
}

/// Why [`Options`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// No file can be made in the folder.
    #[error("multipart: no file can be made in the folder {}: {cause}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// An extension is written like something else, such as a type.
    #[error("multipart: {0:?} is not an extension of a file name: write one like \"png\"")]
    Extension(String),
}

/// A layer that says how multipart bodies are read inwards of it.
///
/// It reads nothing itself: [`MultipartExt`] does, with the options of the innermost such layer, or the defaults
/// where there is none. Belongs inside of what may turn a request away.
///
/// # Errors
/// A folder in which no file can be made, which is tried; an extension that is none.
pub fn multipart(options: Options) -> Result<Multipart, OptionsError> {
    for extension in options.extensions.iter().flatten() {
        let has_gap = extension.trim_start_matches('.').split('.').any(str::is_empty);
        if has_gap || extension.contains(['/', '\\', '*', ' ']) {
            return Err(OptionsError::Extension(extension.clone()));
        }
    }
    if let Err(cause) = tempfile::tempfile_in(&options.folder) {
        return Err(OptionsError::Folder { folder: options.folder, cause });
    }
    Ok(Multipart { options: Arc::new(options) })
}

/// See [`multipart()`].
#[derive(Clone, Debug)]
pub struct Multipart {
    options: Arc<Options>,
}

impl Middleware for Multipart {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        let kind = ctx.request.fields().get("content-type").unwrap_or_default();
        if kind.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/")) {
            ctx.insert(Arc::clone(&self.options));
        }
        next.run(ctx).boxed()
    }
}

/// Reading multipart bodies from a [`Ctx`].
pub trait MultipartExt {
    /// The parts one by one, as they come. Takes the body of the request.
    ///
    /// # Errors
    /// 415 when the body is not `multipart/form-data`, 400 when its boundary is malformed.
    fn parts(&mut self) -> Result<Parts>;

    /// All parts: fields as text, and files, of which the large ones are on disk. Takes the body of the request.
    ///
    /// A file on disk has no name there and is gone with the last that holds it: with the [`Upload`], whether the
    /// request ends well, with a panic, by being dropped, or with the whole process. Fields of files for which the
    /// user has chosen none, which browsers send with neither name nor content, are left out.
    ///
    /// Writing needs a tokio runtime, which every server and worker has.
    ///
    /// # Errors
    /// As [`parts`](Self::parts), those of [`Parts::next`], 400 for a field that is not UTF-8, 507 when the disk is
    /// full.
    fn upload(&mut self) -> impl Future<Output = Result<Upload>>;
}

impl MultipartExt for Ctx {
    fn parts(&mut self) -> Result<Parts> {
        let options = self.state::<Arc<Options>>().map(Arc::clone).unwrap_or_default();
        let kind = self.request.get(header::CONTENT_TYPE).unwrap_or_default();
        let parser = Parser::new(kind, options.head_limits()).map_err(MultipartError::public)?;
        Ok(Parts::new(self.request.take_body(), parser, options))
    }

    async fn upload(&mut self) -> Result<Upload> {
        let mut parts = self.parts()?;
        let mut upload = Upload::default();
        while let Some(part) = parts.next().await? {
            upload.add(part).await?;
        }
        Ok(upload)
    }
}

/// What a disk has failed with.
fn disk_error(cause: io::Error) -> Error {
    let is_full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Error::status_only(if is_full { 507 } else { 500 }).with_cause(cause)
}

#[cfg(test)]
mod tests;
