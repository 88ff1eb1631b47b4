//! From a client's bytes to events (RFC 6455, sections 5 and 8.1).

#[cfg(feature = "deflate")]
use crate::deflate::Inflater;
use crate::{
    Close, Event, Message, ProtocolError,
    frame::{Head, Opcode, PartialHead},
    mask::unmask,
};

/// What one call of [`Decoder::decode`] may cost before it returns; a frame costs 1, whatever is in it.
const STEP: u8 = 64;
/// As many compressed bytes cost 1: each may be a block that comes to nothing.
#[cfg(feature = "deflate")]
const COMPRESSED: usize = 16;
/// As many bytes that are inflated cost 1.
#[cfg(feature = "deflate")]
const INFLATED: usize = 256;
/// Compressed bytes that are taken at once.
#[cfg(feature = "deflate")]
const PIECE: usize = STEP as usize * COMPRESSED;

/// How much a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, inflated.
    pub message: usize,
    /// Frames of a message.
    pub fragments: u32,
    /// How many times its size a compressed message may become, once it is larger than 64 KiB.
    pub ratio: u32,
}

/// Reads the bytes of a client; it neither waits nor knows a socket.
///
/// Text is checked as it comes: a message that is not UTF-8 fails with the first byte that shows it. Memory is taken
/// for bytes that have come, never for a length that was announced. Between messages nothing is kept.
///
/// After an error it must not be fed again.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    head: PartialHead,
    frame: Option<Frame>,
    message: Option<Partial>,
    /// The payload of the control frame that is being read.
    control: Vec<u8>,
    /// What the last call has cost; what does not fit is the most there is.
    cost: u8,
    #[cfg(feature = "deflate")]
    inflater: Option<Box<Inflater>>,
}

/// A frame whose payload is being read.
#[derive(Debug)]
struct Frame {
    head: Head,
    done: u64,
}

/// A message of which some has come.
#[derive(Debug)]
struct Partial {
    is_text: bool,
    compressed: bool,
    fragments: u32,
    bytes: Vec<u8>,
    /// Bytes of `bytes` that are whole characters.
    checked: usize,
    /// Compressed bytes that have come.
    came: u64,
}

impl Decoder {
    /// For a connection without extensions.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: PartialHead::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            cost: 0,
            #[cfg(feature = "deflate")]
            inflater: None,
        }
    }

    /// With compression as it was negotiated.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, agreed: &crate::deflate::Agreed) -> Self {
        self.inflater = Some(Box::new(Inflater::new(agreed)));
        self
    }

    /// Whether a frame or a message has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.head.is_begun() || self.frame.is_some() || self.message.is_some()
    }

    /// Takes bytes off the front of `input`, unmasking them in place: how many, and what they came to.
    ///
    /// Without an event all of the input was taken, or so much work was done (64 frames, 1 KiB of compressed bytes,
    /// 16 KiB inflated) that others should have their turn before it is called with the rest.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut at = 0;
        self.cost = 0;
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let (taken, head) = self.head.read(&input[at..], self.compresses())?;
                    at += taken;
                    let Some(head) = head else { return Ok((at, None)) };
                    self.begin(&head)?;
                    self.cost = self.cost.saturating_add(1);
                    Frame { head, done: 0 }
                }
            };
            let left = frame.head.length - frame.done;
            let most = self.most_at_once(&frame.head).min(input.len() - at);
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(most);
            let piece = &mut input[at..at + take];
            unmask(piece, frame.head.key, frame.done);
            at += take;
            frame.done += take as u64;
            let ends = frame.done == frame.head.length;
            let event = self.take(&frame.head, &input[at - take..at], ends)?;
            if !ends {
                self.frame = Some(frame);
            }
            if event.is_some() || self.cost >= STEP || !ends && at == input.len() {
                return Ok((at, event));
            }
        }
    }

    /// How many steps the last call was worth; `None` for so many that others must have their turn.
    pub(crate) fn steps(&self) -> Option<u32> {
        (self.cost < u8::MAX).then_some(u32::from(self.cost / STEP))
    }

    /// How many bytes of a payload are taken at once.
    #[cfg(feature = "deflate")]
    fn most_at_once(&self, head: &Head) -> usize {
        let compressed = self.message.as_ref().is_some_and(|message| message.compressed);
        if compressed && !head.opcode.is_control() { PIECE } else { usize::MAX }
    }

    /// How many bytes of a payload are taken at once.
    #[cfg(not(feature = "deflate"))]
    fn most_at_once(&self, _: &Head) -> usize {
        usize::MAX
    }

    pub(crate) fn compresses(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.inflater.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Checks what the head of a frame says against what came before.
    fn begin(&mut self, head: &Head) -> Result<(), ProtocolError> {
        if head.opcode.is_control() {
            return Ok(());
        }
        match (&mut self.message, head.opcode) {
            (None, Opcode::Continuation) | (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(ProtocolError::Fragment);
            }
            (Some(message), _) => message.fragments += 1,
            (none, opcode) => {
                *none = Some(Partial {
                    is_text: opcode == Opcode::Text,
                    compressed: head.compressed,
                    fragments: 1,
                    bytes: Vec::new(),
                    checked: 0,
                    came: 0,
                });
            }
        }
        let Some(message) = &self.message else { return Ok(()) };
        // What is compressed is bounded by what it becomes, and by what it is.
        let so_far = if message.compressed { message.came } else { message.bytes.len() as u64 };
        if head.length > self.limits.message as u64 - so_far.min(self.limits.message as u64) {
            return Err(ProtocolError::TooBig);
        }
        if message.fragments > self.limits.fragments {
            return Err(ProtocolError::Fragments);
        }
        Ok(())
    }

    /// Takes a piece of a payload, the last if the frame `ends`.
    fn take(&mut self, head: &Head, piece: &[u8], ends: bool) -> Result<Option<Event>, ProtocolError> {
        if !head.opcode.is_control() {
            return Ok(self.take_data(piece, ends && head.fin)?.map(Event::Message));
        }
        self.control.extend_from_slice(piece);
        if !ends {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        Ok(Some(match head.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => Event::Close(Close::parse(&payload)?),
        }))
    }

    /// Takes a piece of a message, the last if it `ends`.
    fn take_data(&mut self, piece: &[u8], ends: bool) -> Result<Option<Message>, ProtocolError> {
        let Some(message) = &mut self.message else { return Ok(None) };
        if message.compressed {
            #[cfg(feature = "deflate")]
            if let Some(inflater) = &mut self.inflater {
                message.came += piece.len() as u64;
                let before = message.bytes.len();
                let inflated = inflater.inflate(piece, ends, message.came, &mut message.bytes, &self.limits);
                if inflated.is_err() {
                    // Text that was wrong before is what is told, however the bytes were cut.
                    message.check()?;
                }
                inflated?;
                let cost = piece.len() / COMPRESSED + (message.bytes.len() - before) / INFLATED;
                self.cost = self.cost.saturating_add(u8::try_from(cost).unwrap_or(u8::MAX));
            }
        } else {
            message.bytes.extend_from_slice(piece);
        }
        if !ends {
            message.check()?;
            return Ok(None);
        }
        let Some(Partial { is_text, bytes, .. }) = self.message.take() else { return Ok(None) };
        if !is_text {
            return Ok(Some(Message::Binary(bytes.into())));
        }
        Ok(Some(Message::Text(String::from_utf8(bytes).map_err(|_| ProtocolError::Utf8)?)))
    }
}

impl Partial {
    /// Checks what was not checked; a character may still be cut at the end.
    fn check(&mut self) -> Result<(), ProtocolError> {
        if !self.is_text {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(ProtocolError::Utf8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
