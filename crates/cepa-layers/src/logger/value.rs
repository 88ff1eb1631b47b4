//! The values of a line, written so that none of them ends the line or its field.

use std::{cell::RefCell, fmt::Write, net::IpAddr, time::SystemTime};

use cepa_core::{date, form, forwarded::Node};

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

/// A URL, without the values of parameters that are to stay hidden, in its query and in its fragment, where OAuth has some.
/// A `Referer` may be any bytes.
pub(super) fn write_url(out: &mut String, url: &[u8], hidden: &[String], style: Style) {
    let write = if style == Style::Json { write_json } else { write_escaped };
    let quote = if style == Style::Json { "\"" } else { "" };
    out.push_str(quote);
    let (path, mut rest) = split_at(url, b"?#");
    write(out, path);
    while let Some((separator, after)) = rest.split_first() {
        out.push(char::from(*separator));
        let (pair, others) = split_at(after, b"&#");
        let (name, value) = split_at(pair, b"=");
        // A page that keeps its own addresses in the fragment has a query there: `#/done?token=..`.
        let own = name.rsplit(|byte| *byte == b'?').next().unwrap_or(name);
        match value.is_empty() || !is_hidden(own, hidden) {
            true => write(out, pair),
            false => {
                write(out, name);
                out.push_str("=***");
            }
        }
        rest = others;
    }
    out.push_str(quote);
}

/// What is before the first of these bytes, and what begins with it.
fn split_at<'t>(text: &'t [u8], bytes: &[u8]) -> (&'t [u8], &'t [u8]) {
    text.split_at(text.iter().position(|byte| bytes.contains(byte)).unwrap_or(text.len()))
}

/// Whether a name stands for one that is hidden once it is read as a form's: `t%6Fken` is `token`.
fn is_hidden(name: &[u8], hidden: &[String]) -> bool {
    // What is not UTF-8 is none of the names, which are.
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let name = form::decode_component(name);
    hidden.iter().any(|hidden| hidden.eq_ignore_ascii_case(&name))
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
            ("/a?&=&token", "/a?&=&token"),
            ("/a?t%6Fken=x&%54OKEN=y", "/a?t%6Fken=***&%54OKEN=***"),
            ("/a?t%256Fken=x", "/a?t%256Fken=x"),
            ("/a?token=x?y#z", "/a?token=***#z"),
            ("https://b/#a=1&token=x", "https://b/#a=1&token=***"),
            ("/a?b=1#token=x", "/a?b=1#token=***"),
            ("/a#/b?token=x&c=1", "/a#/b?token=***&c=1"),
            ("/a#", "/a#"),
            ("/é?é=1&token=x", "/\\xC3\\xA9?\\xC3\\xA9=1&token=***"),
        ] {
            let mut out = String::new();
            write_url(&mut out, url.as_bytes(), &hidden, Style::Text);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_url_that_is_no_text_hides_them_too() {
        let hidden = ["token".to_owned()];
        for style in [Style::Text, Style::Json] {
            let mut out = String::new();
            write_url(&mut out, b"http://a/\xFF?\xFE=1&token=secret", &hidden, style);
            assert!(out.contains("token=***") && !out.contains("secret"), "{out}");
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
