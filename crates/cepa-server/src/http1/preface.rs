//! Tells the first bytes of an HTTP/2 connection from those of an HTTP/1 one.

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The part of [`PREFACE`] that is an HTTP/1 request line no HTTP/1 server could serve.
const LINE: usize = 16;

/// Whether a connection starts with the HTTP/2 connection preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preface {
    /// It does not: read it as HTTP/1.
    Absent,
    /// So far it does, but the same bytes may still become an HTTP/1 request: wait for more.
    Possible,
    /// It does, at least as far as its first line: hand the connection and these bytes to HTTP/2.
    Present,
}

impl Preface {
    /// Looks at the first bytes of a connection.
    ///
    /// Only the first bytes count: the same bytes later on a connection, or after an empty line, are an
    /// HTTP/1 request with an unsupported version, and [`decode_head`](super::decode_head) refuses them.
    ///
    /// ```
    /// use cepa_server::http1::Preface;
    ///
    /// assert_eq!(Preface::of(b"PRI"), Preface::Possible);
    /// assert_eq!(Preface::of(b"PROPFIND / HTTP/1.1\r\n"), Preface::Absent);
    /// assert_eq!(Preface::of(b"PRI * HTTP/2.0\r\n"), Preface::Present);
    /// ```
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let common = bytes.len().min(PREFACE.len());
        if bytes[..common] != PREFACE[..common] {
            Preface::Absent
        } else if common < LINE {
            Preface::Possible
        } else {
            Preface::Present
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_and_every_deviation() {
        for end in 0..PREFACE.len() {
            let expected = if end < LINE { Preface::Possible } else { Preface::Present };
            assert_eq!(Preface::of(&PREFACE[..end]), expected, "{end}");
            let mut wrong = PREFACE[..=end].to_vec();
            wrong[end] ^= 1;
            assert_eq!(Preface::of(&wrong), Preface::Absent, "{end}");
        }
        assert_eq!(Preface::of(&[PREFACE, &b"\0\0\0\x04"[..]].concat()), Preface::Present);
        assert_eq!(Preface::of(b"PRI * HTTP/2.0\r\nHost: a\r\n"), Preface::Absent);
        assert_eq!(Preface::of(b"\r\nPRI * HTTP/2.0\r\n\r\n"), Preface::Absent);
    }
}
