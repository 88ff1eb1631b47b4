//! Serves the files below a directory.
//!
//! With the feature `files`.
//!
//! It stands inwards of what every answer passes (logger, errors, secure headers, compression) and outwards of what
//! only the app's own pages need (session, csrf, bodies): a file then costs none of that. What it does not find goes
//! on inwards.
//!
//! What it says of a file: its type by extension, a strong `ETag` of device, inode, size and time of change (a weak one
//! for two seconds after a change, when another could go unnoticed), `Last-Modified`, `Cache-Control`,
//! `Accept-Ranges`. What it answers: 304 and 412 to conditions, 206 to ranges (RFC 9110, sections 13 and 14), HEAD
//! without reading. Of `app.js` it sends `app.js.br`, `app.js.zst` or `app.js.gz` to those who like it better; keeping
//! these in step is up to whoever makes them.
//!
//! | path | answer |
//! | --- | --- |
//! | a directory with an index, without its slash | 301 to the one with it |
//! | `..`, also encoded | 403 |
//! | NUL | 400 |
//! | hidden, a link that leads out, an encoded slash, a backslash | as if there were no such file |

mod cache;
mod entry;
mod load;
mod range;
mod respond;
mod send;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::StatusCode;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use self::{
    cache::{Cache, Cached},
    entry::Found,
    load::Loader,
};
use crate::files::{Named, Wanted, asked_below, disk_error, redirect_to_slash, root_lacks_slash};
pub use crate::files::{RootError, Symlinks};

/// Which files are served, and what is said about them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The directory, default `public`; a relative one lies below the working directory.
    pub root: PathBuf,
    /// The path below which the files are, such as `/static`; default empty, which is all paths. It is not a part of
    /// their names.
    pub prefix: String,
    /// The file that stands for its directory, default `index.html`; empty: none does.
    pub index: String,
    /// Extensions that a URL may leave out, tried in turn for a name without a dot: with `html` the path `/about` is
    /// `about.html`. Default none.
    pub extensions: Vec<String>,
    /// Whether names that begin with a dot are served, default no. `.well-known` always is.
    pub hidden: bool,
    /// Which symbolic links are followed, default those that stay inside.
    pub symlinks: Symlinks,
    /// How long a copy may be used without asking again, as `max-age`; default 0: ask each time, and mostly get a 304.
    #[serde(with = "units::duration")]
    pub max_age: Duration,
    /// Paths below the root whose files change their names when they change, as bundlers write them: a copy is good for
    /// a year, and reloading the page does not ask for it. Default none.
    pub immutable: Vec<String>,
    /// Whether to say an `ETag`, default yes. Without it copies are told apart by second and ranges are resumed by date.
    pub etag: bool,
    /// Whether to look for `.br`, `.zst` and `.gz` beside a file of a type that compresses, default yes.
    pub precompressed: bool,
    /// Whether the app comes first, and files only where it answers nothing (a 404 without a body); default no.
    pub deferred: bool,
    /// Most memory for files that were asked for lately, default `16 MiB`; 0 keeps none. What is kept is compared with
    /// the disk once a second at most.
    #[serde(with = "units::size")]
    pub cache: u64,
    /// Files up to this size are read at once, and kept; larger ones are read in pieces of 64 KiB as the client takes
    /// them. Default `64 KiB`: each client that is slow may hold so much.
    #[serde(with = "units::size")]
    pub whole: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: "public".into(),
            prefix: String::new(),
            index: "index.html".to_owned(),
            extensions: Vec::new(),
            hidden: false,
            symlinks: Symlinks::default(),
            max_age: Duration::ZERO,
            immutable: Vec::new(),
            etag: true,
            precompressed: true,
            deferred: false,
            cache: 16 << 20,
            whole: 64 << 10,
        }
    }
}

/// A layer that answers GET and HEAD with files.
///
/// ```
/// use cepa_core::App;
/// use cepa_layers::static_files::{self, static_files};
///
/// let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src").into();
/// let app = App::new().with(static_files(static_files::Options { root, ..Default::default() })?);
/// # tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
/// let answer = app.test().get("/lib.rs").await;
/// assert_eq!(answer.bytes(), include_str!("lib.rs"));
/// # });
/// # Ok::<(), static_files::RootError>(())
/// ```
///
/// # Errors
/// The root is no directory, or cannot be read.
pub fn static_files(options: Options) -> Result<StaticFiles, RootError> {
    let cache = Cache::new(options.cache);
    Ok(StaticFiles { files: Arc::new(Files { loader: Loader::new(options)?, cache }) })
}

/// See [`static_files()`].
#[derive(Clone, Debug)]
pub struct StaticFiles {
    files: Arc<Files>,
}

#[derive(Debug)]
struct Files {
    loader: Loader,
    cache: Cache,
}

impl Middleware for StaticFiles {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            if self.files.loader.options.deferred {
                next.run(ctx).await?;
                let unanswered = ctx.status() == StatusCode::NOT_FOUND && !ctx.is_answered();
                return if unanswered { self.serve(ctx).await.map(|_| ()) } else { Ok(()) };
            }
            if self.serve(ctx).await? { Ok(()) } else { next.run(ctx).await }
        })
    }
}

impl StaticFiles {
    /// Whether there was something to answer with.
    async fn serve(&self, ctx: &mut Ctx) -> Result<bool> {
        let options = &self.files.loader.options;
        let Some(asked) = asked_below(ctx, &options.prefix) else { return Ok(false) };
        let wants_place = ctx.state::<Wanted>().is_some();
        let (found, place) = match self.files.cache.get(asked) {
            // In memory, and sent from there.
            Cached::Fresh(found) => (found, None),
            Cached::Stale(last) => self.load(asked, last, wants_place).await?,
        };
        let lacks_slash = root_lacks_slash(ctx, asked, &options.prefix);
        match found {
            Found::Nothing => Ok(false),
            Found::File(_) if lacks_slash => redirect_to_slash(ctx),
            Found::Directory => redirect_to_slash(ctx),
            Found::File(entry) => respond::respond(ctx, &entry, options, place).map(|()| true),
        }
    }

    /// Asks the disk, and remembers what it says; with the place of the root for who wants it.
    async fn load(
        &self,
        asked: &str,
        last: Option<Found>,
        wants_place: bool,
    ) -> Result<(Found, Option<PathBuf>)> {
        let name = match Named::read(asked, self.files.loader.options.hidden) {
            Named::Name(name) => name,
            Named::Nothing => return Ok((Found::Nothing, None)),
            Named::Outside => return Err(Error::status_only(403)),
            Named::Nul => return Err(Error::new(400, "Malicious Path")),
        };
        let (path, is_directory) = (name.path.into_owned(), name.is_directory);
        let files = Arc::clone(&self.files);
        let last = last.and_then(Found::into_entry);
        let found = spawn_blocking(move || {
            let found = files.loader.find(&path, is_directory, last.as_deref())?;
            Ok((found, if wants_place { files.loader.place().ok() } else { None }))
        });
        let (found, place) = found.await?.map_err(disk_error)?;
        self.files.cache.put(asked, found.clone());
        Ok((found, place))
    }
}

#[cfg(test)]
mod tests;
