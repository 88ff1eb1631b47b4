//! The files below a root as layers see them: what a URL path names, and opening it without leaving the root.

mod name;
mod root;

use cepa_core::Ctx;
use http::Method;

pub use self::root::{RootError, Symlinks};
pub(crate) use self::{
    name::Named,
    root::{Opened, Root},
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

/// Where a directory asked for without its last slash is: relative links in its page would go wrong otherwise.
///
/// `None` where a browser could read another host in it.
pub(crate) fn with_slash(ctx: &Ctx) -> Option<String> {
    let target = ctx.request.original_target();
    let location = format!("{}/{}", target.path(), target.search());
    cepa_core::location::is_local(&location).then_some(location)
}
