//! Text of others in a line: nothing in it ends the line, or tells a terminal what to do.

use std::fmt::Write;

/// Writes a text with control characters escaped as Rust does: `\n`, `\u{1b}`. So are the marks that turn the
/// direction of text around, with which a line can look like another.
///
/// A backslash is left alone: paths and patterns stay readable, and no line can be forged with it.
pub(crate) fn escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(suspicious) {
        out.push_str(&rest[..at]);
        // What is suspicious begins a character.
        let Some(char) = rest[at..].chars().next() else { break };
        match char {
            char if char.is_control() || turns(char) => drop(write!(out, "{}", char.escape_default())),
            char => out.push(char),
        }
        rest = &rest[at + char.len_utf8()..];
    }
    out.push_str(rest);
}

/// Whether a byte begins a character that may have to be escaped.
fn suspicious(byte: u8) -> bool {
    // C2 begins the second set of control characters, E2 the marks of direction and the separators of lines.
    byte < b' ' || matches!(byte, 0x7f | 0xc2 | 0xe2)
}

/// Whether a character separates lines, or turns the direction of what follows.
fn turns(char: char) -> bool {
    matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        escaped(&mut out, text);
        out
    }

    #[test]
    fn log_injection() {
        for (text, line) in [
            ("plain, ünïcode £ “quoted” \\n", "plain, ünïcode £ “quoted” \\n"),
            (
                "a\r\n[2026-11-20T07:08:09.042] [INFO] forged",
                "a\\r\\n[2026-11-20T07:08:09.042] [INFO] forged",
            ),
            ("\x1b]0;title\x07\x1b[2J", "\\u{1b}]0;title\\u{7}\\u{1b}[2J"),
            ("\u{9b}31m \u{85} \x7f \0", "\\u{9b}31m \\u{85} \\u{7f} \\u{0}"),
            ("\u{2028}\u{202e}drow\u{2066}", "\\u{2028}\\u{202e}drow\\u{2066}"),
            ("\t", "\\t"),
        ] {
            assert_eq!(shown(text), line);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_one_line(text in ".*|[\\x00-\\u{a0}\\u{2020}-\\u{2070}]*") {
            prop_assert!(!shown(&text).chars().any(|char| char.is_control() || turns(char)));
        }
    }
}
