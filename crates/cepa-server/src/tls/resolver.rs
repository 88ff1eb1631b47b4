//! Which certificate a client gets, by the server name it asks for.

use super::{TlsError, certificate::Certificate, name::Name};
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
