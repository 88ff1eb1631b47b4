//! The authority of a request: the `Host` field and HTTP/2's `:authority` (RFC 9110, section 7.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::percent;

/// The longest host name taken; DNS ends at 253.
const MAX_NAME: usize = 255;

/// What is wrong with an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// There is no host name.
    #[error("the host is empty")]
    Empty,
    /// The host name is longer than 255 bytes.
    #[error("the host is longer than 255 bytes")]
    TooLong,
    /// A byte that no host name holds, such as a space, `/`, `@` or `,`.
    #[error("the host holds the byte {0:#04x}")]
    Byte(u8),
    /// A `%` that starts no escape.
    #[error("the host holds a malformed percent-escape")]
    Escape,
    /// The text in brackets is not an IPv6 address.
    #[error("the host is not an IPv6 address in brackets")]
    Address,
    /// The port is not a number up to 65535.
    #[error("the port is not a number up to 65535")]
    Port,
}

/// Checks an authority strictly: a registered name, an IPv4 address or an IPv6 address in brackets, then maybe `:`
/// and a port of digits (RFC 3986, section 3.2.2; the port may be empty).
///
/// Of what RFC 3986 allows, user information, commas, zones and future address forms are refused.
///
/// # Errors
/// The first thing found wrong; the request deserves 400.
///
/// ```
/// use cepa_core::host::{InvalidHost, validate};
///
/// assert_eq!(validate(b"example.com:8080"), Ok(()));
/// assert_eq!(validate(b"user@example.com"), Err(InvalidHost::Byte(b'@')));
/// ```
pub fn validate(authority: &[u8]) -> Result<(), InvalidHost> {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']').ok_or(InvalidHost::Address)?;
        let address = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        address.ok_or(InvalidHost::Address)?;
        return match &rest[end + 1..] {
            [] => Ok(()),
            [b':', port @ ..] => validate_port(port),
            [byte, ..] => Err(InvalidHost::Byte(*byte)),
        };
    }
    let colon = authority.iter().position(|&byte| byte == b':');
    let (name, port) = authority.split_at(colon.unwrap_or(authority.len()));
    validate_name(name)?;
    port.split_first().map_or(Ok(()), |(_, port)| validate_port(port))
}

fn validate_name(name: &[u8]) -> Result<(), InvalidHost> {
    if name.is_empty() {
        return Err(InvalidHost::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(InvalidHost::TooLong);
    }
    for (at, &byte) in name.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&'..=b'+' | b';' | b'=' => {}
            b'%' => drop(percent::escape_at(&name[at..]).ok_or(InvalidHost::Escape)?),
            _ => return Err(InvalidHost::Byte(byte)),
        }
    }
    Ok(())
}

fn validate_port(digits: &[u8]) -> Result<(), InvalidHost> {
    let value = digits.iter().try_fold(0u32, |value, &digit| {
        let value = digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))?;
        (value <= u32::from(u16::MAX)).then_some(value)
    });
    value.map(drop).ok_or(InvalidHost::Port)
}

/// The host name of an authority: without the port, an IPv6 address with its brackets; empty when malformed.
///
/// ```
/// use cepa_core::host::hostname;
///
/// assert_eq!(hostname("example.com:8080"), "example.com");
/// assert_eq!(hostname("[::1]:8080"), "[::1]");
/// assert_eq!(hostname("[::1"), "");
/// ```
pub fn hostname(authority: &str) -> &str {
    if validate(authority.as_bytes()).is_err() {
        return "";
    }
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

/// The labels of a host name below its domain, the nearest to the domain first; none for an IP address.
///
/// `offset` is how many labels the domain has: 2 for `example.com`.
///
/// ```
/// use cepa_core::host::subdomains;
///
/// assert_eq!(subdomains("tobi.ferrets.example.com", 2), ["ferrets", "tobi"]);
/// ```
pub fn subdomains(hostname: &str, offset: usize) -> Vec<&str> {
    if hostname.is_empty() || hostname.starts_with('[') || hostname.parse::<Ipv4Addr>().is_ok() {
        return Vec::new();
    }
    hostname.rsplit('.').skip(offset).collect()
}

/// The first item of a comma list, without the space around it.
pub fn first_item(list: &str) -> &str {
    list.split(',').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_is_valid() {
        let long = "a".repeat(255);
        let valid = [
            "example.com",
            "EXAMPLE.com:80",
            "a_b-c~d",
            "localhost:",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:1.2.3.4]",
            "xn--fiq228c.test",
            "%E4%B8%AD.test",
            "a:0080",
            &long,
        ];
        for text in valid {
            assert_eq!(validate(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not() {
        use InvalidHost::{Address, Byte, Empty, Escape, Port, TooLong};
        let long = "a".repeat(256);
        let table: [(&[u8], InvalidHost); 24] = [
            (b"", Empty),
            (b":80", Empty),
            (b"a b", Byte(b' ')),
            (b" a", Byte(b' ')),
            (b"a\t", Byte(b'\t')),
            (b"a,b", Byte(b',')),
            (b"user@a", Byte(b'@')),
            (b"user:pass@a", Port),
            (b"http://a", Port),
            (b"a/b", Byte(b'/')),
            (b"a?b", Byte(b'?')),
            (b"a#b", Byte(b'#')),
            (b"a\\b", Byte(b'\\')),
            (b"a\0b", Byte(0)),
            (b"a\r\nb", Byte(b'\r')),
            ("é".as_bytes(), Byte(0xc3)),
            (b"a%2", Escape),
            (b"a:65536", Port),
            (b"a:99999999999999999999", Port),
            (b"a:+80", Port),
            (b"[::1", Address),
            (b"[::1%25eth0]", Address),
            (b"[v1.a]", Address),
            (b"[::1]a", Byte(b'a')),
        ];
        for (text, error) in table {
            assert_eq!(validate(text), Err(error), "{}", text.escape_ascii());
        }
        assert_eq!(validate(b"::1"), Err(Empty));
        assert_eq!(validate(long.as_bytes()), Err(TooLong));
        assert_eq!(validate(b"[::1]:x"), Err(Port));
    }

    #[test]
    fn splits() {
        assert_eq!(hostname("API.Example.com:1"), "API.Example.com");
        assert_eq!(hostname("a@b"), "");
        assert_eq!(subdomains("a.b.c.example.com", 3), ["b", "a"]);
        for none in ["127.0.0.1", "[::1]", "example.com", "localhost", ""] {
            assert!(subdomains(none, 2).is_empty(), "{none}");
        }
        assert_eq!(first_item(" a.test , b.test"), "a.test");
        assert_eq!(first_item(""), "");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in any::<Vec<u8>>(), text in r"[a-z0-9.:\[\]%@é]{0,20}") {
            let _ = (validate(&bytes), validate(text.as_bytes()));
            let _ = subdomains(hostname(&text), 2);
        }

        #[test]
        fn what_is_valid_can_be_sent_back(text in any::<String>()) {
            if validate(text.as_bytes()).is_ok() {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!hostname(&text).is_empty());
            }
        }
    }
}
