//! The server names of the configuration.

use std::fmt;

use super::TlsError;

/// A server name of the configuration, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// This name.
    Exact(Box<str>),
    /// Every name with one label before this one.
    Wildcard(Box<str>),
}

impl Name {
    pub(super) fn parse(text: &str) -> Result<Self, TlsError> {
        let (wildcard, host) = match text.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, text),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // A last label of digits makes an IP address, which is never sent as a server name; RFC 6066, section 3.
        let numeric =
            host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() > 253 || numeric || !host.split('.').all(label) {
            return Err(TlsError::Name { name: text.chars().take(253).collect() });
        }
        let host = host.to_ascii_lowercase().into_boxed_str();
        Ok(if wildcard { Self::Wildcard(host) } else { Self::Exact(host) })
    }

    /// The name of a host that a certificate can be got for by ACME, in lower case: one with a dot in it, and no wildcard.
    pub(super) fn parse_for_acme(text: &str) -> Result<Box<str>, TlsError> {
        match Self::parse(text)? {
            Self::Exact(host) if host.contains('.') => Ok(host),
            name => Err(TlsError::NotByAcme { name: name.to_string() }),
        }
    }

    /// A name that this one stands for.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Exact(host) => host.to_string(),
            Self::Wildcard(parent) => format!("x.{parent}"),
        }
    }

    pub(super) fn error(&self) -> TlsError {
        TlsError::Name { name: self.to_string() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_lowered() {
        for (text, name) in [
            ("Example.COM", Name::Exact("example.com".into())),
            ("*.Example.com", Name::Wildcard("example.com".into())),
            ("localhost", Name::Exact("localhost".into())),
            ("xn--bcher-kva.example", Name::Exact("xn--bcher-kva.example".into())),
            ("a_b.1.example", Name::Exact("a_b.1.example".into())),
        ] {
            assert_eq!(Name::parse(text).unwrap(), name, "{text}");
        }
        let long = format!("{}.test", "a.".repeat(125));
        let label = format!("{}.test", "a".repeat(64));
        for text in [
            "",
            ".",
            "*",
            "*.",
            "*.*.test",
            "a.*.test",
            "*a.test",
            "a..b",
            ".a",
            "a.",
            "bücher.test",
            "a b",
            "a/b",
            "127.0.0.1",
            "::1",
            "[::1]",
            "a:443",
            &long,
            &label,
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
