//! The doors of Cepa and the floor under them: each door turns the bytes of one protocol into requests
//! and responses back into bytes.
//!
//! In reading order: a [`Server`] binds its listeners ([`listen`], [`tls`]) and runs worker threads; each owns
//! its connections from accept to close and stands on limits ([`limits`]) and timers ([`timer`]) of its own. The
//! doors are [`http1`] and HTTP/2, and behind front servers [`fastcgi`], [`scgi`] and [`tora`] over [`cgi`]; in front of
//! any of them may stand [`proxy_protocol`]. For servers
//! that are one of many processes: sockets that another has bound, [`Gauges`], and connections that move from one process
//! to another ([`moved`]).

mod blocking;
pub mod cgi;
mod deferred;
mod door;
mod ends;
pub mod fastcgi;
mod floor;
mod front;
mod gauges;
pub mod http1;
mod http2;
mod leaving;
pub mod limits;
pub mod listen;
pub mod moved;
mod pace;
pub mod proxy_protocol;
pub mod scgi;
#[cfg(test)]
mod scratch;
mod server;
mod stage;
pub mod timer;
pub mod tls;
pub mod tora;
mod transport;
mod watchers;
mod worker;

pub use self::{
    blocking::{Blocking, blocking},
    front::{FrontServers, Protocol},
    gauges::Gauges,
    server::{ListenConfig, Running, Server, ServerConfig, ServerError},
    stage::{Stage, Stopper},
};
