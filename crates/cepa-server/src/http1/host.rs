//! Checks the host and port of `Host`, of absolute-form and of authority-form.

use std::net::Ipv6Addr;
use std::str::from_utf8;

use super::set::Set;

/// The longest name the DNS can hold (RFC 1035, section 2.3.4).
const LONGEST: usize = 255;

/// Whether the text is a host with an optional port, as `Host` must be (RFC 9110, section 7.2).
///
/// A host is an IPv6 address in brackets, or a name (an IPv4 address is one too) of 1 to 255 letters,
/// digits and `-._~`. This is narrower than the grammar of RFC 3986: percent escapes and delimiters occur in
/// no host on the net, but in attacks on whoever prints, splits or compares the value. The port
/// is a decimal number up to 65535, or empty.
///
/// ```
/// use cepa_server::http1::is_valid_host;
///
/// assert!(is_valid_host(b"example.com:8080") && is_valid_host(b"[::1]"));
/// assert!(!is_valid_host(b"") && !is_valid_host(b"user@example.com") && !is_valid_host(b"a/b"));
/// ```
#[must_use]
#[inline]
pub fn is_valid_host(text: &[u8]) -> bool {
    port_after_host(text).is_some()
}

/// Whether the text is a host with a port, as the target of `CONNECT` must be (RFC 9112, section 3.2.3).
pub(super) fn is_host_with_port(text: &[u8]) -> bool {
    port_after_host(text).is_some_and(|port| !port.is_empty())
}

/// The digits of the port if the whole text is valid; empty if there is none.
#[inline]
fn port_after_host(text: &[u8]) -> Option<&[u8]> {
    let rest = if let [b'[', inner @ ..] = text {
        after_address(inner)?
    } else {
        let end = NAME.run(text);
        if end == 0 || end > LONGEST {
            return None;
        }
        &text[end..]
    };
    match rest {
        [] => Some(rest),
        [b':', port @ ..] => is_port(port).then_some(port),
        _ => None,
    }
}

/// What follows an IPv6 address and its bracket.
#[cold]
fn after_address(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().take(LONGEST).position(|&byte| byte == b']')?;
    from_utf8(&text[..end]).ok()?.parse::<Ipv6Addr>().ok()?;
    Some(&text[end + 1..])
}

/// The bytes of a name.
static NAME: Set = Set::alphanumeric_and(b"-._~");

fn is_port(digits: &[u8]) -> bool {
    let mut port = 0;
    for &byte in digits.iter().take(6) {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return false;
        }
        port = port * 10 + digit;
    }
    digits.len() <= 5 && port <= 65535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let long = "a".repeat(255);
        for good in [
            "a",
            "A-1.b_c~",
            "127.0.0.1",
            "localhost:3000",
            "a:",
            "a:0",
            "a:65535",
            "[::1]",
            "[::1]:80",
            &long,
        ] {
            assert!(is_valid_host(good.as_bytes()), "{good}");
        }
        let too_long = "a".repeat(256);
        for bad in [
            "",
            ":",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
            "a:x",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a:-1",
            "a%41",
            "a\\b",
            "a;b",
            "[",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "[v1.a]",
            "[127.0.0.1]",
            "::1",
            "http://a",
            "\u{e9}",
            "a\t",
            &too_long,
        ] {
            assert!(!is_valid_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn connect_needs_a_port() {
        assert!(is_host_with_port(b"a:443") && is_host_with_port(b"[::1]:443"));
        assert!(!is_host_with_port(b"a") && !is_host_with_port(b"a:") && !is_host_with_port(b"[::1]"));
    }
}
