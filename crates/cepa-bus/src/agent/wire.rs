//! What goes over the socket between a process and the agent: frames, without any input or output.
//!
//! A frame is its length (four bytes, big-endian, without themselves), a byte for its kind, and its fields one after the other.
//! Numbers are LEB128, signed ones zigzag; what varies in length has its length before it. JSON is bytes that nobody here
//! looks into. Both ends are of one version of this crate, see [`VERSION`].

#[cfg(test)]
mod tests;
mod types;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    EventId, QueueOptions,
    far::{Change, FarHold, FarValue, Load, Put, To, Versioned, When, Written},
    names::Key,
    queue::Followed,
};

/// Said in [`Up::Hello`]; another one is refused.
pub(crate) const VERSION: u32 = 1;

/// Most bytes of a frame.
pub(crate) const FRAME: usize = 16 << 20;

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a frame is longer than {FRAME} bytes")]
    TooLong,
    #[error("a frame ends too early")]
    Cut,
    #[error("a frame has more bytes than it needs")]
    TooMuch,
    #[error("a frame has a value that is none")]
    Malformed,
}

/// A type that is written to frames.
pub(crate) trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self, WireError>;
}

/// An enum or a struct as the bytes of its fields; an enum with its kind before them.
macro_rules! wire {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $kind:literal $variant:ident $({ $($field:ident: $type:ty),* })?,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant $({ $($field: $type),* })?,)* }
        wire!(impl enum $name { $($kind $variant $({ $($field),* })?,)* });
    };
    (impl enum $name:ident { $($kind:literal $variant:ident $({ $($field:ident),* })? $(( $($part:ident),* ))?,)* }) => {
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $($part),* ))? => {
                        out.push($kind);
                        $($($field.put(out);)*)?
                        $($($part.put(out);)*)?
                    })*
                }
            }

            fn take(input: &mut &[u8]) -> Result<Self, WireError> {
                Ok(match u8::take(input)? {
                    $($kind => Self::$variant $({ $($field: Wire::take(input)?),* })? $(( $({ let $part = Wire::take(input)?; $part }),* ))?,)*
                    _ => return Err(WireError::Malformed),
                })
            }
        }
    };
    (impl struct $name:ident { $($field:ident),* }) => {
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut &[u8]) -> Result<Self, WireError> {
                Ok(Self { $($field: Wire::take(input)?),* })
            }
        }
    };
}
use wire;

wire! {
    /// What a process says to the agent.
    pub(crate) enum Up {
        /// First of all, once.
        1 Hello { version: u32, pid: u32, is_worker: bool, silence: Duration, publisher: u64, window: usize },
        2 Ping,
        /// Answered by [`Down::Answer`] with the same id.
        3 Ask { id: u64, ask: Ask },
        /// The answer to this is not waited for any more.
        4 Cancel { id: u64 },
        5 Release { token: u64 },
        /// Numbers grow by one and are said again after a break; answered by [`Down::Published`], in order.
        6 Publish { number: u64, queue: Key, options: QueueOptions, event: Option<Arc<str>>, json: Bytes },
        7 Follow { follow: u64, queue: Key, options: QueueOptions, last: Option<EventId> },
        8 Unfollow { follow: u64 },
        /// Who is subscribed in the process; `all` in place of all that was said before.
        9 Report { queue: Key, count: usize, all: bool, names: Vec<(Arc<str>, usize)> },
        10 Listening { action: Key, count: usize },
    }
}

wire! {
    /// What is asked of the agent.
    pub(crate) enum Ask {
        1 Load { share: Key, known: Option<u64> },
        2 Write { share: Key, when: When, value: Option<FarValue>, wait: Duration },
        3 Hold { share: Key, party: u64, label: Arc<str>, wait: Duration, known: Option<u64> },
        4 Store { token: u64, value: Option<FarValue>, and_release: bool },
        5 Count { counter: Key, change: Change },
        6 Entry { map: Key, entry: Arc<str> },
        7 Put { map: Key, entry: Arc<str>, when: When, json: Option<Bytes> },
        8 Len { map: Key },
        9 Entries { map: Key },
        10 Clear { map: Key },
        11 Stop { queue: Key },
        12 Subscribers { queue: Key },
        13 Present { queue: Key },
        14 Tell { action: Key, to: To, json: Bytes },
        /// Something of the service that the agent has beside the bus.
        15 Serve { question: Bytes },
    }
}

wire! {
    /// What the agent says to a process.
    pub(crate) enum Down {
        /// The answer to [`Up::Hello`]; the life is another one after a restart of the agent.
        1 Welcome { life: u64 },
        2 Ping,
        3 Answer { id: u64, answer: Result<Answer, Fault> },
        4 Published { number: u64, id: Result<EventId, Fault> },
        5 Followed { follow: u64, followed: Followed },
        6 Message { follow: u64, id: EventId, event: Option<Arc<str>>, json: Bytes },
        7 Stopped { follow: u64, stops: u64 },
        /// For all listeners of an action, or for one.
        8 Told { action: Key, one: bool, json: Bytes },
        /// A part of the entries of a map; the rest follows, and the answer is the last part.
        9 Part { id: u64, entries: Vec<(Box<str>, Bytes)> },
        /// The agent will not talk to this process, and why.
        10 Refused { why: Arc<str> },
    }
}

wire! {
    /// What came of an [`Ask`].
    pub(crate) enum Answer {
        1 Loaded { load: Load },
        2 Written { written: Written },
        3 Held { hold: FarHold },
        4 Version { version: u64 },
        5 Number { number: i64 },
        6 Entry { entry: Option<Versioned> },
        7 Put { put: Put },
        8 Count { count: usize },
        9 Entries { entries: Vec<(Box<str>, Bytes)> },
        10 Done,
        11 Present { names: Vec<(Arc<str>, usize)> },
        12 Served { answer: Bytes },
    }
}

wire! {
    /// Why nothing came of it.
    pub(crate) enum Fault {
        1 Malformed,
        2 TooManyNames { most: usize },
        3 Timeout { holder: Arc<str> },
        /// Parties, each with the share it waits for.
        4 Deadlock { waits: Vec<(Arc<str>, Arc<str>)> },
        5 TooManyWaiting,
        6 LockLost,
        7 Full,
        8 TooLong { most: usize },
        9 EventType,
        10 Busy,
        11 Refused { why: Arc<str> },
    }
}

impl Ask {
    /// Whether it changes nothing, and may be asked again when nobody knows whether it was heard.
    pub(crate) fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Load { .. }
                | Self::Entry { .. }
                | Self::Len { .. }
                | Self::Entries { .. }
                | Self::Subscribers { .. }
                | Self::Present { .. }
                | Self::Count { change: Change::Get, .. }
        )
    }
}

/// Writes a frame; one that is too long is taken back.
pub(crate) fn write<F: Wire>(frame: &F, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    frame.put(out);
    let length = out.len() - start - 4;
    if length > FRAME {
        out.truncate(start);
        return Err(WireError::TooLong);
    }
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

/// Reads a frame from the beginning of what has come, and answers how many bytes it had; `None` until it is all there.
pub(crate) fn read<F: Wire>(input: &[u8]) -> Result<Option<(F, usize)>, WireError> {
    let Some((length, rest)) = input.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME {
        return Err(WireError::TooLong);
    }
    let Some(mut fields) = rest.get(..length) else { return Ok(None) };
    let frame = F::take(&mut fields)?;
    if fields.is_empty() { Ok(Some((frame, length + 4))) } else { Err(WireError::TooMuch) }
}

/// What was read is written as it came.
fn rereads<F: Wire>(bytes: &[u8]) {
    let Ok(Some((frame, length))) = read::<F>(bytes) else { return };
    let mut out = Vec::new();
    write(&frame, &mut out).expect("it was short enough when it came");
    assert!(out == bytes[..length], "a frame has one way to be written");
}

/// Reads bytes as either end would; for tests and for fuzzing.
///
/// # Panics
/// When a frame that was read is not written as it came.
pub(crate) fn check(bytes: &[u8]) {
    rereads::<Up>(bytes);
    rereads::<Down>(bytes);
}
