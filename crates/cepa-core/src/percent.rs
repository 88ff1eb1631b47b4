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

/// Percent-encodes every byte of `text` that is not ASCII or that `keep` refuses; borrows when there is none.
pub(crate) fn encode(text: &str, keep: impl Fn(u8) -> bool) -> Cow<'_, str> {
    let keep = |byte: u8| byte.is_ascii() && keep(byte);
    let Some(first) = text.bytes().position(|byte| !keep(byte)) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 2 * (text.len() - first).min(32));
    out.push_str(&text[..first]);
    for byte in text.bytes().skip(first) {
        if keep(byte) {
            out.push(byte as char);
        } else {
            push_escape(&mut out, byte);
        }
    }
    Cow::Owned(out)
}

/// Decodes the escapes of `text`; what is not an escape stays as it is; borrows when there is none.
pub(crate) fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.iter().position(|&byte| byte == b'%') else { return Cow::Borrowed(bytes) };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut at = first;
    while at < bytes.len() {
        let (byte, width) = escape_at(&bytes[at..]).map_or((bytes[at], 1), |byte| (byte, 3));
        out.push(byte);
        at += width;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_escapes_stay() {
        for (text, bytes) in
            [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%%41", "%A"), ("a%2", "a%2"), ("%é", "%é")]
        {
            assert_eq!(&*decode(text), bytes.as_bytes(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let encoded = encode(&text, |byte| byte.is_ascii_alphanumeric());
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(&*decode(&encoded), text.as_bytes());
        }
    }
}
