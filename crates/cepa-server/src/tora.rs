//! The protocol of tora, the application server of the Neko virtual machine: Apache speaks it by `mod_tora`, and clients
//! speak it themselves, for a connection on which a server sends when it likes.
//!
//! A message ([`wire`]) says one thing of a request or of an answer. [`Decoder`] gathers requests: from a front server
//! ([`Role::Front`]) with the address of its client, from a client of its own ([`Role::Direct`]) without believing it that.
//! Forms of parts stay with the front server until the app reads them. An answer goes out as its headers, its status, and
//! the pieces of its body as they come; a stream of events keeps the connection ([`wire::Code::Listen`]), on which a
//! direct client may ask again meanwhile. All codecs, no socket and no clock; `door` hands them to what drives [`cgi`].
//! [`Client`] is the other end.
//!
//! No specification of it exists; what is here is what mod_tora 2.3 and tora have been seen to send and to understand.
//!
//! [`cgi`]: crate::cgi

mod answer;
pub mod client;
mod decode;
mod door;
mod form;
mod head;
pub mod wire;

pub use client::Client;
pub use decode::{Decoder, Event, Request, Role};
pub(crate) use door::{Door, Hosts};

/// The answer for which no request needs to be read: there is no room.
pub(crate) const BUSY: &[u8] = b"\x06\x0c\0\0Content-Type\x07\x0a\0\0text/plain\x13\x03\0\x00503\
    \x0f\x13\0\0Service Unavailable\x0d\0\0\0";
