//! The cryptography under TLS, chosen by feature and always passed explicitly.

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("cepa-server needs one of the features `aws-lc-rs` (the default) and `ring` for its TLS");

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;

use rustls::{crypto::CryptoProvider, server::ProducesTickets};
use std::sync::Arc;

/// The cryptography that TLS is spoken with here: cipher suites, key exchange, signatures and randomness.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// New keys for tickets, which replace themselves.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
