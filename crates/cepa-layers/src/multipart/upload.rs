//! A whole multipart body: its fields as text, its files in memory or on disk.

use cepa_core::{Error, Result, de};
use serde::de::DeserializeOwned;

use super::{File, Part, file::Spool};

/// A whole multipart body, made by [`MultipartExt::upload`](super::MultipartExt::upload).
#[derive(Debug, Default)]
pub struct Upload {
    fields: Vec<(String, String)>,
    files: Vec<File>,
}

impl Upload {
    /// The text of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The names and texts of all fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The fields as a struct or map, as [`Ctx::form`](cepa_core::Ctx::form) reads them.
    ///
    /// # Errors
    /// 400 naming the field whose text does not fit.
    #[track_caller]
    pub fn form<T: DeserializeOwned>(&self) -> Result<T> {
        let pairs = self.fields().map(|(name, text)| (name.into(), text.into()));
        match de::from_pairs(pairs) {
            Ok(value) => Ok(value),
            Err(error) => Err(Error::new(400, format!("form: {error}"))),
        }
    }

    /// The first file of the field of this name.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name() == name)
    }

    /// All files, in their order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Takes the first file of the field of this name out, to keep it.
    pub fn take_file(&mut self, name: &str) -> Option<File> {
        let at = self.files.iter().position(|file| file.name() == name)?;
        Some(self.files.remove(at))
    }

    /// All files, to keep them.
    pub fn into_files(self) -> Vec<File> {
        self.files
    }

    pub(super) async fn add(&mut self, mut part: Part<'_>) -> Result {
        if !part.is_file() {
            let text = part.text().await?;
            self.fields.push((part.into_head().into_name(), text));
            return Ok(());
        }
        let mut spool = Spool::new(part.options());
        while let Some(chunk) = part.chunk().await? {
            spool.write(&chunk).await?;
        }
        let content = spool.finish().await?;
        if content.is_empty() && part.file_name().is_none_or(str::is_empty) {
            return Ok(());
        }
        self.files.push(File::new(part.into_head(), content));
        Ok(())
    }
}
