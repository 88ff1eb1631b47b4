//! What `cgi`, `fastcgi_pass` and `scgi_pass` have in common (RFC 3875): a request as variables, and an answer that begins
//! with a head of its own kind.

mod answer;
mod dial;
mod exchange;
mod failure;
mod head;
mod script;
mod variables;

pub(crate) use self::{
    answer::answer,
    exchange::{Exchange, Frames},
    variables::{Asked, variables},
};
#[cfg(feature = "fastcgi")]
pub(crate) use self::{
    dial::{Pool, Stream, Upstream},
    script::Scripts,
};
pub use self::failure::Failure;
#[cfg(feature = "fastcgi")]
pub use self::dial::InvalidUpstream;
