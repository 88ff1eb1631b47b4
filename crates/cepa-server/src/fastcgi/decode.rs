//! Records to events.

use std::{mem, ops::Range};

use super::record::{HEADER, KEEP_CONN, Kind, RESPONDER, VERSION};
use crate::cgi::Reject;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request, with all its variables: [`Decoder::take_variables`].
    Request,
    /// A part of its body, which lies there in the input.
    Data(Range<usize>),
    /// The end of its body.
    End,
    /// The front server gives the request up.
    Abort,
    /// A request beside the one at hand: to be answered with [`Ending::CannotMultiplex`](super::record::Ending).
    Second(u16),
    /// A request for another role: to be answered with [`Ending::UnknownRole`](super::record::Ending), and `keep` says
    /// whether the connection is kept.
    Role {
        /// The request.
        request: u16,
        /// Whether to keep the connection.
        keep: bool,
    },
    /// A question, the names in it as [`Pairs`](super::Pairs).
    Values(Vec<u8>),
    /// A record of a type that is not known, to be answered with [`unknown_type`](super::record::unknown_type).
    Unknown(u8),
}

/// Reads the records that a front server sends.
#[derive(Debug)]
pub struct Decoder {
    header: [u8; HEADER],
    /// Bytes of `header` that have come.
    filled: u8,
    padding: u8,
    /// Bytes of content still to come, and what becomes of them.
    content: u16,
    fate: Fate,
    request: Option<Active>,
    /// Variables, or the names of a question.
    text: Vec<u8>,
    most: usize,
}

/// The request at hand.
#[derive(Debug, Clone, Copy)]
struct Active {
    id: u16,
    keep: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Params,
    Stdin,
    /// The body has ended, or nobody is to hear of the rest.
    Over,
}

/// What becomes of the content of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Skip,
    Begin(u16),
    Params,
    Stdin,
    Values,
}

impl Decoder {
    /// A decoder of a connection from its start. The variables of a request take at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            header: [0; HEADER],
            filled: 0,
            padding: 0,
            content: 0,
            fate: Fate::Skip,
            request: None,
            text: Vec::new(),
            most,
        }
    }

    /// Decodes up to the next event, and says how many bytes of the input it took; without an event that is all of them.
    ///
    /// # Errors
    /// [`Reject::Version`] and [`Reject::Record`] break the framing; [`Reject::VariablesTooLarge`] refuses the request.
    /// Nothing more may be decoded then.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Reject> {
        let mut at = 0;
        loop {
            if self.content > 0 {
                let here = input.len().min(at + usize::from(self.content));
                if here == at {
                    return Ok((at, None));
                }
                self.content -= (here - at) as u16;
                let part = at..here;
                at = here;
                if let Some(event) = self.take_content(&input[part.clone()], part)? {
                    return Ok((at, Some(event)));
                }
                continue;
            }
            let here = input.len().min(at + usize::from(self.padding));
            self.padding -= (here - at) as u8;
            at = here;
            let (filled, left) = (usize::from(self.filled), &input[at..]);
            let more = left.len().min(HEADER - filled);
            self.header[filled..filled + more].copy_from_slice(&left[..more]);
            self.filled += more as u8;
            at += more;
            if usize::from(self.filled) < HEADER {
                return Ok((at, None));
            }
            self.filled = 0;
            if let Some(event) = self.begin_record()? {
                return Ok((at, Some(event)));
            }
        }
    }

    /// Takes the variables of the request that has just come, as [`Pairs`](super::Pairs).
    pub fn take_variables(&mut self) -> Vec<u8> {
        mem::take(&mut self.text)
    }

    /// The request at hand.
    #[must_use]
    pub fn request(&self) -> Option<u16> {
        self.request.map(|request| request.id)
    }

    /// Whether a part of a record has come, or of a request.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.request.is_some() || self.filled > 0 || self.content > 0
    }

    /// Whether the connection is to be kept after the request at hand.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.request.is_some_and(|request| request.keep)
    }

    /// The request at hand is answered: what still comes of it is passed over.
    pub fn finish(&mut self) {
        self.request = None;
        if matches!(self.fate, Fate::Params | Fate::Stdin) {
            self.fate = Fate::Skip;
        }
    }

    /// Looks at a header; a record without content may be an event.
    fn begin_record(&mut self) -> Result<Option<Event>, Reject> {
        let [version, kind, id1, id0, length1, length0, padding, _] = self.header;
        if version != VERSION {
            return Err(Reject::Version);
        }
        let (request, length) = (u16::from_be_bytes([id1, id0]), u16::from_be_bytes([length1, length0]));
        (self.content, self.padding, self.fate) = (length, padding, Fate::Skip);
        let known = Kind::of(kind);
        if request == 0 {
            return self.begin_management(kind, known, length);
        }
        if known == Some(Kind::Begin) {
            if length != 8 || self.request() == Some(request) {
                return Err(Reject::Record);
            }
            self.fate = Fate::Begin(request);
            return Ok(None);
        }
        let Some(active) = self.request.as_mut().filter(|active| active.id == request) else {
            return Ok(None);
        };
        match (known, active.stage, length) {
            (Some(Kind::Params), Stage::Params, 0) => {
                active.stage = Stage::Stdin;
                return Ok(Some(Event::Request));
            }
            (Some(Kind::Params), Stage::Params, _) => {
                if self.text.len() + usize::from(length) > self.most {
                    return Err(Reject::VariablesTooLarge);
                }
                self.fate = Fate::Params;
            }
            (Some(Kind::Stdin), Stage::Stdin, 0) => {
                active.stage = Stage::Over;
                return Ok(Some(Event::End));
            }
            (Some(Kind::Stdin), Stage::Stdin, _) => self.fate = Fate::Stdin,
            (Some(Kind::Params | Kind::Stdin), _, _) => return Err(Reject::Record),
            (Some(Kind::Abort), ..) => {
                active.stage = Stage::Over;
                return Ok(Some(Event::Abort));
            }
            _ => {}
        }
        Ok(None)
    }

    /// A record of no request.
    fn begin_management(
        &mut self,
        kind: u8,
        known: Option<Kind>,
        length: u16,
    ) -> Result<Option<Event>, Reject> {
        match known {
            Some(Kind::GetValues) if self.is_between() => {
                self.text.clear();
                self.fate = Fate::Values;
                Ok((length == 0).then(|| Event::Values(Vec::new())))
            }
            // It would take the place where variables gather; nobody asks in the middle of a request.
            Some(Kind::GetValues) => Ok(None),
            Some(Kind::Begin | Kind::Abort | Kind::Params | Kind::Stdin | Kind::Data) => Err(Reject::Record),
            _ => Ok(Some(Event::Unknown(kind))),
        }
    }

    /// Whether no variables are on their way.
    fn is_between(&self) -> bool {
        self.request.is_none_or(|request| request.stage != Stage::Params)
    }

    /// Takes a part of a content, which lies there in the input.
    fn take_content(&mut self, part: &[u8], range: Range<usize>) -> Result<Option<Event>, Reject> {
        let whole = self.content == 0;
        match self.fate {
            Fate::Skip => Ok(None),
            Fate::Params => {
                self.text.extend_from_slice(part);
                Ok(None)
            }
            Fate::Stdin => Ok(Some(Event::Data(range))),
            Fate::Values => {
                self.text.extend_from_slice(part);
                Ok(whole.then(|| Event::Values(mem::take(&mut self.text))))
            }
            Fate::Begin(id) => {
                // The header is not needed any more, and this is as long.
                let from = HEADER - usize::from(self.content) - part.len();
                self.header[from..from + part.len()].copy_from_slice(part);
                if !whole {
                    return Ok(None);
                }
                let [role1, role0, flags, ..] = self.header;
                let keep = flags & KEEP_CONN != 0;
                if self.request.is_some() {
                    return Ok(Some(Event::Second(id)));
                }
                if u16::from_be_bytes([role1, role0]) != RESPONDER {
                    return Ok(Some(Event::Role { request: id, keep }));
                }
                self.text.clear();
                self.request = Some(Active { id, keep, stage: Stage::Params });
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
