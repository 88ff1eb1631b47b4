//! The request target: its form, and where its parts are (RFC 9112, section 3.2).

use http::Method;

use super::Reject;
use super::host::{is_host_with_port, is_valid_host};
use super::set::Set;

/// The four forms of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://authority/path?query`; the authority stands above the `Host` field.
    Absolute,
    /// `host:port`, with `CONNECT` and only there.
    Authority,
    /// `*`, with `OPTIONS` and only there.
    Asterisk,
}

/// A request target as it was sent, checked, and split without being changed.
///
/// The text is visible ASCII without `#`, and its path has neither a backslash nor an escaped NUL, CR or LF. Percent
/// escapes are not decoded, and otherwise not checked, here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    target: cepa_core::Target,
    form: Form,
    /// Where the authority starts: 0, or after `scheme://`.
    authority: u32,
    /// Where the authority ends and the path starts.
    path: u32,
}

/// The same, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetInPlace<'a> {
    text: &'a [u8],
    form: Form,
    authority: usize,
    path: usize,
    /// Where the path ends: at the `?`, or at the end.
    query: usize,
}

impl<'a> TargetInPlace<'a> {
    /// Reads the target of a request with this method, of which so many bytes are known to be [`PLAIN`].
    #[inline]
    pub(crate) fn parse(text: &'a [u8], plain: usize, method: &Method) -> Result<Self, Reject> {
        if plain == text.len() && text.first() == Some(&b'/') && *method != Method::CONNECT {
            return Ok(Self { text, form: Form::Origin, authority: 0, path: 0, query: plain });
        }
        Self::parse_any(text, plain, method)
    }

    #[inline(never)]
    fn parse_any(text: &'a [u8], plain: usize, method: &Method) -> Result<Self, Reject> {
        let query = path_end(text, plain).ok_or(Reject::Target)?;
        if !text[query..].iter().all(|&byte| is_target_byte(byte)) {
            return Err(Reject::Target);
        }
        let (form, authority, path) = match text {
            _ if *method == Method::CONNECT => {
                if !is_host_with_port(text) {
                    return Err(Reject::Target);
                }
                (Form::Authority, 0, text.len())
            }
            [b'/', ..] => (Form::Origin, 0, 0),
            b"*" if *method == Method::OPTIONS => (Form::Asterisk, 0, 0),
            _ => {
                let authority = after_scheme(text).ok_or(Reject::Target)?;
                let rest = &text[authority..query];
                let path = rest.iter().position(|&byte| byte == b'/').map_or(query, |at| authority + at);
                if !is_valid_host(&text[authority..path]) {
                    return Err(Reject::Target);
                }
                (Form::Absolute, authority, path)
            }
        };
        Ok(Self { text, form, authority, path, query })
    }

    /// Which form the target has.
    pub(crate) fn form(self) -> Form {
        self.form
    }

    /// The host and port in the target, see [`Target::authority`].
    #[inline]
    pub(crate) fn authority(self) -> Option<&'a [u8]> {
        matches!(self.form, Form::Absolute | Form::Authority).then(|| &self.text[self.authority..self.path])
    }

    /// The target as an app sees it.
    #[inline]
    pub(crate) fn to_core(self) -> cepa_core::Target {
        // In authority form all of it is what an app calls the path.
        let start = if self.form == Form::Absolute { self.path } else { 0 };
        cepa_core::Target::from_parts(self.text, start, self.query)
    }
}

impl From<TargetInPlace<'_>> for Target {
    fn from(target: TargetInPlace<'_>) -> Self {
        let TargetInPlace { form, authority, path, .. } = target;
        Self { target: target.to_core(), form, authority: authority as u32, path: path as u32 }
    }
}

impl Target {
    /// The whole target as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.target.as_str()
    }

    /// The target as an app sees it.
    #[must_use]
    pub fn into_core(self) -> cepa_core::Target {
        self.target
    }

    /// Which of the four forms it has.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The scheme of an absolute-form target, as it was sent (`http` or `https` in any case).
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        (self.form == Form::Absolute).then(|| &self.as_str()[..self.authority as usize - "://".len()])
    }

    /// The host and port in the target; where there is one, `Host` is to be ignored (RFC 9112, section 3.2.2).
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        matches!(self.form, Form::Absolute | Form::Authority)
            .then(|| &self.as_str()[self.authority as usize..self.path as usize])
    }

    /// The path, still escaped: never empty, `*` in asterisk-form and `/` where the target has none.
    #[must_use]
    pub fn path(&self) -> &str {
        if self.form == Form::Authority { "/" } else { self.target.path() }
    }

    /// What follows the first `?`, still escaped; `Some("")` if nothing does.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.as_str().split_once('?').map(|(_, query)| query)
    }
}

fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Where the path ends, if it holds nothing that its readers take for different things: a backslash, which some take
/// for a slash, and escaped NUL, CR and LF, which cut a text off or begin a new line once they are decoded.
#[inline]
fn path_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += PLAIN.run(&bytes[at..]);
        match bytes[at..] {
            [] | [b'?', ..] => return Some(at),
            [b'%', b'0', b'0' | b'a' | b'A' | b'd' | b'D', ..] => return None,
            [b'%', ..] => at += 1,
            _ => return None,
        }
    }
}

/// The bytes that say nothing but themselves, wherever in a path they stand.
pub(super) static PLAIN: Set = Set::alphanumeric_and(b"!\"$&'()*+,-./:;<=>@[]^_`{|}~");

/// Where the authority starts if the target starts with a scheme this server serves.
fn after_scheme(bytes: &[u8]) -> Option<usize> {
    ["http://", "https://"]
        .into_iter()
        .map(str::as_bytes)
        .find_map(|scheme| bytes.get(..scheme.len())?.eq_ignore_ascii_case(scheme).then_some(scheme.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        type Parts<'a> = (Form, Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);
        let table: [(&str, &str, Parts<'_>); 13] = [
            ("GET", "/", (Form::Origin, None, None, "/", None)),
            ("GET", "//evil/x", (Form::Origin, None, None, "//evil/x", None)),
            ("GET", "/a%2fb?x=1?y", (Form::Origin, None, None, "/a%2fb", Some("x=1?y"))),
            ("GET", "/?", (Form::Origin, None, None, "/", Some(""))),
            ("GET", "/%zz|\"{}", (Form::Origin, None, None, "/%zz|\"{}", None)),
            ("OPTIONS", "*", (Form::Asterisk, None, None, "*", None)),
            ("GET", "http://a", (Form::Absolute, Some("http"), Some("a"), "/", None)),
            ("GET", "HTTPS://a:1/b?c", (Form::Absolute, Some("HTTPS"), Some("a:1"), "/b", Some("c"))),
            ("GET", "http://a?b/c", (Form::Absolute, Some("http"), Some("a"), "/", Some("b/c"))),
            ("GET", "http://[::1]:8/", (Form::Absolute, Some("http"), Some("[::1]:8"), "/", None)),
            ("OPTIONS", "http://a", (Form::Absolute, Some("http"), Some("a"), "/", None)),
            ("CONNECT", "a:443", (Form::Authority, None, Some("a:443"), "/", None)),
            ("BREW", "/pot", (Form::Origin, None, None, "/pot", None)),
        ];
        for (method, raw, expected) in table {
            let target = TargetInPlace::parse(raw.as_bytes(), 0, &method.parse().unwrap()).unwrap();
            assert_eq!(target.to_core().as_str(), raw);
            let in_place = target.authority();
            let target = Target::from(target);
            assert_eq!(in_place, target.authority().map(str::as_bytes));
            let parts = (target.form(), target.scheme(), target.authority(), target.path(), target.query());
            assert_eq!(parts, expected, "{raw}");
            assert_eq!(target.as_str(), raw);
        }
    }

    #[test]
    fn plain_is_every_byte_but_those_that_end_or_escape() {
        for byte in 0..=255 {
            assert_eq!(PLAIN.contains(byte), is_target_byte(byte) && !b"?%\\".contains(&byte), "{byte:#x}");
        }
    }

    #[test]
    fn refusals() {
        for (method, raw) in [
            ("GET", ""),
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "?a"),
            ("GET", "/a#b"),
            ("GET", "/a?b#c"),
            ("GET", "/\u{e9}"),
            ("GET", "/a b"),
            ("GET", "/a\tb"),
            ("GET", "/a\x7f"),
            ("GET", "http://"),
            ("GET", "http:///a"),
            ("GET", "http://?a"),
            ("GET", "http://u@a/"),
            ("GET", "http://a,b/"),
            ("GET", "http://a:99999/"),
            ("GET", "http:/a"),
            ("GET", "ftp://a/"),
            ("GET", "httpx://a/"),
            ("GET", "a:443"),
            ("GET", "example.com/path"),
            ("OPTIONS", "**"),
            ("OPTIONS", "*?a"),
            ("CONNECT", "/"),
            ("CONNECT", "a"),
            ("CONNECT", "*"),
            ("CONNECT", "http://a:443/"),
            ("CONNECT", "a:443/"),
        ] {
            let method = method.parse().unwrap();
            assert_eq!(
                TargetInPlace::parse(raw.as_bytes(), 0, &method),
                Err(Reject::Target),
                "{method} {raw}"
            );
        }
    }
}
