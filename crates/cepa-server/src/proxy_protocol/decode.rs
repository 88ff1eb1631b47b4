//! A header of either version, however it is cut.

use std::{net::SocketAddr, path::PathBuf};

use super::{ProxyProtocol, Version, v1, v2};

/// Who is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// Nobody: the proxy speaks for itself, or does not know. The ends of the connection count.
    Nobody,
    /// A client over IP.
    Ip {
        /// The client's address.
        client: SocketAddr,
        /// The address that it has connected to.
        server: SocketAddr,
    },
    /// A client over a Unix socket, and the path it is bound to, if any.
    Unix(Option<PathBuf>),
}

/// Why bytes are no header, or none that is taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first bytes are those of something else.
    #[error("there is no header of the PROXY protocol")]
    Absent,
    /// It is in a version that the listener does not take.
    #[error("the header is in a version that the listener does not take")]
    Version,
    /// It is longer than it may be.
    #[error("the header is too long")]
    TooLong,
    /// It is not as its version says.
    #[error("the header is malformed")]
    Malformed,
    /// Its checksum is another.
    #[error("the header does not have the checksum that it says")]
    Checksum,
}

/// Reads the one header that a connection begins with.
#[derive(Debug)]
pub struct Decoder {
    version: Version,
    length: usize,
    /// What has come of the header.
    bytes: Vec<u8>,
}

impl Decoder {
    /// A decoder of a connection from its start.
    #[must_use]
    pub fn new(config: &ProxyProtocol) -> Self {
        Self { version: config.version, length: config.length.into(), bytes: Vec::new() }
    }

    /// Takes the bytes that belong to the header, says how many these are, and what the header says once it is whole.
    /// Without that it has taken all of them.
    ///
    /// # Errors
    /// As soon as it is clear that there is no header that may be taken; nothing more may be decoded then.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Announced>), Fault> {
        match self.bytes.first().or(input.first()) {
            None => Ok((0, None)),
            Some(b'P') if self.version != Version::V2 => self.line(input),
            Some(b'\r') if self.version != Version::V1 => self.binary(input),
            Some(b'P' | b'\r') => Err(Fault::Version),
            Some(_) => Err(Fault::Absent),
        }
    }

    fn line(&mut self, input: &[u8]) -> Result<(usize, Option<Announced>), Fault> {
        let used = self.take(input, v1::more(&self.bytes, input));
        Ok((used, v1::parse(&self.bytes)?))
    }

    fn binary(&mut self, input: &[u8]) -> Result<(usize, Option<Announced>), Fault> {
        let mut used = self.take(input, v2::START.saturating_sub(self.bytes.len()));
        v2::check_start(&self.bytes)?;
        let Some(length) = v2::length(&self.bytes) else { return Ok((used, None)) };
        if length > self.length {
            return Err(Fault::TooLong);
        }
        let whole = v2::START + length;
        used += self.take(&input[used..], whole - self.bytes.len());
        let announced = (self.bytes.len() == whole).then(|| v2::parse(&self.bytes)).transpose()?;
        Ok((used, announced))
    }

    /// Takes so many bytes, or those that are here.
    fn take(&mut self, input: &[u8], count: usize) -> usize {
        let count = count.min(input.len());
        self.bytes.extend_from_slice(&input[..count]);
        count
    }
}
