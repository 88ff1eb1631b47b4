//! The head of a response as CGI has it (RFC 3875, section 6): `Status:`, the fields, an empty line.

use http::{HeaderMap, HeaderValue, StatusCode};

/// The head of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The text after the status; `None`, or one with control characters in it, is the usual text.
    pub reason: Option<&'a str>,
    /// The fields of the app, if it has any.
    pub headers: Option<&'a HeaderMap>,
    /// The type of the body, where `headers` does not say it.
    pub content_type: Option<&'a HeaderValue>,
    /// Bytes of the body, where that is known.
    pub length: Option<u64>,
    /// The `Server` field to send if the app has set none.
    pub server: Option<&'a HeaderValue>,
}

impl ResponseHead<'_> {
    /// Appends the head with its empty line.
    ///
    /// What the app says of the connection is left out, and its `Content-Length`: that is written from `length`. So is
    /// a field named `Status`, which the server in front would take for the status. There is no `Date`: that server
    /// has one of its own.
    ///
    /// ```
    /// use cepa_server::cgi::ResponseHead;
    ///
    /// let mut out = Vec::new();
    /// let (status, length) = (http::StatusCode::OK, Some(5));
    /// ResponseHead { status, reason: None, headers: None, content_type: None, length, server: None }.encode(&mut out);
    /// assert_eq!(out, b"Status: 200 OK\r\ncontent-length: 5\r\n\r\n");
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(256);
        match (self.status, self.reason) {
            (StatusCode::OK, None) => out.extend_from_slice(b"Status: 200 OK\r\n"),
            (status, reason) => {
                let clean =
                    |text: &&str| !text.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f);
                let reason = reason.filter(clean).or(status.canonical_reason()).unwrap_or("Unknown");
                for part in ["Status: ", status.as_str(), " ", reason, "\r\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
        }
        if let Some(length) = self.length {
            field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        if let Some(kind) = self.content_type {
            field(out, "content-type", kind.as_bytes());
        }
        let mut server = self.server;
        for (name, value) in self.headers.into_iter().flatten() {
            let name = name.as_str();
            if !is_left_out(name) {
                if name == "server" {
                    server = None;
                }
                field(out, name, value.as_bytes());
            }
        }
        if let Some(server) = server {
            field(out, "server", server.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

pub(crate) fn is_left_out(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "status"
            | "transfer-encoding"
            | "trailer"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(status: u16, reason: Option<&str>, fields: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let (server, mut out) = (HeaderValue::from_static("ours"), Vec::new());
        let (headers, server) = (Some(&headers), Some(&server));
        ResponseHead { status, reason, headers, content_type: None, length: None, server }.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads() {
        for (status, reason, fields, expected) in [
            (404, None, &[][..], "Status: 404 Not Found\r\nserver: ours\r\n\r\n"),
            (299, None, &[("server", "x")], "Status: 299 Unknown\r\nserver: x\r\n\r\n"),
            (200, Some("Fine"), &[], "Status: 200 Fine\r\nserver: ours\r\n\r\n"),
            (200, Some("a\r\nb: c"), &[], "Status: 200 OK\r\nserver: ours\r\n\r\n"),
            (
                302,
                None,
                &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("location", "/x"), ("server", "x")],
                "Status: 302 Found\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nlocation: /x\r\nserver: x\r\n\r\n",
            ),
            (
                200,
                None,
                &[
                    ("status", "500"),
                    ("connection", "close"),
                    ("content-length", "9"),
                    ("transfer-encoding", "chunked"),
                ],
                "Status: 200 OK\r\nserver: ours\r\n\r\n",
            ),
        ] {
            assert_eq!(encoded(status, reason, fields), expected);
        }
    }
}
