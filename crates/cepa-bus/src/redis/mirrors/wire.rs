//! What Redis says of a queue.

use ::redis::Value;
use bytes::Bytes;

use crate::{
    BackendError,
    redis::answer::{Answer, nonsense},
};

/// Where a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) life: u64,
    /// Of the last message.
    pub(super) number: u64,
    /// How often it was stopped.
    pub(super) stops: u64,
}

/// Some messages of a queue.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) at: Found,
    /// The last message before the last stop.
    pub(super) stopped: u64,
    pub(super) messages: Vec<Heard>,
}

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) number: u64,
    pub(super) event: Option<Box<str>>,
    pub(super) json: Bytes,
}

/// What comes through the channel of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Message {
        life: u64,
        heard: Heard,
    },
    /// The queue was stopped so often, the last time after this message.
    Stop {
        life: u64,
        stops: u64,
        after: u64,
    },
}

/// A life as it is written.
pub(in crate::redis) fn life(life: u64) -> String {
    format!("{life:016x}")
}

fn read_life(text: &str) -> Option<u64> {
    let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|life| is_one && *life != 0)
}

fn event(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

impl Found {
    pub(super) fn read(value: Value) -> Result<Self, BackendError> {
        Self::begin(&mut Answer::new(value))
    }

    fn begin(answer: &mut Answer) -> Result<Self, BackendError> {
        if answer.is_empty() {
            return Err(BackendError::Refused("there are as many queues as may be".into()));
        }
        let life = read_life(&answer.text()?).ok_or_else(nonsense)?;
        Ok(Self { life, number: answer.number()?, stops: answer.number()? })
    }
}

impl Page {
    pub(super) fn read(value: Value) -> Result<Self, BackendError> {
        let answer = &mut Answer::new(value);
        let mut page = Self { at: Found::begin(answer)?, stopped: answer.number()?, messages: Vec::new() };
        while !answer.is_empty() {
            let number = answer.number()?;
            let event = event(&answer.text()?);
            page.messages.push(Heard { number, event, json: answer.bytes()? });
        }
        Ok(page)
    }
}

impl Spoken {
    /// What has come, if it is anything.
    pub(super) fn read(message: &Bytes) -> Option<Self> {
        let end = message.iter().position(|byte| *byte == b'\n').unwrap_or(message.len());
        let mut words = std::str::from_utf8(&message[..end]).ok()?.splitn(4, ' ');
        match (words.next()?, read_life(words.next()?)?, words.next()?.parse().ok()?, words.next()?) {
            ("message", life, number, text) if end < message.len() => {
                let heard = Heard { number, event: event(text), json: message.slice(end + 1..) };
                Some(Self::Message { life, heard })
            }
            ("stop", life, stops, after) => Some(Self::Stop { life, stops, after: after.parse().ok()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_and_stops_are_told_apart_from_anything_else() {
        let read = |text: &'static str| Spoken::read(&Bytes::from_static(text.as_bytes()));
        let heard = |event: Option<&str>| Heard {
            number: 7,
            event: event.map(Into::into),
            json: Bytes::from_static(b"{\"a\": 1}"),
        };
        assert_eq!(
            read("message 00000000000000ff 7 two words\n{\"a\": 1}"),
            Some(Spoken::Message { life: 255, heard: heard(Some("two words")) })
        );
        assert_eq!(
            read("message 00000000000000ff 7 \n{\"a\": 1}"),
            Some(Spoken::Message { life: 255, heard: heard(None) })
        );
        assert_eq!(read("stop 00000000000000ff 2 7"), Some(Spoken::Stop { life: 255, stops: 2, after: 7 }));
        for text in
            ["", "message", "message 00000000000000ff 7 e", "message +0000000000000ff 7 \n1", "go ff 1 1"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>, head in "(message|stop) [0-9a-f]{16} [0-9]{0,22} ") {
            let _ = Spoken::read(&bytes.clone().into());
            let _ = Spoken::read(&[head.as_bytes(), &bytes].concat().into());
        }
    }
}
