//! The lexical pieces header fields share: tokens, quoted strings and lists (RFC 9110, section 5.6).

use std::borrow::Cow;

/// Whether `byte` may stand in a token (RFC 9110, section 5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}

/// Whether `text` is a token: one or more token bytes.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// `text` without the spaces and tabs around it (OWS).
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The parts of `text` between `separator` bytes that stand outside quoted strings, untrimmed.
///
/// A quoted string that is never closed reaches to the end.
pub(crate) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> + Clone {
    debug_assert!(separator.is_ascii());
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        for (at, byte) in text.bytes().enumerate() {
            if escaped {
                escaped = false;
            } else if quoted && byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                quoted = !quoted;
            } else if byte == separator && !quoted {
                rest = Some(&text[at + 1..]);
                return Some(&text[..at]);
            }
        }
        rest = None;
        Some(text)
    })
}

/// The same parts from the right.
///
/// What the left of a list holds, say a quote that is never closed, cannot change how its right is read: the
/// right is what the nearest proxy wrote, the left what anybody may have sent.
pub(crate) fn rsplit(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    debug_assert!(separator.is_ascii());
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let mut quoted = false;
        for (at, &byte) in bytes.iter().enumerate().rev() {
            if byte == b'"' {
                let backslashes = bytes[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                quoted ^= backslashes % 2 == 0;
            } else if byte == separator && !quoted {
                rest = Some(&text[..at]);
                return Some(&text[at + 1..]);
            }
        }
        rest = None;
        Some(text)
    })
}

/// The text of a token or a quoted string; `None` when `value` is neither.
pub(crate) fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix('"') else {
        return is_token(value).then_some(Cow::Borrowed(value));
    };
    let inner = inner.strip_suffix('"')?;
    if !inner.bytes().any(|byte| byte == b'\\' || byte == b'"') {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => text.push(chars.next()?),
            _ => text.push(char),
        }
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_outside_quotes_from_either_side() {
        let text = r#"a, "b,\",c" ,d,"#;
        let parts = ["a", r#" "b,\",c" "#, "d", ""];
        assert!(split(text, b',').eq(parts));
        assert!(rsplit(text, b',').eq(parts.into_iter().rev()));
        assert!(split(r#"a,"b,c"#, b',').eq(["a", r#""b,c"#]));
        assert!(rsplit(r#""a,b"c",d,e"#, b',').take(2).eq(["e", "d"]));
    }

    #[test]
    fn unquotes() {
        assert_eq!(unquote("token").as_deref(), Some("token"));
        assert_eq!(unquote(r#""a b""#).as_deref(), Some("a b"));
        assert_eq!(unquote(r#""a\"b\\""#).as_deref(), Some(r#"a"b\"#));
        for bad in ["", "a b", "\"", "\"a", r#""a"b""#, r#""a\""#, "é"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_splitting(text in r#"[a,"\\é ]{0,40}"#) {
            let forward: Vec<_> = split(&text, b',').collect();
            prop_assert_eq!(forward.join(","), text.as_str());
            let mut backward: Vec<_> = rsplit(&text, b',').collect();
            backward.reverse();
            prop_assert_eq!(backward.join(","), text.as_str());
            let _ = unquote(&text);
        }
    }
}
