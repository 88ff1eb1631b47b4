//! Reads `Cookie` headers: bytes in, pairs out, nothing decoded and nothing guessed.

use crate::Headers;
use std::fmt;

/// Cookies considered per request; those after the hundredth are as good as absent.
///
/// Browsers keep at least 50 per domain (RFC 6265, section 6.1); nobody honest sends a hundred.
pub const MAX_COOKIES: usize = 100;

/// One pair of a `Cookie` header, exactly as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The name; never empty. Names are compared byte by byte.
    pub name: &'a [u8],
    /// The value, without the one pair of double quotes that may surround it, and not percent-decoded.
    pub value: &'a [u8],
}

impl fmt::Debug for Cookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be somebody's session: it stays out of logs.
        let name = format_args!("{}", self.name.escape_ascii());
        f.debug_struct("Cookie").field("name", &name).finish_non_exhaustive()
    }
}

/// The pairs of one `Cookie` header value, in order, at most [`MAX_COOKIES`]. Linear, allocates nothing.
///
/// * Every `;` separates, also between quotes. `,` does not separate; `$Version` and its like are plain
///   names: the old RFC 2965 grammar, which lets one cookie hide another, is not spoken.
/// * Only SP and HTAB are trimmed, around the pair and before the value. `name =v` is a cookie called `name `
///   with a space, so nothing but `__Host-id` itself is ever read as `__Host-id`.
/// * A piece without `=` or without a name is skipped.
///
/// Source: RFC 6265, section 4.2, as Koa reads it.
///
/// ```
/// let pairs: Vec<_> = cepa_core::cookie::parse(b"a=1; b=\"two\"").collect();
/// assert_eq!((pairs[1].name, pairs[1].value), (&b"b"[..], &b"two"[..]));
/// ```
pub fn parse(header: &[u8]) -> impl Iterator<Item = Cookie<'_>> {
    header.split(|&byte| byte == b';').filter_map(pair).take(MAX_COOKIES)
}

/// The pairs of all `Cookie` headers, in order, at most [`MAX_COOKIES`] together.
///
/// More than one header is legal in HTTP/2 (RFC 9113, section 8.2.3).
pub fn cookies(headers: &Headers) -> impl Iterator<Item = Cookie<'_>> {
    headers.get_all("cookie").flat_map(parse).take(MAX_COOKIES)
}

/// The value of the first cookie called `name`.
pub fn get<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    cookies(headers).find(|cookie| cookie.name == name.as_bytes()).map(|cookie| cookie.value)
}

/// How many cookies are called `name`.
///
/// More than one means that another host or path of the site set one too, perhaps to smuggle in its own
/// ("cookie tossing"): whoever trusts the cookie should refuse such a request.
pub fn count(headers: &Headers, name: &str) -> usize {
    cookies(headers).filter(|cookie| cookie.name == name.as_bytes()).count()
}

fn pair(piece: &[u8]) -> Option<Cookie<'_>> {
    let piece = trim_end(trim_start(piece));
    let equals = piece.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&piece[..equals], trim_start(&piece[equals + 1..]));
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    };
    (!name.is_empty()).then_some(Cookie { name, value })
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| !is_blank(byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};
    use proptest::prelude::*;

    fn show(header: &[u8]) -> String {
        parse(header).map(|c| format!("[{}|{}]", c.name.escape_ascii(), c.value.escape_ascii())).collect()
    }

    #[test]
    fn pairs_of_plain_and_hostile_headers() {
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"a=1", "[a|1]"),
            (b"a=1; b=2;c=3", "[a|1][b|2][c|3]"),
            (b"a=1;\t a=2 ", "[a|1][a|2]"),
            (b"a=b=c", "[a|b=c]"),
            (b"a=%41%3B", "[a|%41%3B]"),
            (b"a=; b", "[a|]"),
            (b";;; ;=;a=1;", "[a|1]"),
            // Quotes: one surrounding pair goes, half a pair stays, and they protect nothing.
            (b"a=\"x\"", "[a|x]"),
            (b"a=\"\"x\"\"", "[a|\\\"x\\\"]"),
            (b"a=\"", "[a|\\\"]"),
            (b"a=\"\"", "[a|]"),
            (b"a=\" x \"", "[a| x ]"),
            (b"a=\"x; b=2; c=y\"", "[a|\\\"x][b|2][c|y\\\"]"),
            // RFC 2965 grammar is plain text here.
            (b"$Version=1; a=1; $Path=/", "[$Version|1][a|1][$Path|/]"),
            (b"a=1,b=2", "[a|1,b=2]"),
            // Nameless cookies cannot pose as named ones.
            (b"=v", ""),
            (b"=__Host-a=v", ""),
            (b"__Host-a", ""),
            (b" = v", ""),
            // Nothing but the exact name is the name.
            (b" __Host-a=1", "[__Host-a|1]"),
            (b"__Host-a =1", "[__Host-a |1]"),
            (b"__Host- a= 1 ", "[__Host- a|1]"),
            (b"__host-a=1", "[__host-a|1]"),
            // White space that is not SP or HTAB: NEL, NBSP, U+2000, vertical tab, NUL.
            (b"\xc2\x85__Host-a=1", "[\\xc2\\x85__Host-a|1]"),
            (b"\xc2\xa0__Host-a=1", "[\\xc2\\xa0__Host-a|1]"),
            (b"\xe2\x80\x80__Host-a=1\xe2\x80\x80", "[\\xe2\\x80\\x80__Host-a|1\\xe2\\x80\\x80]"),
            (b"\x0b__Host-a=1\x0c", "[\\x0b__Host-a|1\\x0c]"),
            (b"a\0=1\0", "[a\\x00|1\\x00]"),
        ];
        for (header, expected) in table {
            assert_eq!(show(header), *expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn of_ten_thousand_cookies_a_hundred_count() {
        let flood = "a=1;".repeat(10_000);
        assert_eq!(parse(flood.as_bytes()).count(), MAX_COOKIES);
        let mut headers = Headers::new();
        for _ in 0..2 {
            headers.map_mut().append(header::COOKIE, HeaderValue::from_str(&flood).unwrap());
        }
        headers.map_mut().append(header::COOKIE, HeaderValue::from_static("late=1"));
        assert_eq!(count(&headers, "a"), MAX_COOKIES);
        assert_eq!(get(&headers, "late"), None);
        assert_eq!(parse(";".repeat(100_000).as_bytes()).count(), 0);
    }

    #[test]
    fn debug_shows_no_value() {
        let cookie = Cookie { name: b"sid\n", value: b"secret" };
        assert_eq!(format!("{cookie:?}"), r"Cookie { name: sid\n, .. }");
    }

    #[test]
    fn the_first_match_wins_across_headers_and_duplicates_show() {
        let mut headers = Headers::new();
        assert_eq!((get(&headers, "a"), count(&headers, "a")), (None, 0));
        headers.map_mut().append(header::COOKIE, HeaderValue::from_static("b=0; a=1"));
        headers.map_mut().append(header::COOKIE, HeaderValue::from_static("a=2"));
        assert_eq!(get(&headers, "a"), Some(&b"1"[..]));
        assert_eq!((count(&headers, "a"), count(&headers, "A"), count(&headers, "")), (2, 0, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(header in proptest::collection::vec(any::<u8>(), 0..300)) {
            for cookie in parse(&header) {
                prop_assert!(!cookie.name.is_empty() && !cookie.name.contains(&b'='));
                prop_assert!(!cookie.name.contains(&b';') && !cookie.value.contains(&b';'));
            }
        }

        #[test]
        fn any_soup_of_the_grammar_parses(header in "[ab=;\" \t,$]{0,80}") {
            prop_assert!(parse(header.as_bytes()).count() <= MAX_COOKIES);
        }
    }
}
