//! A header from a socket, and not a byte more: what follows is for TLS or the door.

use std::io;

use super::{Announced, Decoder, ProxyProtocol};
use crate::listen::Stream;

/// Room for a header without fields, and most others.
const PEEK: usize = 256;

/// Reads the header that a connection begins with.
///
/// # Errors
/// The connection failed or ended, or begins with something else ([`InvalidData`](io::ErrorKind::InvalidData)).
pub(crate) async fn read(stream: &Stream, config: &ProxyProtocol) -> io::Result<Announced> {
    let mut decoder = Decoder::new(config);
    let mut bytes = [0; PEEK];
    loop {
        stream.readable().await?;
        let seen = match stream.try_peek(&mut bytes) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (used, announced) = decoder
            .decode(&bytes[..seen])
            .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        // They are there, as has just been seen, and nobody else reads.
        if stream.try_read(&mut bytes[..used])? != used {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(announced) = announced {
            return Ok(announced);
        }
    }
}
