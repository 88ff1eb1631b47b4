//! What the head of a response ends with unless the app has said it itself: `server`, `date` and the empty line.

use http::HeaderValue;

use super::date::imf_fixdate;

/// The end of the line before, `server: …`, `date: …` and the empty line as one text, written once for many responses.
#[derive(Clone, Debug)]
pub struct Stamp {
    text: Vec<u8>,
    /// Where that of the server ends, if there is one, and the line of the date begins.
    date: usize,
}

const DATE: &[u8] = b"\r\ndate: ";
const END: &[u8] = b"\r\n\r\n";

impl Stamp {
    /// With the name of the server, if it is to be sent, and the time in seconds since 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub fn new(server: Option<&HeaderValue>, seconds: u64) -> Self {
        let mut text = Vec::new();
        if let Some(server) = server {
            text.extend_from_slice(b"\r\nserver: ");
            text.extend_from_slice(server.as_bytes());
        }
        let date = text.len();
        text.extend_from_slice(DATE);
        text.extend_from_slice(&imf_fixdate(seconds));
        text.extend_from_slice(END);
        Self { text, date }
    }

    /// Changes the time.
    pub(crate) fn set_seconds(&mut self, seconds: u64) {
        let end = self.text.len() - END.len();
        self.text[self.date + DATE.len()..end].copy_from_slice(&imf_fixdate(seconds));
    }

    /// Appends the end of a head, without those of its fields that the app has set.
    #[inline]
    pub(super) fn write(&self, has_server: bool, has_date: bool, out: &mut Vec<u8>) {
        if !has_server && !has_date {
            return out.extend_from_slice(&self.text);
        }
        if !has_server {
            out.extend_from_slice(&self.text[..self.date]);
        }
        if has_date {
            out.extend_from_slice(END);
        } else {
            out.extend_from_slice(&self.text[self.date..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_app_has_set_is_left_out() {
        let server = HeaderValue::from_static("cepa");
        for (server, has_server, has_date, expected) in [
            (None, false, false, "\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
            (None, false, true, "\r\n\r\n"),
            (Some(&server), false, false, "\r\nserver: cepa\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
            (Some(&server), true, false, "\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
            (Some(&server), false, true, "\r\nserver: cepa\r\n\r\n"),
            (Some(&server), true, true, "\r\n\r\n"),
        ] {
            let mut stamp = Stamp::new(server, 0);
            stamp.set_seconds(784_111_777);
            let mut out = Vec::new();
            stamp.write(has_server, has_date, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
