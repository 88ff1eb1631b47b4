//! HTTP/2 (RFC 9113): the driver of one connection, on `h2`.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::Link;

/// Serves a connection until it ends; `read` holds bytes that were read already.
pub(crate) async fn serve<S>(io: S, read: Vec<u8>, link: Rc<Link>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _ = (io, read, link);
}
