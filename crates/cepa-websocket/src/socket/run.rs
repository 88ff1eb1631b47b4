//! A handler with its socket, from the handshake to the Close.

use cepa_core::{Error, Result};

use super::Socket;
use crate::{CloseCode, SocketError};

/// Runs a handler, then closes. In a box, or the future would hold the socket twice.
pub(crate) async fn run<F>(mut socket: Box<Socket>, handler: F)
where
    F: AsyncFnOnce(&mut Socket) -> Result,
{
    let code = match handler(&mut socket).await {
        Ok(()) => CloseCode::NORMAL,
        Err(error) => code(&error, socket.is_open()),
    };
    socket.close(code, "").await;
}

/// What the client is told of a failure; the log, whose it was.
fn code(error: &Error, open: bool) -> CloseCode {
    let status = error.status();
    if status.is_client_error() {
        tracing::debug!(target: "cepa::websocket", %error, "a WebSocket ends because of what its client did");
        return CloseCode::POLICY;
    }
    if open && error.downcast_ref::<SocketError>().is_none() {
        let status = status.as_u16();
        tracing::error!(target: "cepa::websocket", %error, status, place = %error.place(), "a handler failed");
    } else {
        tracing::debug!(target: "cepa::websocket", %error, "a WebSocket ended");
    }
    CloseCode::INTERNAL
}
