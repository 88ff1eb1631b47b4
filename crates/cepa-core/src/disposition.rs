//! The `Content-Disposition` field: what a browser should call a download (RFC 6266).

use crate::{grammar, percent};

/// How a body is offered: as a download or inline, and under which name.
///
/// Only the last component of a path is used. A name of plain ASCII goes out as `filename="..."`. Any other goes out
/// as `filename*` in UTF-8 (RFC 8187), next to a fallback for old clients in which each character that is not
/// printable ASCII is a `?`. So does a name that holds `%XX`, which some clients would decode.
///
/// ```
/// use cepa_core::disposition::Disposition;
///
/// assert_eq!(Disposition::attachment("plans.pdf").to_value().unwrap(), r#"attachment; filename="plans.pdf""#);
/// assert_eq!(
///     Disposition::attachment("é.pdf").to_value().unwrap(),
///     r#"attachment; filename="?.pdf"; filename*=UTF-8''%C3%A9.pdf"#,
/// );
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Disposition<'a> {
    /// `attachment`, `inline` or another token.
    pub kind: &'a str,
    /// The name of the file, maybe with a path.
    pub filename: Option<&'a str>,
    /// What clients see that cannot read `filename*`.
    pub fallback: Fallback<'a>,
}

/// The name for clients that cannot read `filename*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback<'a> {
    /// The name with a `?` for each character that is not printable ASCII.
    Generated,
    /// No fallback: a name that needs `filename*` is sent only so.
    Omitted,
    /// This name, in printable ASCII.
    Name(&'a str),
}

/// Why a [`Disposition`] cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDisposition {
    /// The kind is not a token.
    #[error("the disposition type must be a token such as `attachment` or `inline`")]
    Kind,
    /// The given fallback holds a character outside printable ASCII.
    #[error("the fallback file name must be printable ASCII")]
    Fallback,
}

impl<'a> Disposition<'a> {
    /// A download called `filename`.
    pub fn attachment(filename: impl Into<Option<&'a str>>) -> Self {
        Disposition { kind: "attachment", filename: filename.into(), fallback: Fallback::Generated }
    }

    /// The field value, always printable ASCII.
    ///
    /// # Errors
    /// When `kind` is not a token or a given fallback is not printable ASCII.
    pub fn to_value(&self) -> Result<String, InvalidDisposition> {
        if !grammar::is_token(self.kind) {
            return Err(InvalidDisposition::Kind);
        }
        let mut value = self.kind.to_ascii_lowercase();
        let Some(name) = self.filename.map(base_name) else { return Ok(value) };
        let printable = !name.is_empty() && name.bytes().all(is_printable);
        let given = match self.fallback {
            Fallback::Name(fallback) => Some(base_name(fallback)),
            _ => None,
        };
        if given.is_some_and(|fallback| !fallback.bytes().all(is_printable)) {
            return Err(InvalidDisposition::Fallback);
        }
        match given {
            Some(fallback) => push_quoted(&mut value, fallback.chars()),
            None if printable => push_quoted(&mut value, name.chars()),
            None if name.is_empty() || self.fallback == Fallback::Omitted => {}
            None => push_quoted(&mut value, name.chars().map(|char| if is_plain(char) { char } else { '?' })),
        }
        if !printable || given.is_some_and(|fallback| fallback != name) || holds_escape(name) {
            value.push_str("; filename*=UTF-8''");
            value.push_str(&percent::encode(name, |byte| {
                byte.is_ascii_alphanumeric() || b"-_.!~".contains(&byte)
            }));
        }
        Ok(value)
    }
}

fn push_quoted(value: &mut String, name: impl Iterator<Item = char>) {
    value.push_str("; filename=\"");
    for char in name {
        if matches!(char, '"' | '\\') {
            value.push('\\');
        }
        value.push(char);
    }
    value.push('"');
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn is_plain(char: char) -> bool {
    u8::try_from(char).is_ok_and(is_printable)
}

fn holds_escape(name: &str) -> bool {
    name.as_bytes().windows(3).any(|window| percent::escape_at(window).is_some())
}

fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn writes_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            filename: Option<String>,
            result: serde_json::Map<String, Value>,
        }
        for Vector { filename, result } in vectors::load("content_disposition") {
            let found = Disposition::attachment(filename.as_deref()).to_value().unwrap();
            assert_eq!(Some(found.as_str()), result["ok"].as_str(), "{filename:?}");
        }
    }

    #[test]
    fn writes_names_and_fallbacks() {
        let table = [
            (
                "résumé.pdf",
                Fallback::Generated,
                r#"; filename="r?sum?.pdf"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf"#,
            ),
            ("€ rates.pdf", Fallback::Omitted, "; filename*=UTF-8''%E2%82%AC%20rates.pdf"),
            (
                "€.pdf",
                Fallback::Name("/x/euro.pdf"),
                r#"; filename="euro.pdf"; filename*=UTF-8''%E2%82%AC.pdf"#,
            ),
            ("a.txt", Fallback::Name("a.txt"), r#"; filename="a.txt""#),
            ("a.txt", Fallback::Omitted, r#"; filename="a.txt""#),
            ("../../etc/passwd", Fallback::Generated, r#"; filename="passwd""#),
            ("dir/sub/", Fallback::Generated, r#"; filename="sub""#),
            (r"..\x", Fallback::Generated, r#"; filename="..\\x""#),
            ("a\r\nX: y", Fallback::Generated, r#"; filename="a??X: y"; filename*=UTF-8''a%0D%0AX%3A%20y"#),
        ];
        for (name, fallback, expected) in table {
            let value = Disposition { fallback, ..Disposition::attachment(name) }.to_value().unwrap();
            assert_eq!(value.strip_prefix("attachment"), Some(expected), "{name}");
        }
        let inline = Disposition { kind: "Inline", ..Disposition::attachment("a.txt") };
        assert_eq!(inline.to_value().unwrap(), r#"inline; filename="a.txt""#);
        let bad = Disposition { kind: "a b", ..inline };
        assert_eq!(bad.to_value(), Err(InvalidDisposition::Kind));
        let bad = Disposition { fallback: Fallback::Name("é"), ..inline };
        assert_eq!(bad.to_value(), Err(InvalidDisposition::Fallback));
    }

    proptest! {
        #[test]
        fn the_value_is_always_printable(name in any::<String>()) {
            let value = Disposition::attachment(name.as_str()).to_value().unwrap();
            prop_assert!(value.bytes().all(is_printable));
        }
    }
}
