//! The text of a target: most are short, and lie in place.

/// The longest text that lies in place.
const SHORT: usize = 38;

/// Text that takes no memory of its own while it is short.
#[derive(Clone)]
pub(super) enum Text {
    /// ASCII.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(String),
}

impl Text {
    /// Takes bytes that a door has checked to be ASCII; of others, what is not UTF-8 is replaced.
    #[inline(always)]
    pub(super) fn new(text: &[u8]) -> Self {
        if text.len() <= SHORT {
            let mut bytes = [0; SHORT];
            bytes[..text.len()].copy_from_slice(text);
            // All of them at once, the zeros too.
            if bytes.iter().fold(0, |all, byte| all | byte).is_ascii() {
                return Self::Short { length: text.len() as u8, bytes };
            }
        }
        Self::Long(String::from_utf8_lossy(text).into_owned())
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short { .. } => {
                str::from_utf8(self.as_bytes()).expect("a short text is ASCII: `new` has checked it")
            }
            Self::Long(text) => text,
        }
    }

    /// The text as a string, to change it.
    pub(super) fn to_mut(&mut self) -> &mut String {
        if let Self::Short { .. } = self {
            *self = Self::Long(self.as_str().to_owned());
        }
        match self {
            Self::Long(text) => text,
            Self::Short { .. } => unreachable!("it was made long above"),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Long(text)
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
    fn short_and_long_are_one_text() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 200] {
            let text = "/abc".repeat(50)[..length].to_owned();
            let mut ours = Text::new(text.as_bytes());
            assert!(ours == Text::from(text.clone()));
            assert_eq!((ours.as_str(), ours.as_bytes()), (&*text, text.as_bytes()));
            ours.to_mut().push('b');
            assert_eq!(ours.as_str(), text + "b");
        }
        assert_eq!(Text::new("é".as_bytes()).as_str(), "é");
        assert_eq!(Text::new(b"/\xff").as_str(), "/\u{fffd}");
    }
}
