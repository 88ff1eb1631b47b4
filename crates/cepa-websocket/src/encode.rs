//! From messages to bytes.

use bytes::Bytes;

#[cfg(feature = "deflate")]
use crate::deflate::Deflater;
use crate::{
    Message,
    frame::{Opcode, encode_head},
};

/// A payload up to this size leaves in one buffer with its head; of a larger one so much.
const COPIED: usize = 4 * 1024;

/// A message in the form in which it is sent, made once for any number of WebSockets.
///
/// It is not compressed: clients agree on different windows, and one compression for each is what it is to save.
///
/// ```
/// use cepa_websocket::Prepared;
///
/// let news = Prepared::new("goal!");
/// // for each: `socket.send_prepared(&news).await?`
/// # assert_eq!(news.len(), 7);
/// ```
#[derive(Clone, Debug)]
pub struct Prepared(Bytes);

impl Prepared {
    /// Makes one.
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let payload = message.as_bytes();
        let mut frame = Vec::with_capacity(payload.len() + 10);
        encode_head(&mut frame, opcode(&message), false, payload.len());
        frame.extend_from_slice(payload);
        Self(frame.into())
    }

    /// Bytes on the wire.
    #[expect(clippy::len_without_is_empty, reason = "a frame has at least its head")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends it to `out`; what is large and follows is given back.
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> Bytes {
        if self.0.len() > COPIED {
            return self.0.clone();
        }
        out.extend_from_slice(&self.0);
        Bytes::new()
    }
}

fn opcode(message: &Message) -> Opcode {
    match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
    }
}

/// Makes frames of messages.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Deflater>>,
}

impl Encoder {
    #[cfg(feature = "deflate")]
    pub(crate) fn with_deflate(agreed: &crate::deflate::Agreed) -> Self {
        Self { deflater: Some(Box::new(Deflater::new(agreed))) }
    }

    pub(crate) fn compresses(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflater.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Appends a message's frame to `out`; what is large and follows it is given back.
    pub(crate) fn encode(&mut self, message: Message, out: &mut Vec<u8>) -> Bytes {
        let opcode = opcode(&message);
        #[cfg(feature = "deflate")]
        if let Some(deflated) =
            self.deflater.as_mut().and_then(|deflater| deflater.deflate(message.as_bytes()))
        {
            return append(out, opcode, true, deflated.into());
        }
        append(out, opcode, false, message.into_bytes())
    }
}

fn append(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, mut payload: Bytes) -> Bytes {
    encode_head(out, opcode, compressed, payload.len());
    let first = payload.split_to(payload.len().min(COPIED));
    out.extend_from_slice(&first);
    payload
}

/// Appends a control frame; the payload has at most 125 bytes.
pub(crate) fn encode_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    encode_head(out, opcode, false, payload.len());
    out.extend_from_slice(payload);
}
