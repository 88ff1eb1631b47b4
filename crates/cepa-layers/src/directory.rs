//! Lists the files of directories.
//!
//! With the feature `files`.
//!
//! It stands inwards of [`static_files`](crate::static_files()) over the same root, which answers for the files and
//! for directories that have an index. There is no listing without this layer.

mod list;
mod page;

use std::{path::PathBuf, sync::Arc};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result};
use http::{StatusCode, header};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use self::list::{Key, Order};
use crate::files::{Named, Root, asked_below, disk_error, redirect_to_slash, root_lacks_slash};
pub use crate::files::{RootError, Symlinks};

/// Which directories are listed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The directory whose contents are listed, default `public`; a relative one lies below the working directory.
    pub root: PathBuf,
    /// The path below which the directories are, such as `/files`; default empty, which is all paths.
    pub prefix: String,
    /// Whether names that begin with a dot are listed, default no.
    pub hidden: bool,
    /// Which symbolic links are listed and followed, default those that stay inside.
    pub symlinks: Symlinks,
    /// Most entries of a directory that are looked at, those that are not shown among them, default 10,000. What it has
    /// beyond them is not shown.
    pub entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: "public".into(),
            prefix: String::new(),
            hidden: false,
            symlinks: Symlinks::default(),
            entries: 10_000,
        }
    }
}

/// A layer that answers GET and HEAD for directories with a list of what is in them: a page, or JSON for clients that
/// like it better.
///
/// `?sort=name`, `size` or `modified` and `?order=asc` or `desc` sort it; directories come first. Only files and
/// directories are listed, hidden ones and links that lead out are not. Paths are read as by
/// [`static_files`](crate::static_files()); what is no directory goes on inwards. One that may not be read is a 403.
///
/// The JSON is `{"path", "entries": [{"name", "directory", "size", "modified"}], "cut"}`, with sizes in bytes, times in
/// ISO 8601, and whether there were more than [`entries`](Options::entries).
///
/// ```
/// use cepa_core::App;
/// use cepa_layers::directory::{self, directory};
///
/// let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src").into();
/// let app = App::new().with(directory(directory::Options { root, ..Default::default() })?);
/// # tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
/// assert!(app.test().get("/?sort=size").await.text().contains(r#"<a href="./lib.rs">lib.rs</a>"#));
/// # });
/// # Ok::<(), directory::RootError>(())
/// ```
///
/// # Errors
/// The root is no directory, or cannot be read.
pub fn directory(options: Options) -> Result<Directory, RootError> {
    let root = Root::new(&options.root, options.symlinks)?;
    Ok(Directory { shared: Arc::new(Shared { root, options }) })
}

/// See [`directory()`].
#[derive(Clone, Debug)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    options: Options,
}

impl Middleware for Directory {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move { if self.answer(ctx).await? { Ok(()) } else { next.run(ctx).await } })
    }
}

impl Directory {
    /// Whether there was a directory to answer with.
    async fn answer(&self, ctx: &mut Ctx) -> Result<bool> {
        let options = &self.shared.options;
        let Some(asked) = asked_below(ctx, &options.prefix) else { return Ok(false) };
        let name = match Named::read(asked, options.hidden) {
            Named::Name(name) => name,
            Named::Nothing => return Ok(false),
            Named::Outside => return Err(Error::status_only(403)),
            Named::Nul => return Err(Error::status_only(400)),
        };
        let lacks_slash = !name.is_directory || root_lacks_slash(ctx, asked, &options.prefix);
        let (path, shared) = (name.path.into_owned(), Arc::clone(&self.shared));
        let (sorted, json) =
            ((Key::asked(ctx), Order::asked(ctx)), ctx.accepts(&["html", "json"]) == Some("json"));
        // All of it apart: a long list takes milliseconds to sort and write.
        let text = spawn_blocking(move || shared.text(&path, sorted, json)).await??;
        let Some(text) = text else { return Ok(false) };
        if lacks_slash {
            return redirect_to_slash(ctx);
        }
        ctx.vary("Accept")?;
        ctx.set(header::CACHE_CONTROL, "no-cache")?;
        ctx.set_status(StatusCode::OK)?;
        ctx.set_type(if json { "json" } else { "html" })?;
        ctx.set_body(text)?;
        Ok(true)
    }
}

impl Shared {
    /// The list as it is sent; `None` where there is no directory. Blocks.
    fn text(&self, path: &str, sorted: (Key, Order), json: bool) -> Result<Option<String>> {
        let listing = list::list(&self.root, path, &self.options).map_err(disk_error)?;
        let Some(mut listing) = listing else { return Ok(None) };
        let (key, order) = sorted;
        listing.sort(key, order);
        Ok(Some(match json {
            true => serde_json::to_string(&listing.json(path))?,
            false => page::page(path, &listing, sorted),
        }))
    }
}

#[cfg(test)]
mod tests;
