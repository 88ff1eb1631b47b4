//! Leaves the sending of files to the web server in front.
//!
//! With the feature `files`.
//!
//! nginx, Apache with `mod_xsendfile` and lighttpd send a file themselves when a response names it in a header: the app
//! decides who may have it, and its worker is free at once.
//!
//! It stands outwards of [`static_files`](crate::static_files()) and of every handler that leaves a [`WholeFile`], and
//! inwards of what changes bodies, such as [`compress`](crate::compress()): the other server sends the file as it is.

use std::path::{Path, PathBuf};

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Order, Result, percent};
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;

#[cfg(feature = "compress")]
use crate::compress::Compress;
pub use crate::files::WholeFile;
use crate::{files::Wanted, static_files::StaticFiles};

/// The server in front, by the header that it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// nginx, `X-Accel-Redirect`: the file is named by a path of an `internal` location.
    #[default]
    XAccelRedirect,
    /// Apache and others, `X-Sendfile`: by its path on the disk.
    XSendfile,
    /// lighttpd 1.4, `X-Lighttpd-Send-File`: by its path on the disk.
    XLighttpdSendFile,
}

/// What the server in front can send.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Which header to write, default `x-accel-redirect`. It never depends on what a client sends (CVE-2025-61780).
    pub server: Server,
    /// The directories that it may read, tried in turn; files elsewhere are sent from here. Default none.
    pub directories: Vec<Directory>,
}

/// A directory that the server in front may read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Its absolute path here, such as `/srv/app/files`.
    pub path: PathBuf,
    /// Where the server in front has it: for nginx the path of the internal location, such as `/protected`, for the
    /// others its path on their disk; default the same path.
    #[serde(default)]
    pub internal: Option<String>,
}

/// Options that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The path of a directory is relative, or has `..` in it.
    #[error("{0:?} must be an absolute path without `..`")]
    Path(PathBuf),
    /// A name on the other side that does not begin with a slash.
    #[error("{0:?} must begin with a slash")]
    Internal(String),
    /// nginx names files by location, and none is given.
    #[error("{0:?} needs `internal`, the location that nginx has it at")]
    NoLocation(PathBuf),
}

/// A layer that puts the name of a file in the place of a body.
///
/// For responses with status 200 on which a [`WholeFile`] was left, in a directory that the server in front may read.
/// The other headers stay; those that describe the body are the other server's to set, as is `Range`.
///
/// ```
/// use std::path::PathBuf;
/// use cepa_core::{App, Ctx};
/// use cepa_layers::sendfile_header::{self, Directory, WholeFile, sendfile_header};
///
/// let protected = Directory { path: "/srv/files".into(), internal: Some("/protected".into()) };
/// let options = sendfile_header::Options { directories: vec![protected], ..Default::default() };
/// let app = App::new().with(sendfile_header(options)?).get("/report", async |ctx: &mut Ctx| {
///     ctx.insert(WholeFile(PathBuf::from("/srv/files/q1 2026.pdf")));
///     ctx.set_type("pdf")?;
///     ctx.set_body("")
/// });
/// # cepa_core::test::block_on(async {
/// let answer = app.test().get("/report").await;
/// assert_eq!(answer.header("x-accel-redirect"), "/protected/q1%202026.pdf");
/// # });
/// # Ok::<(), sendfile_header::OptionsError>(())
/// ```
///
/// # Errors
/// A directory whose path is not absolute, or that nginx has no location for.
pub fn sendfile_header(options: Options) -> Result<SendfileHeader, OptionsError> {
    for Directory { path, internal } in &options.directories {
        if !path.is_absolute() || has_dots(path) {
            return Err(OptionsError::Path(path.clone()));
        }
        match internal {
            Some(internal) if !internal.starts_with('/') => {
                return Err(OptionsError::Internal(internal.clone()));
            }
            None if options.server == Server::XAccelRedirect => {
                return Err(OptionsError::NoLocation(path.clone()));
            }
            _ => {}
        }
    }
    Ok(SendfileHeader { options })
}

fn has_dots(path: &Path) -> bool {
    path.components().any(|part| part == std::path::Component::ParentDir)
}

/// See [`sendfile_header()`].
#[derive(Clone, Debug)]
pub struct SendfileHeader {
    options: Options,
}

impl Middleware for SendfileHeader {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            ctx.insert(Wanted);
            next.run(ctx).await?;
            if ctx.status() != StatusCode::OK {
                return Ok(());
            }
            let Some(name) = ctx.state().and_then(|WholeFile(path)| self.name(path)) else { return Ok(()) };
            ctx.response.replace_body("");
            for described in
                [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES, header::CONTENT_LENGTH]
            {
                ctx.remove(described);
            }
            ctx.set(self.header(), name)
        })
    }

    fn order(&self) -> Vec<Order> {
        let orders = [
            #[cfg(feature = "compress")]
            Order::inside_of::<Compress>("the file is sent as it is"),
            Order::outside_of::<StaticFiles>("it names the files that are found there"),
        ];
        orders.into()
    }
}

impl SendfileHeader {
    fn header(&self) -> HeaderName {
        HeaderName::from_static(match self.options.server {
            Server::XAccelRedirect => "x-accel-redirect",
            Server::XSendfile => "x-sendfile",
            Server::XLighttpdSendFile => "x-lighttpd-send-file",
        })
    }

    /// What the server in front calls a file, percent-encoded, which all of them decode.
    fn name(&self, path: &Path) -> Option<String> {
        if has_dots(path) {
            return None;
        }
        self.options.directories.iter().find_map(|directory| {
            let below = path.strip_prefix(&directory.path).ok()?.to_str()?;
            let there = directory.internal.as_deref().or_else(|| directory.path.to_str())?;
            let mut name = String::with_capacity(there.len() + below.len() + 1);
            percent::push_component(&mut name, there.trim_end_matches('/'), true);
            name.push('/');
            percent::push_component(&mut name, below, true);
            (!below.is_empty()).then_some(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    fn directory(path: &str, internal: Option<&str>) -> Directory {
        Directory { path: path.into(), internal: internal.map(str::to_owned) }
    }

    async fn answer(ctx: &mut Ctx) -> Result<&'static str> {
        let file = ctx.query_value("file").unwrap_or_default().into_owned();
        ctx.insert(WholeFile(file.into()));
        ctx.set_etag("a")?;
        Ok("from here")
    }

    #[test]
    fn a_file_is_named_where_the_other_server_may_read_it() {
        for (server, header, place) in [
            (Server::XAccelRedirect, "x-accel-redirect", "/protected"),
            (Server::XSendfile, "x-sendfile", "/srv/files"),
            (Server::XLighttpdSendFile, "x-lighttpd-send-file", "/srv/files"),
        ] {
            let internal = Some(place).filter(|_| server == Server::XAccelRedirect);
            let options = Options { server, directories: vec![directory("/srv/files", internal)] };
            let app = App::new().with(sendfile_header(options).unwrap()).get("/", answer);
            let client = app.get("/made", async |_: &mut Ctx| "made").test();
            block_on(async {
                for (file, name) in [
                    ("/srv/files/a.txt", "/a.txt"),
                    ("/srv/files/d/b%20%C3%A9%25.txt", "/d/b%20%C3%A9%25.txt"),
                    ("/srv/files/a%0d%0ax:y", "/a%0D%0Ax%3Ay"),
                ] {
                    let answer = client.get(&format!("/?file={file}")).await;
                    assert_eq!(answer.header(header), format!("{place}{name}"));
                    assert_eq!((answer.text(), answer.header("etag")), ("", ""));
                }
                for file in ["/srv/files2/a", "/srv/files", "/srv/files/../a", "a", "/etc/passwd", ""] {
                    let call = client.get(&format!("/?file={file}")).header("x-sendfile-type", "X-Sendfile");
                    let answer = call.await;
                    assert_eq!((answer.text(), answer.header(header)), ("from here", ""), "{file}");
                }
                assert_eq!(client.get("/made").await.text(), "made");
            });
        }
    }

    #[test]
    fn static_files_say_what_they_send() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("large.txt"), vec![b'a'; 100_000]).unwrap();
        std::fs::write(root.path().join("small.txt"), "small").unwrap();
        let place = root.path().canonicalize().unwrap();
        let directories = vec![directory(place.to_str().unwrap(), Some("/files"))];
        let files = crate::static_files::Options { root: root.path().into(), ..Default::default() };
        let app = App::new()
            .with(sendfile_header(Options { directories, ..Options::default() }).unwrap())
            .with(crate::static_files(files).unwrap());
        let client = app.test();
        tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
            let answer = client.get("/large.txt").await;
            let named = answer.header("x-accel-redirect");
            assert_eq!((named, answer.text()), ("/files/large.txt", ""));
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            let part = client.get("/large.txt").header("range", "bytes=0-1").await;
            assert_eq!((part.text(), part.header("x-accel-redirect")), ("aa", ""));
            assert_eq!(client.get("/small.txt").await.text(), "small");
        });
    }

    #[test]
    fn a_file_is_named_in_the_release_that_the_root_leads_to() {
        let releases = tempfile::tempdir().unwrap();
        let place = releases.path().canonicalize().unwrap();
        for release in ["1", "2"] {
            std::fs::create_dir(place.join(release)).unwrap();
            std::fs::write(place.join(release).join("large.txt"), vec![b'a'; 100_000]).unwrap();
        }
        let current = place.join("current");
        std::os::unix::fs::symlink("1", &current).unwrap();
        let directories = vec![directory(place.to_str().unwrap(), Some("/files"))];
        let files = crate::static_files::Options { root: current.clone(), ..Default::default() };
        let app = App::new()
            .with(sendfile_header(Options { directories, ..Options::default() }).unwrap())
            .with(crate::static_files(files).unwrap());
        let client = app.test();
        tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
            assert_eq!(client.get("/large.txt").await.header("x-accel-redirect"), "/files/1/large.txt");
            std::os::unix::fs::symlink("2", place.join("next")).unwrap();
            std::fs::rename(place.join("next"), &current).unwrap();
            assert_eq!(client.get("/large.txt").await.header("x-accel-redirect"), "/files/2/large.txt");
        });
    }

    #[test]
    fn wrong_options_are_errors() {
        for (path, internal) in
            [("files", Some("/a")), ("/a/../b", Some("/a")), ("/a", None), ("/a", Some("b"))]
        {
            let directories = vec![directory(path, internal)];
            assert!(
                sendfile_header(Options { directories, ..Options::default() }).is_err(),
                "{path} {internal:?}"
            );
        }
        let options = serde_json::json!({ "server": "x-sendfile", "directories": [{ "path": "/srv" }] });
        let options: Options = serde_json::from_value(options).unwrap();
        assert!(sendfile_header(options).is_ok());
    }
}
