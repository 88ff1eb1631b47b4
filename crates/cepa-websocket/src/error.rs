//! How WebSockets fail.

use std::io;

use crate::CloseCode;

/// What a peer has done against the protocol, or against our limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit is set that no extension has given a meaning (section 5.2).
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode without a meaning (section 5.2).
    #[error("a frame has the reserved opcode {0:#x}")]
    Opcode(u8),
    /// A client's frame has no mask (section 5.1).
    #[error("a frame is not masked")]
    Unmasked,
    /// A length that takes more bytes than it needs, or has its highest bit set (section 5.2).
    #[error("a length is not written in the shortest way")]
    Length,
    /// A control frame in pieces, or with more than 125 bytes (section 5.5).
    #[error("a control frame is fragmented or longer than 125 bytes")]
    Control,
    /// A message goes on that has not begun, or another begins before it has ended (section 5.4).
    #[error("a fragment is out of order")]
    Fragment,
    /// Text, or the reason of a Close frame, is not UTF-8 (section 8.1).
    #[error("a text is not UTF-8")]
    Utf8,
    /// A Close frame with a code that none may carry, or half of one (section 7.4).
    #[error("a Close frame has no valid code")]
    CloseCode,
    /// A compressed message does not inflate (RFC 7692).
    #[error("a compressed message does not inflate")]
    Deflate,
    /// A message is larger than [`Options::message`](crate::Options::message).
    #[error("a message is larger than the limit")]
    TooBig,
    /// A compressed message becomes more than [`Options::ratio`](crate::Options::ratio) times as large.
    #[error("a compressed message inflates to too many times its size")]
    Ratio,
    /// A message has more fragments than [`Options::fragments`](crate::Options::fragments).
    #[error("a message has more fragments than the limit")]
    Fragments,
}

impl ProtocolError {
    /// The code that the peer is told.
    pub fn code(self) -> CloseCode {
        match self {
            Self::Utf8 | Self::Deflate => CloseCode::INVALID,
            Self::TooBig | Self::Ratio => CloseCode::TOO_BIG,
            Self::Fragments => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL,
        }
    }
}

/// Why a WebSocket cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It is closed, or about to be: nothing more can be sent.
    #[error("the WebSocket is closed")]
    Closed,
    /// The connection ended without a Close frame.
    #[error("the peer has gone without a word")]
    Gone,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer broke the protocol or a limit; it was told so.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// No sign of life came within [`Options::pong`](crate::Options::pong) of a ping.
    #[error("the peer does not answer pings")]
    PongTime,
    /// A message took longer than [`Options::message_time`](crate::Options::message_time) to arrive.
    #[error("a message took too long to arrive")]
    MessageTime,
    /// The peer took nothing for [`Options::write_stall`](crate::Options::write_stall).
    #[error("the peer takes nothing of what is sent")]
    WriteStall,
}
