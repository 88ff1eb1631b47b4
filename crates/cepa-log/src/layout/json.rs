//! The layout `json`: an object to the line.

use crate::record::{Field, Record, Value};

/// Keys that every line has; a field of such a name gets a `_` in front.
const OWN: [&str; 5] = ["timestamp", "level", "message", "target", "spans"];

/// Writes a line without its end.
pub(super) fn write(record: &Record<'_>, out: &mut String) {
    out.push_str("{\"timestamp\":\"");
    super::text::timestamp(record, out);
    out.push_str("\",\"level\":\"");
    out.push_str(record.level.name());
    out.push_str("\",\"message\":");
    string(out, record.message);
    for field in record.fields {
        out.push(',');
        member(record, field, out);
    }
    out.push_str(",\"target\":");
    string(out, record.category);
    if !record.spans.is_empty() {
        out.push_str(",\"spans\":[");
        for (at, span) in record.spans.iter().rev().enumerate() {
            out.push_str(if at > 0 { ",{\"name\":" } else { "{\"name\":" });
            string(out, span.name);
            for field in record.fields_of(span).iter().filter(|field| field.name != "name") {
                out.push(',');
                member(record, field, out);
            }
            out.push('}');
        }
        out.push(']');
    }
    out.push('}');
}

fn member(record: &Record<'_>, field: &Field, out: &mut String) {
    let start = out.len();
    string(out, field.name);
    if OWN.contains(&field.name) {
        // Behind the quotation mark.
        out.insert(start + 1, '_');
    }
    out.push(':');
    match &field.value {
        // JSON knows no infinity.
        Value::Float(number) if !number.is_finite() => out.push_str("null"),
        Value::Quoted(range) | Value::Written(range) => string(out, record.text_of(range)),
        value => record.write_plain(out, value),
    }
}

/// Writes a string of JSON; besides what must be, all other control characters are escaped in it.
fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) =
        rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f | 0xc2))
    {
        out.push_str(&rest[..at]);
        let Some(char) = rest[at..].chars().next() else { break };
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => {
                out.push_str("\\u00");
                for digit in [u32::from(char) >> 4, u32::from(char) & 15] {
                    out.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
            char => out.push(char),
        }
        rest = &rest[at + char.len_utf8()..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_read_as_it_was_written(text in ".*|[\\x00-\\u{a0}\"\\\\]*") {
            let mut out = String::new();
            string(&mut out, &text);
            prop_assert!(!out.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
