//! Percent-encoding for paths and queries: which bytes stay, and how the others are written.

use std::borrow::Cow;

/// Appends one character of a pattern's literal as a client would send it in a path: the path
/// percent-encode set (WHATWG URL, 1.3) is encoded, `%` itself is left.
pub(super) fn encode_path_literal(out: &mut String, sign: char) {
    match sign {
        '\0'..=' ' | '"' | '<' | '>' | '^' | '`' | '{' | '}' | '\x7f'.. => {
            for byte in sign.encode_utf8(&mut [0; 4]).bytes() {
                push_escape(out, byte);
            }
        }
        _ => out.push(sign),
    }
}

/// Appends `value` as JavaScript's `encodeURIComponent` writes it; `keep_slash` also leaves `/`.
pub(crate) fn encode_component(out: &mut String, value: &str, keep_slash: bool) {
    encode(out, value, |byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
        plain || keep_slash && byte == b'/'
    });
}

/// Appends `value` as application/x-www-form-urlencoded (WHATWG URL, 5.2): a space becomes `+`.
pub(super) fn encode_form(out: &mut String, value: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    let mut words = value.split(' ');
    encode(out, words.next().unwrap_or_default(), plain);
    for word in words {
        out.push('+');
        encode(out, word, plain);
    }
}

fn encode(out: &mut String, value: &str, plain: impl Fn(u8) -> bool) {
    out.reserve(value.len());
    for byte in value.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            push_escape(out, byte);
        }
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Decodes percent-escapes as JavaScript's `decodeURIComponent` does; a value with a broken escape,
/// or that would not be UTF-8, comes back unchanged.
pub(super) fn decode(value: &str) -> Cow<'_, str> {
    let Some(first) = value.bytes().position(|byte| byte == b'%') else { return Cow::Borrowed(value) };
    let mut decoded = Vec::with_capacity(value.len());
    decoded.extend_from_slice(&value.as_bytes()[..first]);
    let mut rest = &value.as_bytes()[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else { return Cow::Borrowed(value) };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Cow::Borrowed(value) };
        decoded.push(high << 4 | low);
        rest = tail;
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(value), Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether clients resolve this segment away before they send a path (WHATWG URL, 4.4).
pub(super) fn is_dot_segment(segment: &str) -> bool {
    [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"].iter().any(|dots| segment.eq_ignore_ascii_case(dots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(value: &str) -> String {
        let mut out = String::new();
        encode_component(&mut out, value, false);
        out
    }

    #[test]
    fn a_component_keeps_what_encode_uri_component_keeps() {
        assert_eq!(component("azAZ09-_.!~*'()"), "azAZ09-_.!~*'()");
        assert_eq!(component("a b/c?d#e%é+&=\\"), "a%20b%2Fc%3Fd%23e%25%C3%A9%2B%26%3D%5C");
        let mut out = String::new();
        encode_component(&mut out, "a b/c", true);
        assert_eq!(out, "a%20b/c");
    }

    #[test]
    fn a_form_value_writes_spaces_as_plus() {
        let mut out = String::new();
        encode_form(&mut out, " x y+~é ");
        assert_eq!(out, "+x+y%2B%7E%C3%A9+");
    }

    #[test]
    fn what_cannot_be_decoded_stays() {
        for (raw, decoded) in [
            ("plain", "plain"),
            ("a%2Fb", "a/b"),
            ("caf%c3%A9", "café"),
            ("%E0%A4", "%E0%A4"),
            ("a%20b%", "a%20b%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("é%20", "é "),
            ("", ""),
        ] {
            assert_eq!(decode(raw), decoded, "{raw}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(value: String) {
            let encoded = component(&value);
            proptest::prop_assert_eq!(decode(&encoded), value);
        }

        #[test]
        fn decoding_never_panics(value in "[%0-9a-fA-Fé/ ]{0,12}") {
            decode(&value);
        }
    }
}
