//! The text of a target: a slice of what a door has read, and a `str` once somebody asks for one.

use std::cell::OnceCell;

use bytes::Bytes;

/// Text that shares its memory with the head it came in.
///
/// Routing looks at bytes alone, and a slice costs no memory; so a `String` is made for who reads or changes it.
#[derive(Clone, Default)]
pub(super) struct Text {
    /// The bytes as they came; count only while there is no string.
    bytes: Bytes,
    string: OnceCell<String>,
}

impl Text {
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.string.get().map_or(&self.bytes, String::as_bytes)
    }

    /// The text; a door has checked that it is ASCII, and what were not UTF-8 would be replaced.
    pub(super) fn as_str(&self) -> &str {
        self.string.get_or_init(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }

    pub(super) fn to_mut(&mut self) -> &mut String {
        self.as_str();
        self.string.get_mut().expect("the string was made above")
    }
}

impl From<String> for Text {
    fn from(string: String) -> Self {
        Self { bytes: Bytes::new(), string: OnceCell::from(string) }
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, string: OnceCell::new() }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_string_are_one_text() {
        let mut text = Text::from(Bytes::from_static(b"/a"));
        assert!(text == Text::from("/a".to_owned()));
        assert_eq!((text.as_str(), text.as_bytes()), ("/a", &b"/a"[..]));
        text.to_mut().push('b');
        assert_eq!((text.as_str(), text.as_bytes()), ("/ab", &b"/ab"[..]));
        assert_eq!(Text::from(Bytes::from_static(b"\xff")).as_str(), "\u{fffd}");
    }
}
