//! Which certificate a client gets, by the server name it asks for.

use super::{certificate::Certificate, name::Name};
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Certificates in the order of the configuration: for a name mostly one.
type Candidates = Vec<Arc<CertifiedKey>>;

/// All certificates by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A name whose certificate is still awaited has none.
    exact: HashMap<Box<str>, Candidates>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
    /// The first certificate of all that is there.
    default: Candidates,
    is_strict: bool,
}

/// Why a client gets no certificate, by the alert that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Refusal {
    /// The certificate for the name is not there yet.
    NotYet = 80,
    /// The client names no server, and must.
    Nameless = 109,
    /// No certificate is listed for the name.
    Unknown = 112,
}

impl Refusal {
    /// The record of the fatal alert, from a server that has not said anything else; RFC 8446, sections 5.1 and 6.
    pub(super) const fn record(self) -> [u8; 7] {
        [21, 3, 3, 0, 2, 2, self as u8]
    }

    /// What it is about, for the log.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NotYet => "there is no certificate for the server name yet",
            Self::Nameless => "the client names no server",
            Self::Unknown => "no certificate is listed for the server name",
        }
    }
}

impl Table {
    pub(super) fn new(certificates: &[Certificate], is_strict: bool) -> Self {
        let mut table = Self { is_strict, ..Self::default() };
        table.default.extend(certificates.iter().find_map(|certificate| certificate.key.clone()));
        for certificate in certificates {
            for name in &certificate.names {
                let candidates = match name {
                    Name::Exact(host) => table.exact.entry(host.clone()),
                    Name::Wildcard(parent) => table.wildcard.entry(parent.clone()),
                };
                candidates.or_default().extend(certificate.key.clone());
            }
        }
        table
    }

    /// The certificates for a server name, which is in lower case; at least one.
    fn candidates(&self, name: Option<&str>) -> Result<&Candidates, Refusal> {
        let fallback = |refusal| match (self.is_strict, self.default.is_empty()) {
            (true, _) => Err(refusal),
            (false, true) => Err(Refusal::NotYet),
            (false, false) => Ok(&self.default),
        };
        let Some(name) = name else { return fallback(Refusal::Nameless) };
        let name = name.strip_suffix('.').unwrap_or(name);
        let exact = self.exact.get(name);
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        match exact.filter(|candidates| !candidates.is_empty()).or_else(wildcard) {
            Some(candidates) => Ok(candidates),
            None if exact.is_some() => Err(Refusal::NotYet),
            None => fallback(Refusal::Unknown),
        }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name).ok()?;
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

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a client that asks for `name` gets no certificate, if so.
    pub(super) fn refusal(&self, name: Option<&str>) -> Option<Refusal> {
        self.table().candidates(name).err()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table().choose(hello.server_name(), hello.signature_schemes())
    }
}
