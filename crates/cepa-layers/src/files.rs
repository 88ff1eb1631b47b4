//! The files below a root as layers see them: what a URL path names, and opening it without leaving the root.

mod name;
mod root;
mod whole;

use std::io;

use cepa_core::{Ctx, Error, Result, location::is_local};
use http::{Method, StatusCode};

pub(crate) use self::{
    name::Named,
    root::{Opened, Root},
    whole::Wanted,
};
pub use self::{
    root::{RootError, Symlinks},
    whole::WholeFile,
};

/// What of a request's path lies below `prefix`, without the slash between them; `None` where it is elsewhere, or the
/// method does not read.
pub(crate) fn asked_below<'c>(ctx: &'c Ctx, prefix: &str) -> Option<&'c str> {
    if !matches!(*ctx.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let rest = ctx.path().strip_prefix(prefix.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Whether the root itself was asked for without a slash at its end: as the prefix or the mount alone, of which the path
/// below says nothing.
pub(crate) fn root_lacks_slash(ctx: &Ctx, asked: &str, prefix: &str) -> bool {
    let original = ctx.request.original_target().path();
    // Of a path that was changed on the way nobody knows how to ask for the directory.
    let is_root = || original.strip_prefix(ctx.mount_path()) == Some(prefix.trim_end_matches('/'));
    asked.is_empty() && !original.ends_with('/') && is_root()
}

/// What the client gets when the disk fails: 403 for what the server itself may not read, else 500.
pub(crate) fn disk_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::status_only(403).with_cause(error),
        _ => error.into(),
    }
}

/// Sends the client to the path with a slash at its end: relative links in the page of a directory would go wrong
/// otherwise. `false` where a browser could read another host in it.
pub(crate) fn redirect_to_slash(ctx: &mut Ctx) -> Result<bool> {
    let target = ctx.request.original_target();
    let location = format!("{}/{}", target.path(), target.search());
    if !is_local(&location) {
        return Ok(false);
    }
    ctx.set_status(StatusCode::MOVED_PERMANENTLY)?;
    ctx.redirect(&location).map(|()| true)
}
