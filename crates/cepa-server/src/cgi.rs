//! What FastCGI, SCGI and CGI have in common (RFC 3875): a request comes as variables and a body, the answer goes out
//! as a head with `Status:` and a body.
//!
//! The codec, without socket and clock: [`Rules`] make a [`Head`] of variables, and refuse with a [`Reject`] what two
//! readers could understand in two ways; [`ResponseHead`] is the answer's. Around it, in the order in which a request
//! passes them: `serve` is the life of a connection, `turn` what is answered at once, `exchange` what must be waited for,
//! with `reading` for the body and `outgoing` for the answer; `link` is what the app sees of it. What differs from
//! protocol to protocol is a `Codec`; [`mod@process`] is that of a program that runs for one request.

mod codec;
mod conn;
mod encode;
mod exchange;
mod linger;
mod link;
mod outgoing;
pub mod process;
mod reading;
mod reject;
mod respond;
mod serve;
mod target;
mod turn;
mod variables;

pub(crate) use codec::{Codec, Event};
pub(crate) use conn::Front;
pub use encode::ResponseHead;
pub(crate) use encode::is_left_out;
pub use reject::Reject;
pub(crate) use serve::Serve;
pub(crate) use variables::decimal;
pub use variables::{Client, Head, Rules};
