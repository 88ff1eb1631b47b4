//! A blocking HTTP/1.1 client that sends what it is told, right or wrong, and keeps all that comes back.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a read or write may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// A request, sent as it stands: nothing is added, checked or escaped.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// The fields in order; each character is one byte (ISO 8859-1).
    pub headers: Vec<(String, String)>,
    /// What follows the head.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The fields in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// What came after a response that may not have a body, up to the end of the connection.
    pub surplus: Vec<u8>,
    /// The fields after a chunked body in order, their names in lower case.
    pub trailers: Vec<(String, String)>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection failed or was silent for too long.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A character of the head is none of ISO 8859-1.
    #[error("the head of the request holds {0:?}, which is more than one byte")]
    Unsendable(char),
    /// The connection was closed before a whole response came.
    #[error("the connection was closed in the middle of {0}")]
    Cut(&'static str),
    /// The first line is none of HTTP/1.
    #[error("{0:?} is no status line")]
    StatusLine(String),
    /// A length or chunk size is no number.
    #[error("{0:?} is no length")]
    Length(String),
}

impl Request {
    /// Sends the request on a connection of its own and reads the response, passing over `100 Continue`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn send(&self, to: SocketAddr) -> Result<Response, Failure> {
        let mut bytes = self.head()?;
        bytes.extend_from_slice(&self.body);
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&bytes)?;
        let mut reader = BufReader::new(stream);
        loop {
            let response = Response::read(&mut reader, self.method == "HEAD")?;
            if response.status != 100 {
                return Ok(response);
            }
        }
    }

    fn head(&self) -> Result<Vec<u8>, Failure> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.chars().map(|char| u8::try_from(char).map_err(|_| Failure::Unsendable(char))).collect()
    }
}

impl Response {
    /// Reads one response, an informational one too; `head` says whether it answers a `HEAD`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn read(reader: &mut impl BufRead, head: bool) -> Result<Self, Failure> {
        let mut response = read_head(reader)?;
        if response.status >= 200 {
            response.read_body(head, reader)?;
        }
        Ok(response)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The values of a field, in order.
    pub fn all<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a list field has an item, compared without regard to case.
    pub fn lists(&self, name: &str, item: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(item))
    }

    /// Reads the body by the rules of RFC 9112, section 6.3.
    fn read_body(&mut self, head: bool, reader: &mut impl BufRead) -> Result<(), Failure> {
        let length = self.all("content-length").next().map(str::to_owned);
        if head || matches!(self.status, 204 | 304) {
            if self.lists("connection", "close") {
                reader.read_to_end(&mut self.surplus)?;
            }
        } else if self.lists("transfer-encoding", "chunked") {
            (self.body, self.trailers) = read_chunks(reader)?;
        } else if let Some(length) = length {
            let length = length.parse().map_err(|_| Failure::Length(length))?;
            self.body = read_exactly(length, "a body", reader)?;
        } else {
            reader.read_to_end(&mut self.body)?;
        }
        Ok(())
    }
}

fn read_head(reader: &mut impl BufRead) -> Result<Response, Failure> {
    let line = read_line(reader)?.ok_or(Failure::Cut("nothing: no response came"))?;
    let (status, reason) = status_line(&line).ok_or_else(|| Failure::StatusLine(line.clone()))?;
    let reason = reason.to_owned();
    let mut headers = Vec::new();
    read_fields(reader, "a head", &mut headers)?;
    let (body, surplus, trailers) = Default::default();
    Ok(Response { status, reason, headers, body, surplus, trailers })
}

/// Reads fields up to the empty line.
fn read_fields(
    reader: &mut impl BufRead,
    what: &'static str,
    fields: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    loop {
        match read_line(reader)?.ok_or(Failure::Cut(what))?.as_str() {
            "" => return Ok(()),
            line => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
    }
}

fn status_line(line: &str) -> Option<(u16, &str)> {
    let rest = line.strip_prefix("HTTP/1.0 ").or_else(|| line.strip_prefix("HTTP/1.1 "))?;
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    (status.len() == 3).then(|| Some((status.parse().ok()?, reason)))?
}

/// A line without its end, a character for each byte; `None` at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").ok_or(Failure::Cut("a line"))?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Some(line.iter().map(|&byte| char::from(byte)).collect()))
}

/// A body and its trailers.
type Chunked = (Vec<u8>, Vec<(String, String)>);

fn read_chunks(reader: &mut impl BufRead) -> Result<Chunked, Failure> {
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    loop {
        let line = read_line(reader)?.ok_or(Failure::Cut("a chunked body"))?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| Failure::Length(line.clone()))?;
        if size == 0 {
            break;
        }
        body.append(&mut read_exactly(size, "a chunk", reader)?);
        read_line(reader)?.ok_or(Failure::Cut("a chunk"))?;
    }
    read_fields(reader, "the trailers", &mut trailers)?;
    Ok((body, trailers))
}

fn read_exactly(length: u64, what: &'static str, reader: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(Failure::Cut(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str, head: bool) -> Result<Response, Failure> {
        let mut reader = bytes.as_bytes();
        let mut response = read_head(&mut reader)?;
        response.read_body(head, &mut reader)?;
        Ok(response)
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let table = [
            ("content-length: 2\r\n\r\nab", false, "ab", ""),
            ("content-length: 2\r\n\r\nabc", false, "ab", ""),
            (
                "Transfer-Encoding: gzip, Chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\nt: v\r\n\r\nz",
                false,
                "abc",
                "",
            ),
            ("\r\nuntil the end", false, "until the end", ""),
            ("content-length: 2\r\n\r\n", true, "", ""),
            ("content-length: 2\r\nconnection: close\r\n\r\nab", true, "", "ab"),
        ];
        for (rest, head, body, surplus) in table {
            let response = read(&format!("HTTP/1.1 200 OK\r\n{rest}"), head).unwrap();
            assert_eq!(response.body, body.as_bytes(), "{rest}");
            assert_eq!(response.surplus, surplus.as_bytes(), "{rest}");
        }
    }

    #[test]
    fn fields_keep_their_order_and_number() {
        let response = read("HTTP/1.0 404 Not Found\r\nA: 1\r\nb:2 \r\na:3\r\n\r\n", false).unwrap();
        assert_eq!((response.status, response.reason.as_str()), (404, "Not Found"));
        assert_eq!(response.headers.len(), 3);
        assert_eq!(response.all("a").collect::<Vec<_>>(), ["1", "3"]);
    }

    #[test]
    fn what_is_no_response_is_a_failure() {
        for text in ["", "x", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 200 OK\r\na: b"] {
            assert!(read(text, false).is_err(), "{text:?}");
        }
        for rest in [
            "content-length: 3\r\n\r\nab",
            "content-length: x\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n2\r\na",
        ] {
            assert!(read(&format!("HTTP/1.1 200 OK\r\n{rest}"), false).is_err(), "{rest:?}");
        }
    }
}
