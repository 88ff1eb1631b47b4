//! The head of an answer (RFC 3875, section 6): fields, one of which may be `Status`, and an empty line.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Failure;

/// The most bytes of a head.
const MOST_BYTES: usize = 64 * 1024;
/// The most fields.
const MOST_FIELDS: usize = 200;

/// What an answer begins with.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Whether the answer is that to a request for this path, which is to be made in its place.
    pub(crate) local: Option<String>,
}

/// Reads the head at the start of `answer`, and says how long it is; `None` while there is none.
///
/// Lines end in LF or CRLF. One that begins as HTTP does (`HTTP/1.1 200 OK`), as programs write it that talk to the client
/// by themselves ("nph"), is the status.
pub(crate) fn read(answer: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let (mut at, mut fields) = (0, 0);
    let (mut status, mut headers) = (None, HeaderMap::new());
    let whole = answer.len() <= MOST_BYTES;
    loop {
        let Some(end) = answer[at..].iter().position(|&byte| byte == b'\n') else {
            return if whole { Ok(None) } else { Err(Failure::Answer("its head is too long")) };
        };
        let line = &answer[at..at + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let first = at == 0;
        at += end + 1;
        if at > MOST_BYTES {
            return Err(Failure::Answer("its head is too long"));
        }
        if line.is_empty() {
            break;
        }
        if first && line.starts_with(b"HTTP/") {
            let text = line.splitn(2, |&byte| byte == b' ').nth(1).unwrap_or_default();
            status = Some(number(text)?);
            continue;
        }
        fields += 1;
        let colon = line.iter().position(|&byte| byte == b':').filter(|_| fields <= MOST_FIELDS);
        let colon = colon.ok_or(Failure::Answer("its head is malformed"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            status = Some(number(value)?);
            continue;
        }
        let name =
            HeaderName::from_bytes(name).map_err(|_| Failure::Answer("the name of a field is malformed"))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| Failure::Answer("the value of a field is malformed"))?;
        headers.append(name, value);
    }
    if status.is_none() && headers.is_empty() {
        return Err(Failure::Answer("its head has no fields"));
    }
    let location = headers.get(http::header::LOCATION).filter(|_| status.is_none());
    let location = location.and_then(|location| location.to_str().ok());
    let is_local = |location: &&str| {
        location.starts_with('/')
            && !location.starts_with("//")
            && location.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let local = location.filter(is_local);
    let local = local.map(str::to_owned);
    let status = status.unwrap_or(if location.is_some() { StatusCode::FOUND } else { StatusCode::OK });
    if status.is_informational() {
        return Err(Failure::Answer("its status is informational"));
    }
    remove_framing(&mut headers);
    Ok(Some((Head { status, headers, local }, at)))
}

/// How far the search for the end of a head has come, so that one that trickles in costs linear time.
#[derive(Debug, Default)]
pub(crate) struct Search(usize);

impl Search {
    /// [`read`], once there is an empty line.
    pub(crate) fn read(&mut self, answer: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
        let from = self.0.saturating_sub(2);
        self.0 = answer.len();
        let new = &answer[from..];
        let ends = |at: usize| matches!(new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]);
        let at_once = from == 0 && matches!(answer, [b'\n', ..] | [b'\r', b'\n', ..]);
        let mut lines = new.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        if at_once || lines.any(ends) || answer.len() > MOST_BYTES { read(answer) } else { Ok(None) }
    }
}

/// The number at the start of a status.
fn number(text: &[u8]) -> Result<StatusCode, Failure> {
    let malformed = Failure::Answer("its status is no number");
    match text {
        [digits @ .., b' '] | digits if digits.len() == 3 => {
            StatusCode::from_bytes(digits).map_err(|_| malformed)
        }
        [a, b, c, b' ', ..] => StatusCode::from_bytes(&[*a, *b, *c]).map_err(|_| malformed),
        _ => Err(malformed),
    }
}

/// Removes what speaks of a connection, which is that of the door.
fn remove_framing(headers: &mut HeaderMap) {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer"] {
        headers.remove(name);
    }
    // Two lengths are one too many: the door says how long it is.
    if headers.get_all(http::header::CONTENT_LENGTH).iter().count() > 1 {
        headers.remove(http::header::CONTENT_LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_of_programs() {
        for (text, status, fields, local, length) in [
            ("Location: /a b\n\n", 302, 1, None, 16),
            ("Content-Type: text/plain\n\nbody", 200, 1, None, 26),
            ("Status: 404 Not Found\r\nX: 1\r\nX: 2\r\n\r\n", 404, 2, None, 37),
            ("status:404\n\n", 404, 0, None, 12),
            ("HTTP/1.1 201 Created\r\nX: 1\r\n\r\n", 201, 1, None, 30),
            ("HTTP/1.0 204\n\n", 204, 0, None, 14),
            ("Location: http://a.test/\n\n", 302, 1, None, 26),
            ("Location: /local?x\n\n", 302, 1, Some("/local?x"), 20),
            ("Location: //evil.test/\n\n", 302, 1, None, 24),
            ("Status: 303 See\nLocation: /x\n\n", 303, 1, None, 30),
            ("X: 1\nConnection: close\nTransfer-Encoding: chunked\n\n", 200, 1, None, 51),
            ("X: 1\nContent-Length: 1\nContent-Length: 2\n\n", 200, 1, None, 42),
        ] {
            let (head, used) = read(text.as_bytes()).unwrap().unwrap();
            let found = (head.status.as_u16(), head.headers.len(), head.local.as_deref(), used);
            assert_eq!(found, (status, fields, local, length), "{text}");
        }
        for text in ["", "X: 1", "X: 1\n", "Status: 200 OK\r\n\r"] {
            assert_eq!(read(text.as_bytes()).unwrap(), None, "{text}");
        }
        for text in [
            "\n",
            "no colon\n\n",
            "X\0: 1\n\n",
            "X: \0\n\n",
            ": 1\n\n",
            "Status: fine\n\n",
            "Status: 2000\n\n",
            "Status: 101 Switch\n\n",
            "Status: 99\n\n",
            "HTTP/1.1 abc\n\n",
            " X: 1\n\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(read(&vec![b'x'; MOST_BYTES + 1]).is_err());
        assert!(read("a: 1\n".repeat(MOST_FIELDS + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_none(text: Vec<u8>, lines in "((Status: [0-9]{3}|[A-Za-z]{1,3}: ?\\PC{0,4}|HTTP/1.1 200)\r?\n){0,4}\r?\n?") {
            for bytes in [&text[..], lines.as_bytes()] {
                if let Ok(Some((head, used))) = read(bytes) {
                    prop_assert!(used <= bytes.len() && !head.status.is_informational());
                }
                let (mut search, mut found) = (Search::default(), Ok(None));
                for end in 0..=bytes.len() {
                    found = search.read(&bytes[..end]);
                    if !matches!(found, Ok(None)) {
                        break;
                    }
                }
                let whole = read(bytes);
                // A line that is broken shows only once the head is whole.
                prop_assert!(whole.is_err() || found.as_ref().ok() == whole.as_ref().ok(), "{found:?} {whole:?}");
            }
        }
    }
}
