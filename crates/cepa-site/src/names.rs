//! The names of hosts as the configuration writes them, and as requests do.

use std::{borrow::Cow, fmt, net::Ipv6Addr, str::FromStr};

use cepa_core::host;
use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, de};

/// Which names a host answers to.
///
/// | written | is |
/// | --- | --- |
/// | `example.org` | that name; an IP address too |
/// | `*.example.org` | all names below it |
/// | `.example.org` | both |
/// | `~shop-[0-9]+\.example\.org` | a regular expression that matches a whole name |
/// | `*` | whatever no other host answers to, a request without a name too |
///
/// Neither case nor a dot at the end counts. Names that are not ASCII are written as DNS has them, `xn--…`.
///
/// ```
/// use cepa_site::HostName;
///
/// assert_eq!("Example.org.".parse::<HostName>()?, HostName::Exact("example.org".to_owned()));
/// assert!("example.org:80".parse::<HostName>().is_err());
/// # Ok::<(), cepa_site::InvalidHostName>(())
/// ```
#[derive(Clone, Debug)]
pub enum HostName {
    /// One name.
    Exact(String),
    /// All names below this one.
    Below(String),
    /// This name and all below it.
    Domain(String),
    /// The names that an expression matches.
    Pattern(Pattern),
    /// All that no other host answers to.
    Any,
}

/// A regular expression for whole names.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

/// Why a text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostName {
    /// It is no name.
    #[error(
        "{0:?} names no host: write `example.org`, `*.example.org`, `.example.org` for both, `~` and a regular \
         expression, or `*` for all others"
    )]
    Name(String),
    /// It is no expression.
    #[error("{written:?} is no regular expression: {reason}")]
    Pattern {
        /// What is written.
        written: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Bytes of a compiled expression; one for names needs a few KiB.
const LARGEST_PATTERN: usize = 256 << 10;

impl Pattern {
    fn new(written: &str) -> Result<Self, InvalidHostName> {
        // What is compared is in lower case.
        let regex = RegexBuilder::new(&format!("^(?:{written})$"))
            .case_insensitive(true)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| InvalidHostName::Pattern {
                written: written.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self { written: written.to_owned(), regex })
    }

    /// Whether it matches the whole of a name.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

impl PartialEq for HostName {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(two))
            | (Self::Below(one), Self::Below(two))
            | (Self::Domain(one), Self::Domain(two)) => one == two,
            (Self::Pattern(one), Self::Pattern(two)) => one.written == two.written,
            (Self::Any, Self::Any) => true,
            _ => false,
        }
    }
}

impl Eq for HostName {}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(pattern) = text.strip_prefix('~') {
            return Pattern::new(pattern).map(Self::Pattern);
        }
        let (name, kind): (_, fn(String) -> Self) = match (text.strip_prefix("*."), text.strip_prefix('.')) {
            (Some(name), _) => (name, Self::Below),
            (None, Some(name)) => (name, Self::Domain),
            (None, None) => (text, Self::Exact),
        };
        let invalid = || InvalidHostName::Name(text.to_owned());
        let bracketed = name.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
        let name = normal(bracketed.as_deref().unwrap_or(name)).into_owned();
        // Also refuses a port, a scheme and a second `*`.
        let is_name = !name.is_empty()
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
            && !name.contains('%');
        let is_name = is_name && !name.contains('*') && host::hostname(&name) == name;
        if is_name { Ok(kind(name)) } else { Err(invalid()) }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Domain(name) => write!(f, ".{name}"),
            Self::Pattern(pattern) => write!(f, "~{}", pattern.written),
            Self::Any => f.write_str("*"),
        }
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A name as hosts are compared: in lower case, without the dot at its end; IPv6 addresses in their shortest form.
pub(crate) fn normal(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
        return format!("[{address}]").into();
    }
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_read_and_written() {
        for (text, name) in [
            ("example.org", "example.org"),
            ("EXAMPLE.org.", "example.org"),
            ("*.Example.org", "*.example.org"),
            (".example.org", ".example.org"),
            ("*", "*"),
            ("127.0.0.1", "127.0.0.1"),
            ("0:0::1", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a_b", "a_b"),
            (r"~a\d+\.test", r"~a\d+\.test"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().to_string(), name, "{text}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "", ".", "*.", "..a", "a..b", "*.*.a", "a.*", "a:80", "http://a", "a/b", "a@b", "a b", "é.org",
            "%61.org", "~(", "~[a",
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        let large = format!("~{}", "(?:a{1000}){1000}");
        assert!(large.parse::<HostName>().is_err());
    }

    #[test]
    fn a_pattern_matches_whole_names_only() {
        let Ok(HostName::Pattern(pattern)) = r"~shop|a\.test".parse() else { panic!() };
        for (name, matches) in
            [("shop", true), ("a.test", true), ("a.test.evil", false), ("xa.test", false), ("shop\n", false)]
        {
            assert_eq!(pattern.matches(name), matches, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_as_itself(text in "[~*.]{0,2}[a-zA-Z0-9.:\\[\\]_-]{0,20}") {
            if let Ok(name) = text.parse::<HostName>() {
                prop_assert_eq!(name.to_string().parse::<HostName>().unwrap(), name);
            }
        }
    }
}
