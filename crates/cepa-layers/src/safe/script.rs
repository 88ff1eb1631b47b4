//! Text and values in a script that stands in a page.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{
    Serializer,
    ser::{CharEscape, Formatter},
};

/// Text for between the quotes of a string in a script: Egg's `sjs`.
///
/// Every ASCII character but letters and digits is written as `\xHH`, tab and line breaks as `\t`, `\n`, `\r`, the line
/// breaks of Unicode as `\u2028` and `\u2029`. It is for `"…"` and `'…'`, not for templates between backticks, where
/// only what the script itself does counts.
pub fn js(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    push(&mut out, text, b"\\").expect("a vector takes what is written to it");
    String::from_utf8(out).expect("between escapes in ASCII stand whole characters of the text")
}

/// A value for a script, its strings and names escaped as by [`js`] *before* they become JSON: Egg's `sjson`.
///
/// The script therefore sees `<` as the four characters `\x3c`, and a page that puts such a string into its markup
/// shows them. Where the script shall have strings as they are, use the filter `tojson`, which is as safe in a page.
///
/// # Errors
/// What does not serialise.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut out = Vec::with_capacity(128);
    value.serialize(&mut Serializer::with_formatter(&mut out, InScript))?;
    Ok(String::from_utf8(out).expect("JSON is text, and escapes are ASCII"))
}

struct InScript;

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        push(writer, fragment, b"\\\\")
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let byte = match escape {
            CharEscape::Quote => b'"',
            CharEscape::ReverseSolidus => b'\\',
            CharEscape::Solidus => b'/',
            CharEscape::Backspace => 8,
            CharEscape::FormFeed => 12,
            CharEscape::LineFeed => b'\n',
            CharEscape::CarriageReturn => b'\r',
            CharEscape::Tab => b'\t',
            CharEscape::AsciiControl(byte) => byte,
        };
        push_ascii(writer, byte, b"\\\\")
    }
}

/// Writes text; `backslash` is what an escape begins with.
fn push<W: ?Sized + Write>(out: &mut W, text: &str, backslash: &[u8]) -> io::Result<()> {
    let mut copied = 0;
    for (at, char) in text.char_indices() {
        let is_line_break = matches!(char, '\u{2028}' | '\u{2029}');
        if !is_line_break && (!char.is_ascii() || char.is_ascii_alphanumeric()) {
            continue;
        }
        out.write_all(&text.as_bytes()[copied..at])?;
        copied = at + char.len_utf8();
        match char {
            '\u{2028}' => out.write_all(b"\\u2028")?,
            '\u{2029}' => out.write_all(b"\\u2029")?,
            char => push_ascii(out, char as u8, backslash)?,
        }
    }
    out.write_all(&text.as_bytes()[copied..])
}

fn push_ascii<W: ?Sized + Write>(out: &mut W, byte: u8, backslash: &[u8]) -> io::Result<()> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.write_all(backslash)?;
    match byte {
        b'\t' => out.write_all(b"t"),
        b'\n' => out.write_all(b"n"),
        b'\r' => out.write_all(b"r"),
        // Always two digits, where Egg has one: a digit that follows would become a part of the escape.
        byte => out.write_all(&[b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn attack_leaving_the_string() {
        assert_eq!(js("\";alert(1)//"), r"\x22\x3balert\x281\x29\x2f\x2f");
        assert_eq!(js("<!--\\\n\r\t\u{2028}\u{2029}"), r"\x3c\x21\x2d\x2d\x5c\n\r\t\u2028\u2029");
        assert_eq!(js("\u{3}c"), r"\x03c", "and not `<`, which \\x3c is");
    }

    #[test]
    fn values_are_json_of_escaped_strings() {
        let value = json!({ "n": 1.5, "a-b": [null, true, "吴\n\"\\\u{1}\u{8}\u{2028}"] });
        let text = json(&value).unwrap();
        assert_eq!(text, r#"{"n":1.5,"a\\x2db":[null,true,"吴\\n\\x22\\x5c\\x01\\x08\u2028"]}"#);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["a\\x2db"][2], "吴\\n\\x22\\x5c\\x01\\x08\u{2028}");
        assert!(json(&std::collections::HashMap::from([(vec![1], 1)])).is_err(), "no name of JSON");
    }

    proptest! {
        #[test]
        fn nothing_leaves_a_string(text in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let escaped = js(&text);
            prop_assert!(escaped.bytes().all(|byte| byte == b'\\' || byte.is_ascii_alphanumeric() || !byte.is_ascii()));
            // The same text comes out of JSON, whose strings know \u00HH where scripts know \xHH.
            let read: String = serde_json::from_str(&format!("\"{}\"", escaped.replace("\\x", "\\u00"))).unwrap();
            prop_assert_eq!(&read, &text);
            let value: Value = serde_json::from_str(&json(&text).unwrap()).unwrap();
            prop_assert_eq!(value.as_str().unwrap().replace(['\u{2028}', '\u{2029}'], ""), js(&text.replace(['\u{2028}', '\u{2029}'], "")));
        }
    }
}
