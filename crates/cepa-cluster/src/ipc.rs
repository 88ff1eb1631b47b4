//! The line between two processes of a cluster: messages in JSON, with descriptors, over a Unix stream socket.
//!
//! A process gets its end of the line to the master as its standard input, so that nothing has to be told to it but
//! its role. [`codec`] cuts the stream into messages and knows no socket; a [`Reader`] and a [`Writer`] drive it.

mod codec;
mod line;
mod message;

#[cfg(test)]
pub(crate) use codec::LONGEST;
pub(crate) use codec::{IpcError, MOST_DESCRIPTORS};
pub(crate) use line::{Reader, Writer, open, read_all, send_now};
pub(crate) use message::{Arrived, Begin, FORMAT, Figures, Moved, MovedConnections, Order, Report, Vitals};
