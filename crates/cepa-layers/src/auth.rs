//! What the layers that ask for a name and password share: the user they let in, and files of users.

mod file;
mod watched;

#[cfg(any(feature = "basic_auth", feature = "client"))]
use {cepa_core::Ctx, http::Method};

pub use self::file::{AuthError, LineFault};
pub(crate) use self::{
    file::{checked_realm, read_lines},
    watched::Watched,
};

/// Whether a request uses this server as a proxy: it asks for a tunnel, or for a URL with a host.
#[cfg(any(feature = "basic_auth", feature = "client"))]
pub(crate) fn is_for_proxy(ctx: &Ctx) -> bool {
    *ctx.method() == Method::CONNECT || ctx.request.target().is_absolute()
}

/// The user that a layer has let in, for handlers and logs: `ctx.state::<User>()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(Box<str>);

impl User {
    /// A user of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}
