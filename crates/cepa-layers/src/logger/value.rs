//! The values of a line, written so that none of them ends the line or its field.

use std::{cell::RefCell, fmt::Write, net::IpAddr, time::SystemTime};

use cepa_core::{date, forwarded::Node};

use super::format::Style;

pub(super) fn write_client(out: &mut String, style: Style, client: Node<'_>) {
    match client {
        Node::Named(name) => write_bytes(out, style, Some(name.as_bytes())),
        Node::Unknown => write_bytes(out, style, None),
        Node::Ip(ip) => {
            let quote = if style == Style::Json { "\"" } else { "" };
            out.push_str(quote);
            write_ip(out, ip);
            out.push_str(quote);
        }
    }
}

fn write_ip(out: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "." });
                write_number(out, octet.into());
            }
        }
        IpAddr::V6(ip) => put(out, format_args!("{ip}")),
    }
}

/// A text, or what stands for one that is missing.
pub(super) fn write_bytes(out: &mut String, style: Style, text: Option<&[u8]>) {
    match (text, style) {
        (None, Style::Json) => out.push_str("null"),
        (None, _) => out.push('-'),
        (Some(text), Style::Json) => {
            out.push('"');
            write_json(out, text);
            out.push('"');
        }
        (Some(text), _) => write_escaped(out, text),
    }
}

/// A URL, without the values of parameters that are to stay hidden.
pub(super) fn write_url(out: &mut String, url: &str, hidden: &[String], style: Style) {
    let write = if style == Style::Json { write_json } else { write_escaped };
    let quote = if style == Style::Json { "\"" } else { "" };
    out.push_str(quote);
    match url.split_once('?') {
        None => write(out, url.as_bytes()),
        Some((path, query)) => {
            write(out, path.as_bytes());
            for (at, pair) in query.split('&').enumerate() {
                out.push(if at == 0 { '?' } else { '&' });
                match pair.split_once('=') {
                    Some((name, _)) if hidden.iter().any(|hidden| hidden.eq_ignore_ascii_case(name)) => {
                        write(out, name.as_bytes());
                        out.push_str("=***");
                    }
                    _ => write(out, pair.as_bytes()),
                }
            }
        }
    }
    out.push_str(quote);
}

/// Bytes as plain ASCII that ends neither a line nor what is quoted.
pub(super) fn write_escaped(out: &mut String, text: &[u8]) {
    write_plain_or(out, text, |out, byte| put(out, format_args!("\\x{byte:02X}")));
}

/// Bytes inside of a string of JSON. What is not ASCII is taken as the bytes it is, since it may not be UTF-8.
fn write_json(out: &mut String, text: &[u8]) {
    write_plain_or(out, text, |out, byte| match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0..0x80 => put(out, format_args!("\\u{byte:04x}")),
        _ => put(out, format_args!("\\\\x{byte:02X}")),
    });
}

fn write_plain_or(out: &mut String, text: &[u8], other: impl Fn(&mut String, u8)) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    for chunk in text.chunk_by(|a, b| is_plain(*a) == is_plain(*b)) {
        match std::str::from_utf8(chunk) {
            Ok(plain) if is_plain(chunk[0]) => out.push_str(plain),
            _ => chunk.iter().for_each(|byte| other(out, *byte)),
        }
    }
}

pub(super) fn write_number(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits[at..].iter().for_each(|digit| out.push(char::from(*digit)));
}

/// Now, as the common log format has it. It is made once a second.
pub(super) fn write_date(out: &mut String) {
    thread_local! {
        static NOW: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    NOW.with_borrow_mut(|(made, text)| {
        if *made != second || text.is_empty() {
            // `Sun, 06 Nov 1994 08:49:37 GMT`, of which each part has its place (RFC 9110, section 5.6.7).
            let fixed = date::format(now).unwrap_or_default();
            let part = |from, to| fixed.get(from..to).unwrap_or("-");
            *text = format!("{}/{}/{}:{} +0000", part(5, 7), part(8, 11), part(12, 16), part(17, 25));
            *made = second;
        }
        out.push_str(text);
    });
}

pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_that_are_to_stay_hidden() {
        let hidden = ["token".to_owned()];
        for (url, expected) in [
            ("/a?token=x&b=1", "/a?token=***&b=1"),
            ("/a?b=1&TOKEN=x=y", "/a?b=1&TOKEN=***"),
            ("/a?tokens=x", "/a?tokens=x"),
            ("/token=x", "/token=x"),
            ("/a?", "/a?"),
        ] {
            let mut out = String::new();
            write_url(&mut out, url, &hidden, Style::Text);
            assert_eq!(out, expected);
        }
    }

    proptest! {
        #[test]
        fn numbers(number in any::<u64>()) {
            let mut out = String::new();
            write_number(&mut out, number);
            prop_assert_eq!(out, number.to_string());
        }

        #[test]
        fn nothing_breaks_out(text in any::<Vec<u8>>()) {
            let mut line = String::new();
            write_escaped(&mut line, &text);
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"'), "{}", line);

            let mut json = String::new();
            write_bytes(&mut json, Style::Json, Some(&text));
            prop_assert!(json.is_ascii());
            let read: String = serde_json::from_str(&json).unwrap();
            if text.is_ascii() {
                prop_assert_eq!(read.as_bytes(), &text[..]);
            }
        }
    }
}
