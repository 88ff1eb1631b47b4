//! The parts of a body as they come, each within its limits.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use cepa_core::{Body, Error, Result};

use super::{Event, MultipartError, Options, Parser, PartHead};

/// The most bytes that are read behind the last part; a line break is usual.
const EPILOGUE: usize = 1 << 10;

/// The parts of a body, made by [`MultipartExt::parts`](super::MultipartExt::parts).
///
/// ```
/// # use cepa_core::{Ctx, Result};
/// use cepa_layers::multipart::MultipartExt as _;
///
/// async fn count(ctx: &mut Ctx) -> Result<String> {
///     let mut parts = ctx.parts()?;
///     let mut bytes = 0;
///     while let Some(mut part) = parts.next().await? {
///         while let Some(chunk) = part.chunk().await? {
///             bytes += chunk.len();
///         }
///     }
///     Ok(format!("{bytes} bytes of content"))
/// }
/// ```
pub struct Parts {
    body: Body,
    parser: Parser,
    options: Arc<Options>,
    fields: usize,
    files: usize,
    /// In a part, what it may yet bring.
    part: Option<Allowance>,
    /// What was refused, and so is all that follows.
    refused: Option<MultipartError>,
}

#[derive(Clone, Copy)]
struct Allowance {
    what: &'static str,
    most: u64,
    left: u64,
}

impl Parts {
    pub(super) fn new(body: Body, parser: Parser, options: Arc<Options>) -> Self {
        Self { body, parser, options, fields: 0, files: 0, part: None, refused: None }
    }

    pub(super) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// The next part, `None` behind the last. What was not read of the one before is passed over, within its limits.
    ///
    /// # Errors
    /// 400 when the body is malformed or cut off, or the extension of a file is not allowed; 413 past a limit; those of
    /// the body. The cause of the first two is a [`MultipartError`]. What was refused stays so on every later call.
    pub async fn next(&mut self) -> Result<Option<Part<'_>>> {
        while self.part.is_some() {
            self.chunk().await?;
        }
        match self.event().await? {
            Some(Event::Part(head)) => {
                self.part = Some(self.allow(&head).map_err(|error| self.refuse(error))?);
                Ok(Some(Part { head, parts: self }))
            }
            _ => {
                self.pass_epilogue().await?;
                Ok(None)
            }
        }
    }

    /// What a part may bring, if it may come at all.
    fn allow(&mut self, head: &PartHead) -> Result<Allowance, MultipartError> {
        let options = &self.options;
        let (count, what, most) = match head.is_file() {
            true => (&mut self.files, "files", options.files),
            false => (&mut self.fields, "fields", options.fields),
        };
        *count += 1;
        if *count > most {
            return Err(MultipartError::TooMany { what, most });
        }
        Ok(match head.file_name() {
            None => Allowance::new("a field", options.field_bytes),
            // A field for which no file was chosen has no name. Content without one has no extension either.
            Some("") if options.extensions.is_some() => Allowance::new("a file without a name", 0),
            Some(name) if !name.is_empty() && !options.takes(name) => {
                return Err(MultipartError::Extension(name.to_owned()));
            }
            Some(_) => Allowance::new("a file", options.file_bytes),
        })
    }

    /// The next piece of the part, `None` at its end.
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(Allowance { what, most, left }) = self.part else { return Ok(None) };
        let Some(Event::Data(data)) = self.event().await? else {
            self.part = None;
            return Ok(None);
        };
        let Some(left) = left.checked_sub(data.len() as u64) else {
            return Err(self.refuse(MultipartError::TooLarge { what, most }));
        };
        self.part = Some(Allowance { what, most, left });
        Ok(Some(data))
    }

    #[track_caller]
    fn refuse(&mut self, error: MultipartError) -> Error {
        self.refused = Some(error.clone());
        error.public()
    }

    /// The next event; `None` behind the end. What was read stays when this is dropped.
    async fn event(&mut self) -> Result<Option<Event>> {
        if let Some(error) = &self.refused {
            return Err(error.clone().public());
        }
        loop {
            if let Some(event) = self.parser.event().map_err(MultipartError::public)? {
                return Ok(Some(event));
            }
            if self.parser.finish().is_ok() {
                return Ok(None);
            }
            match self.body.chunk().await {
                Some(chunk) => self.parser.feed(chunk?),
                None => self.parser.finish().map_err(MultipartError::public)?,
            }
        }
    }

    /// Reads a little on to the end of the body, so that the connection can be used again.
    async fn pass_epilogue(&mut self) -> Result {
        let mut left = EPILOGUE;
        while left > 0
            && let Some(chunk) = self.body.chunk().await
        {
            left = left.saturating_sub(chunk?.len());
        }
        Ok(())
    }
}

impl Allowance {
    fn new(what: &'static str, most: u64) -> Self {
        Self { what, most, left: most }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({} fields, {} files so far)", self.fields, self.files)
    }
}

/// A part whose content is yet to be read; its head can be asked like a [`PartHead`].
#[derive(Debug)]
pub struct Part<'p> {
    head: PartHead,
    parts: &'p mut Parts,
}

impl Part<'_> {
    /// The next piece of the content, `None` at its end.
    ///
    /// # Errors
    /// As [`Parts::next`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.parts.chunk().await
    }

    /// The content in memory, at most what the options allow a field or a file.
    ///
    /// # Errors
    /// As [`Parts::next`].
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            all.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }

    /// The content as text.
    ///
    /// # Errors
    /// As [`Parts::next`]; 400 when it is not UTF-8.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|_| MultipartError::NotText.public())
    }

    pub(super) fn options(&self) -> &Arc<Options> {
        self.parts.options()
    }

    pub(super) fn into_head(self) -> PartHead {
        self.head
    }
}

impl std::ops::Deref for Part<'_> {
    type Target = PartHead;

    fn deref(&self) -> &PartHead {
        &self.head
    }
}
