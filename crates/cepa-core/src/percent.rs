//! Percent-encoding (RFC 3986, section 2.1), the part that URLs, forms and header parameters share.

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes `byte` as `%XX`.
pub(crate) fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    out.push(HEX[usize::from(byte >> 4)] as char);
    out.push(HEX[usize::from(byte & 15)] as char);
}

/// The byte of the escape `%XX` at the start of `bytes`.
pub(crate) fn escape_at(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else { return None };
    let (high, low) = ((high as char).to_digit(16)?, (low as char).to_digit(16)?);
    Some((high << 4 | low) as u8)
}

/// Appends `text`, percent-encoding every byte that is not ASCII or that `keep` refuses.
pub(crate) fn push(out: &mut String, text: &str, keep: impl Fn(u8) -> bool) {
    out.reserve(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() && keep(byte) {
            out.push(byte as char);
        } else {
            push_escape(out, byte);
        }
    }
}

/// The same as a text of its own; borrows when there is nothing to encode.
pub(crate) fn encode(text: &str, keep: impl Fn(u8) -> bool) -> Cow<'_, str> {
    let stays = |byte: u8| byte.is_ascii() && keep(byte);
    let Some(first) = text.bytes().position(|byte| !stays(byte)) else { return Cow::Borrowed(text) };
    let (plain, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 2 * rest.len().min(32));
    out.push_str(plain);
    push(&mut out, rest, keep);
    Cow::Owned(out)
}

/// Appends `value` as JavaScript's `encodeURIComponent` writes it; `keep_slash` also leaves `/`.
pub fn push_component(out: &mut String, value: &str, keep_slash: bool) {
    push(out, value, |byte| {
        byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) || keep_slash && byte == b'/'
    });
}

/// Decodes the escapes of `text`; what is not an escape stays as it is; borrows when there is none.
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    decode_where(text, false)
}

/// Decodes as [`decode`], and `+` to a space, as in forms.
pub(crate) fn decode_form(text: &str) -> Cow<'_, [u8]> {
    decode_where(text, true)
}

fn decode_where(text: &str, plus_is_space: bool) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    let coded = |byte: u8| byte == b'%' || plus_is_space && byte == b'+';
    let Some(first) = bytes.iter().position(|&byte| coded(byte)) else { return Cow::Borrowed(bytes) };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut at = first;
    while at < bytes.len() {
        let (byte, width) = match bytes[at] {
            b'%' => escape_at(&bytes[at..]).map_or((b'%', 1), |byte| (byte, 3)),
            b'+' if plus_is_space => (b' ', 1),
            byte => (byte, 1),
        };
        out.push(byte);
        at += width;
    }
    Cow::Owned(out)
}

/// Decodes `value` as JavaScript's `decodeURIComponent` does; one with a broken escape, or that would not
/// be UTF-8, comes back unchanged.
pub(crate) fn decode_component(value: &str) -> Cow<'_, str> {
    let Cow::Owned(decoded) = decode(value) else { return Cow::Borrowed(value) };
    let bytes = value.as_bytes();
    let broken = |at: usize| bytes[at] == b'%' && escape_at(&bytes[at..]).is_none();
    match String::from_utf8(decoded) {
        Ok(text) if !(0..bytes.len()).any(broken) => Cow::Owned(text),
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn component(value: &str) -> String {
        let mut out = String::new();
        push_component(&mut out, value, false);
        out
    }

    #[test]
    fn bad_escapes_stay() {
        for (text, bytes) in
            [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%%41", "%A"), ("a%2", "a%2"), ("%é", "%é")]
        {
            assert_eq!(&*decode(text), bytes.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_plus_is_a_space_in_forms_alone() {
        assert_eq!(&*decode("a+b%2B"), b"a+b+");
        assert_eq!(&*decode_form("a+b%2B"), b"a b+");
    }

    #[test]
    fn a_component_keeps_what_encode_uri_component_keeps() {
        assert_eq!(component("azAZ09-_.!~*'()"), "azAZ09-_.!~*'()");
        assert_eq!(component("a b/c?d#e%é+&=\\"), "a%20b%2Fc%3Fd%23e%25%C3%A9%2B%26%3D%5C");
        let mut out = String::new();
        push_component(&mut out, "a b/c", true);
        assert_eq!(out, "a%20b/c");
    }

    #[test]
    fn a_component_that_cannot_be_decoded_stays() {
        for (raw, decoded) in [
            ("plain", "plain"),
            ("a%2Fb", "a/b"),
            ("caf%c3%A9", "café"),
            ("%E0%A4", "%E0%A4"),
            ("a%20b%", "a%20b%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("%25zz", "%zz"),
            ("é%20", "é "),
            ("", ""),
        ] {
            assert_eq!(decode_component(raw), decoded, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let encoded = encode(&text, |byte| byte.is_ascii_alphanumeric());
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(&*decode(&encoded), text.as_bytes());
            let encoded = component(&text);
            prop_assert_eq!(decode_component(&encoded), text);
        }

        #[test]
        fn decoding_never_panics(value in "[%+0-9a-fA-Fé/ ]{0,12}") {
            let _ = (decode(&value), decode_form(&value), decode_component(&value));
        }
    }
}
