//! What `dev` says to who has started it.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// Whether colours are welcome.
pub(super) fn has_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a line of its own.
pub(super) fn say(text: &str) {
    let (on, off) = if has_colours() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    pass(format!("{on}dev:{off} {text}\n").as_bytes());
}

/// Passes on what another program has said.
pub(super) fn pass(bytes: &[u8]) {
    // Who does not listen need not be told.
    let _ = io::stderr().lock().write_all(bytes);
}

/// Text without what it does to a terminal (ECMA-48: CSI sequences).
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = sequence.find(|c: char| ('@'..='~').contains(&c)).map_or(sequence.len(), |at| at + 1);
        rest = &sequence[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    #[test]
    fn colours_are_taken_out() {
        for (text, plain) in [
            ("", ""),
            ("plain", "plain"),
            ("\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: no", "error: no"),
            ("cut \u{1b}[38;5", "cut "),
            ("é\u{1b}[", "é"),
        ] {
            assert_eq!(super::plain(text), plain);
        }
    }
}
