//! A direct client: the job of tora's class `Protocol`.
//!
//! It lives here because it is the other half of the codec, needs nothing else, and is what the door is tested with.
//!
//! ```no_run
//! use cepa_server::tora::client::{Call, Client, Said};
//!
//! # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
//! let call = Call::to("http://chat.example/room")?.param("name", "Tobi");
//! let mut client = Client::connect(call.address()).await?;
//! client.send(&call).await?;
//! loop {
//!     match client.next().await? {
//!         Said::Print(text) => println!("{}", String::from_utf8_lossy(&text)),
//!         Said::Done => break,
//!         // More is printed when there is more; another call may be sent meanwhile.
//!         Said::Listening => {}
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::io;

use tokio::net::{TcpStream, ToSocketAddrs};

use super::wire::{self, Code, Messages, Piece};

/// The port of direct clients where a URL names none.
pub const PORT: u16 = 6667;

/// The most bytes of a message that a client takes.
const MOST_TEXT: usize = 1 << 20;

/// How much is read at once.
const READ: usize = 16 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
    params: Vec<(String, String)>,
}

/// A URL that is not `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not http://HOST[:PORT][/PATH]")]
pub struct InvalidUrl(String);

impl Call {
    /// A request to this URL: `http://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// A URL of another form.
    pub fn to(url: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl(url.to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The colons of an address in brackets are not that of a port.
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => (&authority[..at], authority[at + 1..].parse().map_err(|_| invalid())?),
            None => (authority, PORT),
        };
        if host.is_empty() {
            return Err(invalid());
        }
        let path = if path.is_empty() { "/" } else { path };
        let (headers, params) = Default::default();
        Ok(Self { host: host.to_owned(), port, path: path.to_owned(), headers, params })
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a parameter, as it is meant: nothing in it is encoded.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Where to connect: the host and the port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Appends the messages of the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        wire::push(out, Code::HostResolve, self.host.as_bytes());
        wire::push(out, Code::Uri, self.path.as_bytes());
        for (name, value) in &self.headers {
            wire::push_pair(out, [Code::HeaderKey, Code::HeaderValue], (name.as_bytes(), value.as_bytes()));
        }
        let mut query = Vec::new();
        for (name, value) in &self.params {
            wire::push_pair(out, [Code::ParamKey, Code::ParamValue], (name.as_bytes(), value.as_bytes()));
            if !query.is_empty() {
                query.push(b';');
            }
            wire::escape(name.as_bytes(), &mut query);
            query.push(b'=');
            wire::escape(value.as_bytes(), &mut query);
        }
        wire::push(out, Code::GetParams, &query);
        wire::push(out, Code::Execute, b"");
    }
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A header of the answer.
    Header(String, Vec<u8>),
    /// Its status; one that is not said is 200.
    Status(u16),
    /// Status 302 with this `Location`.
    Redirect(Vec<u8>),
    /// A piece of its body, or of what is told to listeners.
    Print(Vec<u8>),
    /// A line for a log.
    Log(Vec<u8>),
    /// Nothing more is to be waited for before what was printed is shown.
    Flush,
    /// The front server is to send the body.
    Query,
    /// The end of an answer after which more is printed.
    Listening,
    /// The end of the answer, and of the connection.
    Done,
}

/// Why an answer does not come.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server has refused or failed, in these words.
    #[error("the server says: {0}")]
    Server(String),
    /// Something came that is no answer.
    #[error("message {0} may not come here")]
    Message(u8),
    /// A message is longer than a client takes.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// The connection has failed, or ended too early.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads answers. No socket in it.
#[derive(Debug, Default)]
pub struct Answers {
    messages: Messages,
    code: u8,
    text: Vec<u8>,
    name: Option<String>,
}

impl Answers {
    /// Decodes up to the next thing that is said, and says how many bytes of the input it took; without one that is all of
    /// them.
    ///
    /// # Errors
    /// What is no answer, or one that says it has failed.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Said>), ClientError> {
        let mut at = 0;
        loop {
            let (used, piece) = self.messages.next(&input[at..]);
            let from = at;
            at += used;
            match piece {
                None => return Ok((at, None)),
                Some(Piece::Begin(code, length)) => {
                    if length > MOST_TEXT {
                        return Err(ClientError::TooLong(length));
                    }
                    self.code = code;
                    self.text.clear();
                }
                Some(Piece::Text(range)) => {
                    self.text.extend_from_slice(&input[from + range.start..from + range.end]);
                }
            }
            if self.messages.is_text_over()
                && let Some(said) = self.said()?
            {
                return Ok((at, Some(said)));
            }
        }
    }

    /// What a whole message says.
    fn said(&mut self) -> Result<Option<Said>, ClientError> {
        let invalid = ClientError::Message(self.code);
        let text = std::mem::take(&mut self.text);
        Ok(Some(match Code::of(self.code) {
            Some(Code::HeaderKey) => {
                self.name = Some(String::from_utf8(text).map_err(|_| invalid)?);
                return Ok(None);
            }
            Some(Code::HeaderValue | Code::HeaderAddValue) => {
                Said::Header(self.name.take().ok_or(invalid)?, text)
            }
            Some(Code::ReturnCode) => {
                let status = std::str::from_utf8(&text).ok().and_then(|digits| digits.parse().ok());
                Said::Status(status.ok_or(invalid)?)
            }
            Some(Code::Redirect) => Said::Redirect(text),
            Some(Code::Print) => Said::Print(text),
            Some(Code::Log) => Said::Log(text),
            Some(Code::Flush) => Said::Flush,
            Some(Code::QueryMultipart) => Said::Query,
            Some(Code::Listen) => Said::Listening,
            Some(Code::Execute) => Said::Done,
            Some(Code::Error) => {
                return Err(ClientError::Server(String::from_utf8_lossy(&text).into_owned()));
            }
            _ => return Err(invalid),
        }))
    }
}

/// A whole answer, up to its end or to where the client listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What was printed.
    pub body: Vec<u8>,
    /// Whether the client now listens.
    pub listening: bool,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    answers: Answers,
    buffer: Vec<u8>,
    /// Where in it what was not decoded begins.
    at: usize,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When that fails.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answers: Answers::default(), buffer: Vec::new(), at: 0 })
    }

    /// Sends a request: the first one, or another while the client listens.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&mut self, call: &Call) -> io::Result<()> {
        let mut bytes = Vec::new();
        call.encode(&mut bytes);
        let mut left = &bytes[..];
        while !left.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(left) {
                Ok(length) => left = &left[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the server says next. Giving up the wait loses nothing.
    ///
    /// # Errors
    /// A server that says it has failed, or what is no answer; nothing more may be read then.
    pub async fn next(&mut self) -> Result<Said, ClientError> {
        loop {
            let (used, said) = self.answers.decode(&self.buffer[self.at..])?;
            self.at += used;
            if let Some(said) = said {
                return Ok(said);
            }
            self.stream.readable().await?;
            (self.at, self.buffer) = (0, std::mem::take(&mut self.buffer));
            self.buffer.resize(READ, 0);
            let read = self.stream.try_read(&mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a request, and waits for its answer. What was printed to a client that listens is part of it.
    ///
    /// # Errors
    /// As of [`send`](Self::send) and [`next`](Self::next).
    pub async fn call(&mut self, call: &Call) -> Result<Answer, ClientError> {
        self.send(call).await?;
        let mut answer = Answer { status: 200, ..Answer::default() };
        loop {
            match self.next().await? {
                Said::Header(name, value) => answer.headers.push((name, value)),
                Said::Status(status) => answer.status = status,
                Said::Redirect(location) => {
                    answer.status = 302;
                    answer.headers.push(("Location".to_owned(), location));
                }
                Said::Print(text) => answer.body.extend_from_slice(&text),
                Said::Log(_) | Said::Flush | Said::Query => {}
                said => return Ok(Answer { listening: said == Said::Listening, ..answer }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls() {
        for (url, address, path) in [
            ("http://localhost", "localhost:6667", "/"),
            ("http://localhost:81/a/b?c", "localhost:81", "/a/b?c"),
            ("http://[::1]/x", "[::1]:6667", "/x"),
            ("http://[::1]:7/x:1", "[::1]:7", "/x:1"),
        ] {
            let call = Call::to(url).unwrap();
            assert_eq!((call.address(), &*call.path), (address.to_owned(), path));
        }
        for url in ["https://a/", "a", "http://", "http://a:b/", "http://a:70000/"] {
            assert_eq!(Call::to(url), Err(InvalidUrl(url.to_owned())));
        }
    }

    #[test]
    fn an_answer_is_read_in_every_cut() {
        let bytes = b"\x06\x0c\0\0Content-Type\x07\x0a\0\0text/plain\x13\x03\0\x00404\x0f\x02\0\0ab\x11\0\0\0\x0d\0\0\0";
        let expected = [
            Said::Header("Content-Type".into(), b"text/plain".to_vec()),
            Said::Status(404),
            Said::Print(b"ab".to_vec()),
            Said::Flush,
            Said::Done,
        ];
        for step in 1..=bytes.len() {
            let (mut answers, mut said) = (Answers::default(), Vec::new());
            for piece in bytes.chunks(step) {
                let mut at = 0;
                while at < piece.len() {
                    let (used, one) = answers.decode(&piece[at..]).unwrap();
                    said.extend(one);
                    at += used;
                }
            }
            assert_eq!(said, expected, "{step}");
        }
    }

    #[test]
    fn the_answer_of_a_full_server_is_one() {
        let (mut answers, mut at, mut said) = (Answers::default(), 0, Vec::new());
        while at < super::super::BUSY.len() {
            let (used, one) = answers.decode(&super::super::BUSY[at..]).unwrap();
            at += used;
            said.extend(one);
        }
        let text = Said::Header("Content-Type".into(), b"text/plain".to_vec());
        let body = Said::Print(b"Service Unavailable".to_vec());
        assert_eq!(said, [text, Said::Status(503), body, Said::Done]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>) {
            let (mut answers, mut at) = (Answers::default(), 0);
            while at < bytes.len() {
                let Ok((used, _)) = answers.decode(&bytes[at..]) else { break };
                at += used;
            }
        }
    }
}
