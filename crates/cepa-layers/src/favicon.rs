//! Answers browsers that ask for the icon of the site.
//!
//! It stands outermost: these requests are then in no log, and cost nothing.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, mime, units};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use crate::{
    conditional::{Outcome, evaluate},
    etag::quoted_sha256,
};

/// Larger files are no icons.
const MAX_SIZE: u64 = 1 << 20;

/// Which icon, and how long it is good.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The file, default `public/favicon.ico`; it is read at start, and may be of any type of image, up to 1 MiB.
    pub file: PathBuf,
    /// The path that browsers ask for, default `/favicon.ico`.
    pub path: String,
    /// How long browsers keep it, default a day.
    #[serde(with = "units::duration")]
    pub max_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file: "public/favicon.ico".into(),
            path: "/favicon.ico".to_owned(),
            max_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// An icon that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaviconError {
    /// The file cannot be read.
    #[error("the icon {file:?} cannot be read: {cause}")]
    Unreadable {
        /// The file as it was given.
        file: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("the icon {file:?} is larger than 1 MiB")]
    TooLarge {
        /// The file as it was given.
        file: PathBuf,
    },
    /// The extension names no type of image.
    #[error("the icon {file:?} has no extension of an image, such as .ico, .png or .svg")]
    NoImage {
        /// The file as it was given.
        file: PathBuf,
    },
}

/// A layer that answers one path with an icon, kept in memory.
///
/// GET and HEAD get it, or a 304; OPTIONS is told them, other methods are a 405.
///
/// ```no_run
/// use cepa_core::App;
/// use cepa_layers::favicon;
///
/// let app = App::new().with(favicon(Default::default())?);
/// # Ok::<(), favicon::FaviconError>(())
/// ```
///
/// # Errors
/// The file cannot be read, is too large, or no image.
pub fn favicon(options: Options) -> Result<Favicon, FaviconError> {
    let Options { file, path, max_age } = options;
    let kind = file.extension().and_then(|extension| mime::from_extension(extension.to_str()?));
    let Some(kind) = kind.filter(|kind| kind.starts_with("image/")) else {
        return Err(FaviconError::NoImage { file });
    };
    let icon = match read(&file) {
        Ok(Some(icon)) => icon,
        Ok(None) => return Err(FaviconError::TooLarge { file }),
        Err(cause) => return Err(FaviconError::Unreadable { file, cause }),
    };
    let control = format!("public, max-age={}", max_age.as_secs());
    Ok(Favicon {
        path,
        kind: HeaderValue::from_static(kind),
        etag: HeaderValue::try_from(quoted_sha256(&icon)).expect("hexadecimal digits are visible"),
        cache_control: HeaderValue::try_from(control).expect("words and digits are visible"),
        icon,
    })
}

fn read(file: &Path) -> io::Result<Option<Bytes>> {
    use std::io::Read;

    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_SIZE).then(|| bytes.into()))
}

/// See [`favicon()`].
#[derive(Clone, Debug)]
pub struct Favicon {
    path: String,
    icon: Bytes,
    kind: HeaderValue,
    etag: HeaderValue,
    cache_control: HeaderValue,
}

impl Middleware for Favicon {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if ctx.path() != self.path {
            return next.run(ctx).boxed();
        }
        Box::pin(async move { self.answer(ctx) })
    }
}

impl Favicon {
    fn answer(&self, ctx: &mut Ctx) -> Result {
        const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
        match *ctx.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => {
                ctx.set(header::ALLOW, ALLOW)?;
                return ctx.set_status(StatusCode::NO_CONTENT);
            }
            _ => return Err(Error::status_only(405).with_header(header::ALLOW, ALLOW)),
        }
        ctx.response.set_status(StatusCode::OK);
        let headers = ctx.response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.kind.clone());
        headers.insert(header::CACHE_CONTROL, self.cache_control.clone());
        headers.insert(header::ETAG, self.etag.clone());
        match evaluate(ctx) {
            Outcome::Send => ctx.set_body(self.icon.clone()),
            Outcome::NotModified => ctx.set_status(StatusCode::NOT_MODIFIED),
            Outcome::Failed => Err(Error::status_only(412)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    #[test]
    fn one_path_answers_with_the_icon() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("icon.png");
        std::fs::write(&file, "icon").unwrap();
        let app = App::new().with(favicon(Options { file, ..Options::default() }).unwrap());
        let client = app.get("/", async |_: &mut Ctx| "page").test();
        block_on(async {
            let answer = client.get("/favicon.ico?v=2").await;
            assert_eq!((answer.text(), answer.header("content-type")), ("icon", "image/png"));
            assert_eq!(answer.header("cache-control"), "public, max-age=86400");
            let tag = answer.header("etag").to_owned();
            assert_eq!(client.get("/favicon.ico").header("if-none-match", &tag).await.status(), 304);
            assert_eq!(client.head("/favicon.ico").await.header("content-length"), "4");
            for (method, status) in [(Method::OPTIONS, 204), (Method::POST, 405)] {
                let answer = client.request(method, "/favicon.ico").await;
                assert_eq!(answer.status(), status);
                assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
            }
            assert_eq!(client.get("/").await.text(), "page");
        });
    }

    #[test]
    fn a_file_that_is_no_icon_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.txt"), "text").unwrap();
        std::fs::write(at("large.ico"), vec![0; (MAX_SIZE + 1) as usize]).unwrap();
        for name in ["a.txt", "large.ico", "none.ico"] {
            let error = favicon(Options { file: at(name), ..Options::default() }).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
