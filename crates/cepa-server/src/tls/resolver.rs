//! Which certificate a client gets, by the server name it asks for.

use super::{TlsError, certificate::Certificate};
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

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

/// Certificates in the order of the configuration: for a name mostly one.
type Candidates = Vec<Arc<CertifiedKey>>;

/// All certificates by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    exact: HashMap<Box<str>, Candidates>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
    /// The first certificate of all.
    default: Candidates,
}

impl Table {
    pub(super) fn new(certificates: &[Certificate]) -> Result<Self, TlsError> {
        let first = certificates.first().ok_or(TlsError::NoCertificates)?;
        let mut table = Self { default: vec![Arc::clone(&first.key)], ..Self::default() };
        for certificate in certificates {
            for name in &certificate.names {
                let candidates = match name {
                    Name::Exact(host) => table.exact.entry(host.clone()),
                    Name::Wildcard(parent) => table.wildcard.entry(parent.clone()),
                };
                candidates.or_default().push(Arc::clone(&certificate.key));
            }
        }
        Ok(table)
    }

    /// The certificates for a server name, which is in lower case.
    fn candidates(&self, name: Option<&str>) -> &Candidates {
        let Some(name) = name else { return &self.default };
        let name = name.strip_suffix('.').unwrap_or(name);
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).unwrap_or(&self.default)
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name);
        let fits = candidates.iter().find(|certificate| certificate.key.choose_scheme(schemes).is_some());
        fits.or(candidates.first()).cloned()
    }
}

/// The table that handshakes look into; it can be swapped meanwhile.
#[derive(Debug)]
pub(super) struct Resolver {
    table: RwLock<Arc<Table>>,
}

impl Resolver {
    pub(super) fn new(table: Table) -> Self {
        Self { table: RwLock::new(Arc::new(table)) }
    }

    pub(super) fn swap(&self, table: Table) {
        let table = Arc::new(table);
        let old = std::mem::replace(&mut *self.table.write().unwrap_or_else(PoisonError::into_inner), table);
        // Outside of the lock: it may take a while to free.
        drop(old);
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        table.choose(hello.server_name(), hello.signature_schemes())
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
