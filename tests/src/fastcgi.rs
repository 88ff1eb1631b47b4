//! A client of FastCGI that sends what it is told, right or wrong, and reads the records that come back.

use std::io::{self, BufReader, Read};

use cepa_server::fastcgi::{
    push_pair,
    record::{self, Kind},
};

/// A record as it stands.
pub fn record(kind: u8, request: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let mut out = Vec::new();
    record::header(&mut out, Kind::Begin, request, content.len() as u16);
    (out[1], out[6]) = (kind, padding);
    out.extend_from_slice(content);
    out.resize(out.len() + usize::from(padding), b'p');
    out
}

/// `FCGI_BEGIN_REQUEST`.
pub fn begin(request: u16, role: u16, flags: u8) -> Vec<u8> {
    let [high, low] = role.to_be_bytes();
    record(1, request, &[high, low, flags, 0, 0, 0, 0, 0], 0)
}

/// A stream of records of this kind with its end.
pub fn stream(kind: u8, request: u16, content: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = content.chunks(65_535).flat_map(|piece| record(kind, request, piece, 3)).collect();
    out.extend(record(kind, request, b"", 0));
    out
}

/// Variables as the content of `FCGI_PARAMS`.
pub fn pairs(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in variables {
        push_pair(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

/// The variables of a request for this path.
pub fn variables<'a>(method: &'a str, uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", uri),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("HTTP_HOST", "front.test"),
        ("REMOTE_ADDR", "203.0.113.7"),
        ("REMOTE_PORT", "4711"),
    ]
}

/// A whole request without a body, after which the connection is kept.
pub fn get(request: u16, uri: &str) -> Vec<u8> {
    [
        begin(request, record::RESPONDER, record::KEEP_CONN),
        stream(4, request, &pairs(&variables("GET", uri))),
        stream(5, request, b""),
    ]
    .concat()
}

/// A whole request with a body.
pub fn post(request: u16, uri: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut variables = variables("POST", uri);
    variables.push(("CONTENT_LENGTH", &length));
    [
        begin(request, record::RESPONDER, record::KEEP_CONN),
        stream(4, request, &pairs(&variables)),
        stream(5, request, body),
    ]
    .concat()
}

/// What came back for one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the log of the front server gets.
    pub log: String,
    /// The application status and the protocol status.
    pub ended: (u32, u8),
}

/// The next record: kind, request, content.
///
/// # Errors
/// The connection has ended, or failed.
pub fn read_record(reader: &mut impl Read) -> io::Result<(u8, u16, Vec<u8>)> {
    let mut header = [0; 8];
    reader.read_exact(&mut header)?;
    let [version, kind, id1, id0, length1, length0, padding, _] = header;
    assert_eq!(version, 1, "{header:?}");
    let length = usize::from(u16::from_be_bytes([length1, length0]));
    let mut content = vec![0; length + usize::from(padding)];
    reader.read_exact(&mut content)?;
    content.truncate(length);
    Ok((kind, u16::from_be_bytes([id1, id0]), content))
}

impl Answer {
    /// Reads the records of this request up to its end.
    ///
    /// # Errors
    /// The connection ends before, or fails.
    ///
    /// # Panics
    /// On records of other requests, and on an answer that has no head.
    pub fn read(reader: &mut impl Read, request: u16) -> io::Result<Self> {
        let (mut out, mut log) = (Vec::new(), Vec::new());
        loop {
            let (kind, id, content) = read_record(reader)?;
            assert_eq!(id, request, "kind {kind}");
            match kind {
                6 => out.extend_from_slice(&content),
                7 => log.extend_from_slice(&content),
                3 => {
                    let [a, b, c, d, status, ..] = content[..] else { panic!("{content:?}") };
                    let log = String::from_utf8_lossy(&log).into_owned();
                    let ended = (u32::from_be_bytes([a, b, c, d]), status);
                    return Ok(Self { log, ended, ..Self::parse(&out) });
                }
                kind => panic!("a record of kind {kind} in an answer"),
            }
        }
    }

    /// Reads the answer of a CGI program.
    ///
    /// # Panics
    /// On one that has no head.
    pub fn parse(out: &[u8]) -> Self {
        if out.is_empty() {
            return Self::default();
        }
        let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&out[..end]).into_owned();
        let mut answer = Self { status: 200, body: out[end + 4..].to_vec(), ..Self::default() };
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(": ").expect("a field has a name and a value");
            match name {
                "Status" => answer.status = value[..3].parse().expect("a status is a number"),
                name => answer.headers.push((name.to_lowercase(), value.to_owned())),
            }
        }
        answer
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a field; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Sends bytes to a FastCGI server and hands over the connection.
///
/// # Panics
/// When that fails.
pub fn open(to: std::net::SocketAddr, bytes: &[u8]) -> BufReader<std::net::TcpStream> {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(to).expect("the server listens");
    stream.set_read_timeout(Some(crate::wire::PATIENCE)).expect("a socket has a timeout");
    stream.set_nodelay(true).expect("a socket sends at once");
    stream.write_all(bytes).expect("the server takes what is sent");
    BufReader::new(stream)
}
