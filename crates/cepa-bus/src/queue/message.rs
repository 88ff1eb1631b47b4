//! A message as all subscribers share it: the frame of an event stream, written once.

use std::{
    any::Any,
    fmt,
    io::{self, Write},
    marker::PhantomData,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::QueueError;
use crate::BackendError;

/// The id of a message: which life of the queue it is from, and its place in it.
///
/// A queue that was made anew, as after a restart of the server, has another life: ids from before are known for what
/// they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    pub(crate) life: u64,
    pub(crate) number: u64,
}

impl EventId {
    const LENGTH: usize = 33;

    /// The id of no message.
    pub(super) const OF_NOBODY: Self = Self { life: 0, number: 0 };
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.life, self.number)
    }
}

/// A text that is not the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a message")]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        // `from_str_radix` takes a sign.
        let is_hex = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (life, number) = text.split_once('-').ok_or(EventIdError)?;
        if !is_hex(life) || !is_hex(number) {
            return Err(EventIdError);
        }
        let parse = |part| u64::from_str_radix(part, 16).map_err(|_| EventIdError);
        Ok(Self { life: parse(life)?, number: parse(number)? })
    }
}

/// A message that has been written, but has no id yet: `id: …\n[event: …\n]data: …\n\n`.
///
/// The id has a fixed length, so that it is filled in once it is known.
pub(super) struct Draft {
    frame: Vec<u8>,
    data: u32,
}

/// A frame in the log.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Arc<Written>);

#[derive(Debug)]
struct Written {
    bytes: Bytes,
    /// Where the data begins.
    data: u32,
    /// See [`Message::encoded`].
    encoded: OnceLock<Box<dyn Any + Send + Sync>>,
}

const ID: &[u8] = b"id: ";
const EVENT: &[u8] = b"event: ";
const DATA: &[u8] = b"data: ";
const END: &[u8] = b"\n\n";
const AFTER_ID: usize = ID.len() + EventId::LENGTH + 1;

impl Draft {
    pub(super) fn write<T: Serialize>(
        queue: &Arc<str>,
        event: Option<&str>,
        value: &T,
        limit: usize,
    ) -> Result<Self, QueueError> {
        let (mut frame, data) = Self::begin(event, 128)?;
        let mut bounded = Bounded { frame: &mut frame, room: limit, is_over: false };
        if let Err(error) = serde_json::to_writer(&mut bounded, value) {
            let is_over = bounded.is_over;
            return Err(if is_over {
                QueueError::TooLong { queue: Arc::clone(queue), limit }
            } else {
                QueueError::Write(error)
            });
        }
        frame.extend_from_slice(END);
        Ok(Self { frame, data })
    }

    /// A message that was written by another process. That it is JSON is seen by who reads it; here it is a text at least.
    pub(super) fn received(event: Option<&str>, json: &[u8]) -> Result<Self, QueueError> {
        if std::str::from_utf8(json).is_err() {
            return Err(BackendError::Refused("a message is no text".into()).into());
        }
        let (mut frame, data) = Self::begin(event, 256 + json.len())?;
        one_line(&mut frame, json);
        frame.extend_from_slice(END);
        Ok(Self { frame, data })
    }

    /// A frame up to its data, and where that begins.
    fn begin(event: Option<&str>, capacity: usize) -> Result<(Vec<u8>, u32), QueueError> {
        let mut frame = Vec::with_capacity(capacity);
        frame.extend_from_slice(ID);
        frame.resize(AFTER_ID, b'\n');
        if let Some(event) = event {
            if !(1..=64).contains(&event.len()) || event.chars().any(char::is_control) {
                return Err(QueueError::EventType);
            }
            frame.extend_from_slice(EVENT);
            frame.extend_from_slice(event.as_bytes());
            frame.push(b'\n');
        }
        frame.extend_from_slice(DATA);
        let data = frame.len() as u32;
        Ok((frame, data))
    }

    /// The message as JSON.
    pub(super) fn into_json(self) -> Bytes {
        let end = self.frame.len() - END.len();
        Bytes::from(self.frame).slice(self.data as usize..end)
    }

    pub(super) fn with_id(mut self, id: EventId) -> Frame {
        let mut into = &mut self.frame[ID.len()..];
        write!(into, "{id}").expect("a frame has room for its id");
        Frame(Arc::new(Written { bytes: self.frame.into(), data: self.data, encoded: OnceLock::new() }))
    }
}

/// Writes one line, and ends as soon as it is longer than it may be, not when it is all in memory.
struct Bounded<'a> {
    frame: &'a mut Vec<u8>,
    room: usize,
    is_over: bool,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.checked_sub(bytes.len()) {
            Some(room) => self.room = room,
            None => {
                self.is_over = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        one_line(self.frame, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The data is one line. JSON escapes line breaks in strings, and between tokens (a raw value of serde_json may have some)
/// all white space means the same.
fn one_line(frame: &mut Vec<u8>, json: &[u8]) {
    frame.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

impl Frame {
    /// Bytes of the frame.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    pub(crate) fn id(&self) -> EventId {
        let id = self.0.bytes.get(ID.len()..AFTER_ID - 1);
        let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        id.expect("a frame begins with its id")
    }

    pub(crate) fn event(&self) -> Option<&str> {
        let until = (self.0.data as usize).checked_sub(DATA.len() + 1)?;
        let event = self.0.bytes.get(AFTER_ID + EVENT.len()..until)?;
        Some(std::str::from_utf8(event).expect("the type of an event was a text"))
    }

    pub(crate) fn json(&self) -> Bytes {
        self.0.bytes.slice(self.0.data as usize..self.0.bytes.len() - END.len())
    }
}

/// A message of a queue. Clones share its bytes.
pub struct Message<T> {
    frame: Frame,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Message<T> {
    /// The message itself.
    ///
    /// # Errors
    /// JSON of something else: a queue of this name is used with several types.
    pub fn value(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.data())
    }
}

impl<T> Message<T> {
    pub(super) fn new(frame: Frame) -> Self {
        Self { frame, value: PhantomData }
    }

    /// The id, for [`Queue::subscribe_after`](super::Queue::subscribe_after).
    pub fn id(&self) -> EventId {
        self.frame.id()
    }

    /// The type that it was published [as](super::Queue::notify_as).
    pub fn event(&self) -> Option<&str> {
        self.frame.event()
    }

    /// The message as JSON.
    pub fn data(&self) -> Bytes {
        self.frame.json()
    }

    /// The message in another form, made of its JSON once for all subscribers: the frame of a WebSocket, say.
    ///
    /// It is kept for as long as the message is. All subscribers of a queue must ask for the same form: of several that
    /// have the same type the first is everybody's, and one of another type is made anew each time.
    ///
    /// ```
    /// # use cepa_bus::{Bus, Delivery};
    /// # cepa_core::test::block_on(async {
    /// let news = Bus::new().queue::<String>("news")?;
    /// let mut reader = news.subscribe()?;
    /// news.notify(&"It rains".to_owned()).await?;
    /// let Some(Delivery::Message(message)) = reader.next().await else { panic!() };
    /// let shout: std::sync::Arc<str> = message.encoded(|json| json.to_uppercase().into());
    /// assert_eq!(&*shout, "\"IT RAINS\"");
    /// # Ok::<(), cepa_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn encoded<E: Any + Clone + Send + Sync>(&self, encode: impl FnOnce(&str) -> E) -> E {
        let kept = &self.frame.0.encoded;
        if let Some(form) = kept.get().and_then(|form| form.downcast_ref::<E>()) {
            return form.clone();
        }
        // Not under the lock of the cell: this is code of an app.
        let data = self.data();
        let form = encode(std::str::from_utf8(&data).expect("JSON is written as a text"));
        let _ = kept.set(Box::new(form.clone()));
        form
    }

    /// The message as a frame of an event stream.
    pub fn frame(&self) -> &Bytes {
        &self.frame.0.bytes
    }
}

impl<T> Clone for Message<T> {
    fn clone(&self) -> Self {
        Self::new(self.frame.clone())
    }
}

impl<T> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.id(), self.data().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_one_line_whatever_writes_it() {
        let mut frame = Vec::new();
        let mut line = Bounded { frame: &mut frame, room: 100, is_over: false };
        line.write_all(b"{\n\r\"a\": 1\n}").unwrap();
        assert_eq!(frame, b"{  \"a\": 1 }");
    }
}
