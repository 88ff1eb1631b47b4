//! WebSocket for Cepa's apps (RFC 6455), with compression of messages (permessage-deflate, RFC 7692).
//!
//! ```
//! use cepa_core::{App, Ctx};
//! use cepa_websocket::{Options, Socket, WebSocketExt as _};
//!
//! let options = Options::default();
//! let app = App::new().get("/echo", async move |ctx: &mut Ctx| {
//!     ctx.websocket(&options, async |socket: &mut Socket| {
//!         while let Some(message) = socket.recv().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok(())
//!     })
//! });
//! # app.build().unwrap();
//! ```
//!
//! In reading order: [`WebSocketExt`] is what a handler calls, [`Options`] what is taken and how long; a [`Socket`] takes
//! and sends [`Message`]s, the same [`Prepared`] message to many; it ends with a [`Close`] or a [`SocketError`].
//! [`calls()`] has an app answer message by message, without a handler for the socket.
//! Underneath is a codec that knows neither sockets nor clocks: a [`Decoder`] makes [`Event`]s of bytes.

mod calls;
mod close;
mod decode;
#[cfg(feature = "deflate")]
pub mod deflate;
mod encode;
mod error;
mod frame;
mod handshake;
mod mask;
mod message;
mod options;
mod socket;

pub use self::{
    calls::calls,
    close::{Close, CloseCode},
    decode::{Decoder, Limits},
    encode::Prepared,
    error::{ProtocolError, SocketError},
    handshake::WebSocketExt,
    message::{Event, Message},
    options::Options,
    socket::Socket,
};
