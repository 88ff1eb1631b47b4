//! Compression of messages, permessage-deflate (RFC 7692).
//!
//! Without context takeover, the default, a message is compressed by itself: compressors belong to the thread and are
//! lent for one message, so that a connection that is silent has none; a thread keeps at most four of each, for a
//! minute, and none once it has no connection that compresses. With it, a connection keeps a window for each
//! direction; see [`Deflate`].

mod negotiate;
mod spare;

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Deserialize;

pub use self::negotiate::{Agreed, negotiate};
use self::spare::User;
pub(crate) use self::spare::sweep;
use crate::{Limits, ProtocolError};

/// What a compressed message ends with on the wire of DEFLATE, and what is cut off it (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The largest window, 32 KiB.
const WINDOW: u8 = 15;
/// Inflated at once.
const PIECE: usize = 8 * 1024;
/// Up to here, a message may inflate as far as it likes.
const RATIO_FROM: usize = 64 * 1024;

/// How messages are compressed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deflate {
    /// From 1 (fast) to 9 (small), default 1.
    pub level: u32,
    /// Messages with fewer bytes are sent as they are, default 128.
    #[serde(with = "cepa_core::units::size")]
    pub from: usize,
    /// Whether a message may refer to the ones before it, if the client agrees; off by default. Small messages that
    /// are alike become much smaller; a connection then keeps up to about 340 KB for as long as it is open.
    pub context_takeover: bool,
    /// The largest window, as a power of two: 9 (512 bytes) to 15 (32 KiB), default 15.
    pub window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { level: 1, from: 128, context_takeover: false, window_bits: WINDOW }
    }
}

/// Inflates what a client has compressed.
pub(crate) struct Inflater {
    /// Between messages only with context takeover.
    inner: Option<Decompress>,
    takeover: bool,
    bits: u8,
    _user: User,
}

impl Inflater {
    pub(crate) fn new(agreed: &Agreed) -> Self {
        Self { inner: None, takeover: agreed.client_takeover, bits: agreed.client_bits, _user: User::new() }
    }

    fn borrow(&self) -> Decompress {
        if self.takeover {
            return Decompress::new_with_window_bits(false, self.bits);
        }
        spare::decompressor().unwrap_or_else(|| Decompress::new_with_window_bits(false, WINDOW))
    }

    /// Inflates a piece of a message behind `out`, the last if it `ends`; `came` are its compressed bytes so far.
    pub(crate) fn inflate(
        &mut self,
        piece: &[u8],
        ends: bool,
        came: u64,
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let mut inner = self.inner.take().unwrap_or_else(|| self.borrow());
        run(&mut inner, piece, came, out, limits)?;
        if ends {
            run(&mut inner, &TAIL, came, out, limits)?;
        }
        if ends && !self.takeover {
            spare::put_decompressor(inner);
        } else {
            self.inner = Some(inner);
        }
        Ok(())
    }
}

fn run(
    inner: &mut Decompress,
    mut input: &[u8],
    came: u64,
    out: &mut Vec<u8>,
    limits: &Limits,
) -> Result<(), ProtocolError> {
    loop {
        // One byte past the limit, to tell a message that is too big from one that ends just there.
        let room = limits.message.saturating_add(1).saturating_sub(out.len());
        // Exactly as much as is looked at: `reserve` may give more, and then a limit would be overrun by that.
        let mut piece = [0; PIECE];
        let before = (inner.total_in(), inner.total_out());
        let status = inner.decompress(input, &mut piece[..room.min(PIECE)], FlushDecompress::Sync);
        let status = status.map_err(|_| ProtocolError::Deflate)?;
        let taken = (inner.total_in() - before.0) as usize;
        let made = (inner.total_out() - before.1) as usize;
        out.extend_from_slice(&piece[..made]);
        input = &input[taken..];
        if out.len() > limits.message {
            return Err(ProtocolError::TooBig);
        }
        if out.len() > RATIO_FROM && out.len() as u64 / came.max(1) >= u64::from(limits.ratio.max(1)) {
            return Err(ProtocolError::Ratio);
        }
        if status == Status::StreamEnd {
            // A block that says it is the last; another stream may follow (section 7.2.3.4).
            inner.reset(false);
        } else if made < room.min(PIECE) && (input.is_empty() || taken == 0 && made == 0) {
            // It has taken all it can, and holds nothing back.
            return if input.is_empty() { Ok(()) } else { Err(ProtocolError::Deflate) };
        }
        if input.is_empty() && made == 0 {
            return Ok(());
        }
    }
}

/// Compresses what a client inflates.
pub(crate) struct Deflater {
    /// Between messages only with context takeover.
    inner: Option<Compress>,
    takeover: bool,
    bits: u8,
    level: u32,
    from: usize,
    _user: User,
}

impl Deflater {
    pub(crate) fn new(agreed: &Agreed) -> Self {
        let Agreed { server_takeover, server_bits, level, from, .. } = *agreed;
        // An empty message has a form of its own, and nothing to gain.
        Self {
            inner: None,
            takeover: server_takeover,
            bits: server_bits,
            level,
            from: from.max(1),
            _user: User::new(),
        }
    }

    fn borrow(&self) -> Compress {
        let spare = if self.takeover { None } else { spare::compressor(self.level, self.bits) };
        spare
            .unwrap_or_else(|| Compress::new_with_window_bits(Compression::new(self.level), false, self.bits))
    }

    /// The compressed message; `None` for one that is to be sent as it is.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < self.from {
            return None;
        }
        let mut inner = self.inner.take().unwrap_or_else(|| self.borrow());
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        let start = inner.total_in();
        loop {
            let done = (inner.total_in() - start) as usize;
            inner.compress_vec(&message[done..], &mut out, FlushCompress::Sync).ok()?;
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len());
        }
        out.truncate(out.len() - usize::from(out.ends_with(&TAIL)) * TAIL.len());
        if self.takeover {
            self.inner = Some(inner);
            return Some(out);
        }
        spare::put_compressor(self.level, self.bits, inner);
        // What does not get smaller is not worth the client's work.
        (out.len() < message.len()).then_some(out)
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("takeover", &self.takeover).field("bits", &self.bits).finish()
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("takeover", &self.takeover).field("bits", &self.bits).finish()
    }
}

#[cfg(test)]
mod tests;
