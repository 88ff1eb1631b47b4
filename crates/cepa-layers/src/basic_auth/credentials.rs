//! A name and password, as the Basic scheme has them (RFC 7617, section 2).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

/// A name and password.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: String,
}

/// Why a header of the Basic scheme is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Bytes of the longest header that is read.
const LONGEST: usize = 1024;

impl Credentials {
    /// Reads `Authorization`; `None` when its scheme is another.
    pub(super) fn parse(header: &[u8]) -> Result<Option<Self>, Malformed> {
        let scheme = header.split_at_checked(5).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic"));
        let Some((_, rest)) = scheme.filter(|(_, rest)| rest.first().is_none_or(|byte| *byte == b' ')) else {
            return Ok(None);
        };
        if rest.len() > LONGEST {
            return Err(Malformed("name and password are too long"));
        }
        let bytes = STANDARD.decode(rest.trim_ascii()).map_err(|_| Malformed("Basic wants base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| Malformed("name and password are not UTF-8"))?;
        if text.contains(|c: char| c.is_control()) {
            return Err(Malformed("name or password has control characters"));
        }
        let (name, password) = text.split_once(':').ok_or(Malformed("there is no password"))?;
        Ok(Some(Self { name: name.to_owned(), password: password.to_owned() }))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn reads_and_refuses() {
        let known = |name: &str, password: &str| {
            Ok(Some(Credentials { name: name.to_owned(), password: password.to_owned() }))
        };
        assert_eq!(Credentials::parse(encoded("ada:a:b").as_bytes()), known("ada", "a:b"));
        assert_eq!(Credentials::parse(b"bAsIc  OmE= "), known("", "a"));
        assert_eq!(Credentials::parse(encoded("é:ü").as_bytes()), known("é", "ü"));
        for other in ["Bearer abc", "Basically abc", "", "Digest username=\"a\""] {
            assert_eq!(Credentials::parse(other.as_bytes()), Ok(None), "{other}");
        }
        let long = encoded(&"a".repeat(2000));
        for bad in
            ["Basic", "Basic !", "Basic YWRh", "Basic YTpi YTpi", "Basic /w==", "Basic YTpi\nYTpi", &long]
        {
            assert!(Credentials::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Credentials::parse(encoded("a\0b:c").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(header in any::<Vec<u8>>(), tail in any::<Vec<u8>>()) {
            let _ = Credentials::parse(&header);
            let _ = Credentials::parse(&[b"Basic ", &tail[..]].concat());
        }

        #[test]
        fn reads_back(name in "[^:\\p{Cc}]{0,20}", password in "[^\\p{Cc}]{0,20}") {
            let read = Credentials::parse(encoded(&format!("{name}:{password}")).as_bytes());
            prop_assert_eq!(read, Ok(Some(Credentials { name, password })));
        }
    }
}
