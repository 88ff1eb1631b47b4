//! The pages for errors that stand in a folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use cepa_layers::on_error::{self, Form, OnError, on_error};

/// Bytes of a page.
const LARGEST: u64 = 256 << 10;
/// Files in the folder that are looked at.
const MOST: usize = 1024;

/// Why the pages cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PagesError {
    /// The folder or a file.
    #[error("{0:?}: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// A page that is larger than pages are.
    #[error("{0:?} is larger than 256 KiB")]
    Large(PathBuf),
    /// Text that browsers would read as something else.
    #[error("{0:?} is not UTF-8")]
    Text(PathBuf),
    /// A folder of something else.
    #[error("{0:?} holds more than 1,024 files: it is no folder of pages")]
    Many(PathBuf),
}

/// Pages by status: 404, or 4 for all of 4xx without one of their own.
#[derive(Debug, Default)]
pub(crate) struct Pages(BTreeMap<u16, String>);

impl Pages {
    /// Reads `404.html`, `5xx.html` and the like; other files are left alone.
    pub(crate) fn read(folder: &Path) -> Result<Self, PagesError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| PagesError::Read(path, error)
        };
        let mut pages = BTreeMap::new();
        for (count, entry) in fs::read_dir(folder).map_err(at(folder))?.enumerate() {
            let path = entry.map_err(at(folder))?.path();
            if count >= MOST {
                return Err(PagesError::Many(folder.to_owned()));
            }
            let Some(status) = path.file_name().and_then(|name| status(name.to_str()?)) else { continue };
            let mut page = Vec::new();
            let file = File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut page));
            file.map_err(at(&path))?;
            if page.len() as u64 > LARGEST {
                return Err(PagesError::Large(path));
            }
            pages.insert(status, String::from_utf8(page).map_err(|_| PagesError::Text(path))?);
        }
        Ok(Self(pages))
    }

    fn of(&self, status: u16) -> Option<&String> {
        self.0.get(&status).or_else(|| self.0.get(&(status / 100)))
    }

    /// The layer that answers errors with them, and with a plain page where there is none.
    pub(crate) fn layer(self) -> OnError {
        let options = on_error::Options { prefer: Form::Html, ..Default::default() };
        on_error(options).page(move |_, failure| {
            Ok(self.of(failure.status).cloned().unwrap_or_else(|| failure.plain_page()))
        })
    }
}

/// The status that a page is for, by its name.
fn status(name: &str) -> Option<u16> {
    let name = name.strip_suffix(".html")?;
    match name.as_bytes() {
        [b'4' | b'5', b'x', b'x'] => name[..1].parse().ok(),
        [b'4' | b'5', ..] if name.len() == 3 => name.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cepa_core::{App, Ctx, Error, test::block_on};

    use super::*;

    #[test]
    fn the_nearest_page_is_sent_to_browsers() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("404.html", "lost"),
            ("4xx.html", "client"),
            ("500.html", "broken"),
            ("200.html", "no"),
            ("40.html", "no"),
            ("4ab.html", "no"),
            ("404.html.bak", "no"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let pages = Pages::read(folder.path()).unwrap();
        assert_eq!(pages.0.len(), 3);
        let client = App::new()
            .with(pages.layer())
            .get("/{status}", async |ctx: &mut Ctx| -> cepa_core::Result {
                Err(Error::status_only(ctx.params::<u16>()?))
            })
            .test();
        for (status, page) in [(404, "lost"), (403, "client"), (500, "broken"), (503, "<h1>503")] {
            let answer = block_on(client.get(&format!("/{status}")).header("accept", "text/html,*/*;q=0.8"));
            assert_eq!(answer.status(), status);
            assert!(answer.text().contains(page), "{status} {}", answer.text());
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        }
        assert_eq!(block_on(client.get("/404").header("accept", "text/plain")).text(), "Not Found");
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("404.html");
        for (bytes, told) in [(vec![b' '; 300_000], "larger"), (vec![0xff], "UTF-8")] {
            fs::write(&page, bytes).unwrap();
            assert!(Pages::read(folder.path()).unwrap_err().to_string().contains(told));
        }
        assert!(Pages::read(&page).is_err());
    }
}
