//! What `cgi`, `fastcgi_pass` and `scgi_pass` have in common (RFC 3875): a request as variables, and an answer that begins
//! with a head of its own kind.

mod answer;
#[cfg(feature = "fastcgi")]
mod dial;
mod exchange;
mod failure;
mod head;
#[cfg(feature = "fastcgi")]
mod script;
mod variables;

#[cfg(feature = "fastcgi")]
pub use self::dial::InvalidUpstream;
pub use self::failure::Failure;
pub(crate) use self::{
    answer::answer,
    exchange::{Exchange, Frames},
    variables::{Asked, Variables, variables},
};
#[cfg(feature = "fastcgi")]
pub(crate) use self::{
    dial::{Pool, Stream, Upstream},
    script::Scripts,
};
