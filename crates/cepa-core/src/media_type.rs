//! The `Content-Type` field: its parts (RFC 9110, section 8.3.1) and whether it is one of the asked types.

use std::borrow::Cow;

use crate::{grammar, mime};

/// A parsed `Content-Type`, borrowed from the header.
///
/// ```
/// use cepa_core::media_type::MediaType;
///
/// let parsed = MediaType::parse(r#"multipart/form-data; boundary="a b""#).unwrap();
/// assert_eq!(parsed.essence(), "multipart/form-data");
/// assert_eq!(parsed.parameter("boundary").as_deref(), Some("a b"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'h> {
    essence: &'h str,
    slash: usize,
    parameters: &'h str,
}

impl<'h> MediaType<'h> {
    /// Parses `header`; `None` when the type is malformed (RFC 6838, section 4.2: at most 127 characters on each
    /// side of the slash) or a parameter is neither `token=token` nor `token="quoted"`.
    pub fn parse(header: &'h str) -> Option<Self> {
        let (essence, parameters) = header.split_once(';').unwrap_or((header, ""));
        let essence = grammar::trim(essence);
        let slash = essence.find('/')?;
        let parsed = MediaType { essence, slash, parameters };
        let valid = is_restricted_name(parsed.kind())
            && is_restricted_name(parsed.subtype())
            && parsed.raw_parameters().all(|pair| pair.is_some());
        valid.then_some(parsed)
    }

    /// Type and subtype as they were sent: `text/html`. Compare without case.
    pub fn essence(&self) -> &'h str {
        self.essence
    }

    /// The part before the slash, as it was sent.
    pub fn kind(&self) -> &'h str {
        &self.essence[..self.slash]
    }

    /// The part after the slash, as it was sent.
    pub fn subtype(&self) -> &'h str {
        &self.essence[self.slash + 1..]
    }

    /// Names, as they were sent, and unquoted values of the parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (&'h str, Cow<'h, str>)> {
        self.raw_parameters().flatten()
    }

    /// The value of the first parameter with this name in any case.
    pub fn parameter(&self, name: &str) -> Option<Cow<'h, str>> {
        self.parameters().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn raw_parameters(&self) -> impl Iterator<Item = Option<(&'h str, Cow<'h, str>)>> + use<'h> {
        let parts = grammar::split(self.parameters, b';').map(grammar::trim);
        parts.filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=')?;
            grammar::is_token(name).then_some((name, grammar::unquote(value)?))
        })
    }
}

/// The charset a `Content-Type` names, as it was sent; `None` when there is none or the header is malformed.
pub fn charset(content_type: &str) -> Option<Cow<'_, str>> {
    MediaType::parse(content_type)?.parameter("charset")
}

/// The first of `types` that the type in a `Content-Type` header belongs to.
///
/// Each of `types` is a media type, maybe with wildcards (`text/*`, `application/*+json`), an extension (`json`),
/// `urlencoded`, `multipart` (any of its subtypes) or a suffix (`+json`), all in lower case. The answer is the
/// entry as written, except that one with a `*` or a leading `+` gives the actual type, in lower case. An empty
/// list asks for the actual type. `None` when nothing fits or the header is malformed.
///
/// ```
/// use cepa_core::media_type::type_is;
///
/// assert_eq!(type_is("application/json; charset=utf-8", &["html", "json"]).as_deref(), Some("json"));
/// assert_eq!(type_is("Text/HTML", &["text/*"]).as_deref(), Some("text/html"));
/// assert_eq!(type_is("text/html", &["json"]), None);
/// ```
pub fn type_is<'a>(content_type: &'a str, types: &[&'a str]) -> Option<Cow<'a, str>> {
    let actual = MediaType::parse(content_type)?;
    if types.is_empty() {
        return Some(lower_case(actual.essence));
    }
    let asked = types.iter().find(|asked| belongs(&actual, asked))?;
    let pattern = asked.starts_with('+') || asked.contains('*');
    Some(if pattern { lower_case(actual.essence) } else { Cow::Borrowed(asked) })
}

fn belongs(actual: &MediaType<'_>, asked: &str) -> bool {
    match asked {
        "urlencoded" => is_lower_of("application/x-www-form-urlencoded", actual.essence),
        "multipart" => is_lower_of("multipart", actual.kind()),
        _ if asked.starts_with('+') => has_suffix(actual.subtype(), asked),
        _ => match asked.split_once('/') {
            Some((kind, subtype)) => {
                (kind == "*" || is_lower_of(kind, actual.kind()))
                    && match subtype.strip_prefix('*') {
                        Some("") => true,
                        Some(suffix) if suffix.starts_with('+') => has_suffix(actual.subtype(), suffix),
                        _ => is_lower_of(subtype, actual.subtype()),
                    }
            }
            None => mime::from_extension(asked).is_some_and(|asked| is_lower_of(asked, actual.essence)),
        },
    }
}

/// Whether `asked` is `actual` written in lower case.
fn is_lower_of(asked: &str, actual: &str) -> bool {
    asked.len() == actual.len()
        && asked.bytes().zip(actual.bytes()).all(|(asked, actual)| asked == actual.to_ascii_lowercase())
}

fn has_suffix(subtype: &str, suffix: &str) -> bool {
    let start = subtype.len().checked_sub(suffix.len());
    start.and_then(|start| subtype.get(start..)).is_some_and(|end| is_lower_of(suffix, end))
}

fn lower_case(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// A name as types are registered under (RFC 6838, section 4.2).
fn is_restricted_name(name: &str) -> bool {
    name.len() <= 127
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn matches_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            content_type: String,
            types: Vec<String>,
            result: Value,
        }
        for Vector { content_type, types, result } in vectors::load("type_is") {
            let types: Vec<_> = types.iter().map(String::as_str).collect();
            let found = type_is(&content_type, &types);
            assert_eq!(found.as_deref(), result.as_str(), "{content_type} of {types:?}");
        }
    }

    #[test]
    fn matches_names_and_patterns() {
        let table: [(&str, &[&str], Option<&str>); 8] = [
            ("Application/JSON", &[], Some("application/json")),
            ("multipart/form-data; boundary=x", &["multipart"], Some("multipart")),
            ("application/VND.api+JSON", &["application/*+json"], Some("application/vnd.api+json")),
            ("application/vnd.api+json", &["json"], None),
            ("application/json", &["application/*+json"], None),
            ("text/html", &["text/*html"], None),
            ("text/html", &["*/html"], Some("text/html")),
            ("text/html", &["", "+", "/", "*"], None),
        ];
        for (header, types, expected) in table {
            assert_eq!(type_is(header, types).as_deref(), expected, "{header} of {types:?}");
        }
    }

    #[test]
    fn reads_parameters() {
        let parsed = MediaType::parse(r#"text/x ;; A="1;2" ; charset = utf-8"#);
        assert_eq!(parsed, None, "no space may stand around the equals sign");
        let parsed = MediaType::parse(r#" text/X ;; A="1;\"2" ; Charset=UTF-8 ; "#).unwrap();
        assert_eq!((parsed.kind(), parsed.subtype()), ("text", "X"));
        let found: Vec<_> = parsed.parameters().collect();
        assert_eq!(found, [("A", Cow::Borrowed("1;\"2")), ("Charset", Cow::Borrowed("UTF-8"))]);
        assert_eq!(charset("text/html; charset=\"utf-8\"").as_deref(), Some("utf-8"));
        for bad in ["garbage;;charset=", "text/html; charset", "text/html; charset=", "te xt/html; charset=a"]
        {
            assert_eq!(charset(bad), None, "{bad}");
        }
        assert_eq!(MediaType::parse(&format!("{}/x", "a".repeat(128))), None);
    }

    proptest! {
        #[test]
        fn never_panics(header in r#"[a-z/;= +*"\\é]{0,40}"#, asked in r"[a-z/+*.é]{0,12}") {
            let _ = type_is(&header, &[&asked]);
            let _ = charset(&header);
        }
    }
}
