//! URLs that are asked for, and those that redirects lead to.

use std::sync::Arc;

use cepa_core::{host, location::encode_url};
use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};

use super::Failure;
use crate::outbound::{Origin, Place};

/// The longest URL that is asked for.
const LONGEST: usize = 16 * 1024;

/// A URL as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    pub(crate) target: PathAndQuery,
}

impl Url {
    /// Takes an absolute `http` or `https` URL. What a URL cannot hold is percent-encoded in path and query; a
    /// fragment is left out. User information is refused: it is where people hide the host.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let failed = |reason| Failure::Url { url: text.chars().take(200).collect(), reason };
        if text.len() > LONGEST {
            return Err(failed("it is too long"));
        }
        let text = text.split('#').next().unwrap_or_default();
        if text.contains('\\') || text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(failed("it holds a backslash or a control character"));
        }
        let uri: Uri = encode_url(text).parse().map_err(|_| failed("it is malformed"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(failed("it does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| failed("it has no host"))?.as_str();
        if host::validate(authority.as_bytes()).is_err() || authority.contains('%') {
            return Err(failed("its host is none, or has user information before it"));
        }
        let name = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = uri.path_and_query().cloned();
        // `http://host?query` has a query and no path.
        let target = match target {
            Some(target) if target.as_str().starts_with('/') => target,
            Some(target) => PathAndQuery::try_from(format!("/{}", target.as_str()))
                .map_err(|_| failed("it is malformed"))?,
            None => PathAndQuery::from_static("/"),
        };
        let place = Place::Host(Arc::from(name.to_ascii_lowercase()), port);
        Ok(Self { origin: Origin { tls, place }, target })
    }

    /// The URL that a `Location` leads to from this one (RFC 3986, section 5.2).
    pub(super) fn join(&self, location: &str) -> Result<Self, Failure> {
        let location = location.split('#').next().unwrap_or_default();
        if has_scheme(location) {
            return Self::parse(location);
        }
        let scheme = if self.origin.tls { "https" } else { "http" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let base = format!("{scheme}://{}", self.origin.authority());
        let (path, query) = split_query(location);
        let joined = if location.is_empty() {
            self.target.as_str().to_owned()
        } else if path.is_empty() {
            format!("{}{query}", self.target.path())
        } else if path.starts_with('/') {
            format!("{}{query}", without_dots(path))
        } else {
            let folder = self.target.path().rfind('/').map_or("/", |slash| &self.target.path()[..=slash]);
            format!("{}{query}", without_dots(&format!("{folder}{path}")))
        };
        Self::parse(&format!("{base}{joined}"))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

/// Whether a reference is absolute: its first part is a scheme.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn split_query(reference: &str) -> (&str, &str) {
    reference.split_at(reference.find('?').unwrap_or(reference.len()))
}

/// The path without `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split('/').skip(1) {
        ends_open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if ends_open || out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses() {
        let table = [
            ("http://Example.com", "http://example.com/"),
            ("https://example.com:443/a?b#c", "https://example.com/a?b"),
            ("http://example.com:8080/a b/é", "http://example.com:8080/a%20b/%C3%A9"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("http://[2001:DB8::1]:81?q", "http://[2001:db8::1]:81/?q"),
            ("http://127.1/", "http://127.1/"),
        ];
        for (text, expected) in table {
            assert_eq!(Url::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "/",
            "example.com",
            "//example.com/",
            "ftp://a/",
            "file:///etc/passwd",
            "gopher://a/_x",
            "http://",
            "http:///a",
            "http://user@a/",
            "http://good.test@evil.test/",
            "http://user:pass@a/",
            "http://a\\@b/",
            "http:\\\\a",
            "http://a\r\nHost: b/",
            "http://a b/",
            "http://a:99999/",
            "http://a:x/",
            "http://%31/",
            "http://é/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "javascript:alert(1)",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
        assert!(Url::parse(&format!("http://a/{}", "x".repeat(20_000))).is_err());
    }

    #[test]
    fn joins_as_rfc_3986_says() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        let table = [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ];
        for (reference, expected) in table {
            assert_eq!(
                base.join(reference).unwrap().to_string(),
                format!("http://a{expected}"),
                "{reference}"
            );
        }
        assert_eq!(base.join("//g/x").unwrap().to_string(), "http://g/x");
        assert_eq!(base.join("https://g/x").unwrap().to_string(), "https://g/x");
        for bad in ["g:h", "file:///etc/passwd", "http:g", "/\\evil.test", "//u@evil.test", "http://"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_back(text in r"(https?://)?[a-z:@/?#\[\]\\.%é ]{0,30}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
            }
            let _ = Url::parse("http://a/b?c").unwrap().join(&text);
        }
    }
}
