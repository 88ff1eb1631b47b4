//! The framing of a multipart body (RFC 2046, section 5.1): bytes in, events out.

use bytes::{Buf, Bytes, BytesMut};
use cepa_core::media_type::MediaType;

use super::{
    MultipartError,
    delimiter::{Delimiter, Found},
    head::{HeadLimits, PartHead},
};

/// The most bytes before the first delimiter: nobody sends any, but they are allowed.
const PREAMBLE: usize = 1 << 10;
/// The most blanks between a boundary and the end of its line.
const PADDING: usize = 64;

/// A parser of multipart bodies without input and output of its own, for who reads from elsewhere than a
/// [`Ctx`](cepa_core::Ctx).
///
/// [`feed`](Self::feed) it what has come, then take events until there is none; at the end of the input call
/// [`finish`](Self::finish). Time is linear in the input, however it is cut; what is kept between two calls is no more
/// than the head of a part or the beginning of a delimiter.
///
/// ```
/// use cepa_layers::multipart::{Event, HeadLimits, Parser};
///
/// let mut parser = Parser::new("multipart/form-data; boundary=x", HeadLimits::default())?;
/// parser.feed("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n".into());
/// let Some(Event::Part(head)) = parser.event()? else { panic!("a part begins") };
/// assert_eq!(head.name(), "a");
/// assert_eq!(parser.event()?, Some(Event::Data("1".into())));
/// assert_eq!(parser.event()?, Some(Event::PartEnd));
/// assert_eq!(parser.event()?, Some(Event::End));
/// parser.finish()?;
/// # Ok::<(), cepa_layers::multipart::MultipartError>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    delimiter: Delimiter,
    limits: HeadLimits,
    buffer: BytesMut,
    /// How much of the buffer was searched for the end of a head.
    searched: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before the first delimiter, with how many bytes may yet come there.
    Preamble(usize),
    /// Behind a delimiter, on its line.
    Line,
    Head,
    /// Behind a head, on the empty line that ends it. Its line break may be that of the next delimiter: RFC 2046 has
    /// parts of nothing but a head.
    Blank,
    Data,
    Over,
    Failed(MultipartError),
}

/// What comes next in a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(PartHead),
    /// Some of its content, never empty.
    Data(Bytes),
    /// It is whole.
    PartEnd,
    /// The body is whole.
    End,
}

impl Parser {
    /// A parser for a body with this `Content-Type`.
    ///
    /// # Errors
    /// [`NotMultipart`](MultipartError::NotMultipart) for another type than `multipart/form-data`,
    /// [`Boundary`](MultipartError::Boundary).
    pub fn new(content_type: &str, limits: HeadLimits) -> Result<Self, MultipartError> {
        let parsed = MediaType::parse(content_type).ok_or(MultipartError::NotMultipart)?;
        if !parsed.essence().eq_ignore_ascii_case("multipart/form-data") {
            return Err(MultipartError::NotMultipart);
        }
        let mut boundaries = parsed.parameters().filter(|(name, _)| name.eq_ignore_ascii_case("boundary"));
        let delimiter = match (boundaries.next(), boundaries.next()) {
            (Some((_, boundary)), None) => Delimiter::new(&boundary),
            _ => None,
        };
        Ok(Self {
            delimiter: delimiter.ok_or(MultipartError::Boundary)?,
            limits,
            // The first delimiter stands at the beginning of a line too.
            buffer: BytesMut::from(&b"\r\n"[..]),
            searched: 0,
            state: State::Preamble(PREAMBLE),
        })
    }

    /// Takes what has come. What comes behind the end of the last part is ignored.
    pub fn feed(&mut self, bytes: Bytes) {
        match self.state {
            State::Over | State::Failed(_) => {}
            _ if self.buffer.is_empty() => self.buffer = bytes.into(),
            _ => self.buffer.extend_from_slice(&bytes),
        }
    }

    /// The next event; `None` when it needs more bytes, and behind [`Event::End`].
    ///
    /// # Errors
    /// When the body is malformed or a head passes its limits; from then on always the same.
    pub fn event(&mut self) -> Result<Option<Event>, MultipartError> {
        let event = self.step();
        if let Err(error) = &event {
            self.state = State::Failed(error.clone());
        }
        event
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    /// [`CutOff`](MultipartError::CutOff), or what was wrong before.
    pub fn finish(&self) -> Result<(), MultipartError> {
        match &self.state {
            State::Over => Ok(()),
            State::Failed(error) => Err(error.clone()),
            _ => Err(MultipartError::CutOff),
        }
    }

    fn step(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            let is_done = match &self.state {
                State::Preamble(left) => {
                    let left = *left;
                    self.preamble(left)?
                }
                State::Line if self.buffer.starts_with(b"--") => {
                    self.state = State::Over;
                    self.buffer = BytesMut::new();
                    return Ok(Some(Event::End));
                }
                State::Line => self.line()?,
                State::Head => return Ok(self.head()?.map(Event::Part)),
                State::Blank => match self.delimiter.begins(&self.buffer) {
                    None => false,
                    Some(true) => return Ok(Some(self.part_end())),
                    Some(false) => {
                        self.buffer.advance(2);
                        self.state = State::Data;
                        true
                    }
                },
                State::Data => return Ok(self.data()),
                State::Over => false,
                State::Failed(error) => return Err(error.clone()),
            };
            if !is_done {
                return Ok(None);
            }
        }
    }

    /// Looks for the first delimiter; `false` when it needs more bytes, as the functions below.
    fn preamble(&mut self, left: usize) -> Result<bool, MultipartError> {
        let (skipped, is_found) = match self.delimiter.find(&self.buffer) {
            Found::At(at) => (at, true),
            Found::NotBefore(at) => (at, false),
        };
        let left = left.checked_sub(skipped).ok_or(MultipartError::Preamble)?;
        self.state = if is_found { State::Line } else { State::Preamble(left) };
        self.buffer.advance(skipped + if is_found { self.delimiter.len() } else { 0 });
        Ok(is_found)
    }

    /// The rest of a delimiter's line.
    fn line(&mut self) -> Result<bool, MultipartError> {
        let blanks = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match &self.buffer[blanks..] {
            _ if blanks > PADDING => Err(MultipartError::Delimiter),
            [b'\r', b'\n', ..] => {
                self.buffer.advance(blanks + 2);
                (self.searched, self.state) = (0, State::Head);
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            [b'-'] if blanks == 0 => Ok(false),
            _ => Err(MultipartError::Delimiter),
        }
    }

    fn head(&mut self) -> Result<Option<PartHead>, MultipartError> {
        const END: &[u8] = b"\r\n\r\n";
        let end = self.buffer[self.searched..].windows(END.len()).position(|window| window == END);
        let length = end.map_or(self.buffer.len(), |end| self.searched + end + END.len());
        if length > self.limits.header_bytes {
            let most = self.limits.header_bytes as u64;
            return Err(MultipartError::TooLarge { what: "a header of a part", most });
        }
        if end.is_none() {
            self.searched = length.saturating_sub(END.len() - 1);
            return Ok(None);
        }
        let head = PartHead::parse(&self.buffer[..length - END.len()], &self.limits)?;
        self.buffer.advance(length - 2);
        self.state = State::Blank;
        Ok(Some(head))
    }

    fn data(&mut self) -> Option<Event> {
        match self.delimiter.find(&self.buffer) {
            Found::At(0) => Some(self.part_end()),
            Found::NotBefore(0) => None,
            Found::At(at) | Found::NotBefore(at) => Some(Event::Data(self.buffer.split_to(at).freeze())),
        }
    }

    fn part_end(&mut self) -> Event {
        self.buffer.advance(self.delimiter.len());
        self.state = State::Line;
        Event::PartEnd
    }
}

#[cfg(test)]
mod tests;
