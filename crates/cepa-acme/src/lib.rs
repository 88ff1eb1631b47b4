//! Certificates by ACME (RFC 8555): one for each host name, got, kept, and renewed in time.
//!
//! In reading order: [`AcmeConfig`] says from whom and how. [`Keeper`] is the one process of a machine that asks for
//! certificates: it looks after their [files](cepa_server::tls::TlsFolder), which all who serve watch, and puts what is to
//! be shown in challenges beside them. [`HttpChallenges`] shows it over HTTP; over TLS the server does so itself.
//!
//! ```no_run
//! use cepa_acme::{AcmeConfig, Keeper};
//! use cepa_server::tls::TlsFolder;
//!
//! # async fn keep() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AcmeConfig { agree_to_terms: true, ..AcmeConfig::default() };
//! let names = vec!["www.example.com".into()];
//! let keeper = Keeper::new(config, "production", names, TlsFolder::new("data/tls"))?;
//! keeper.keep().await; // until it is dropped
//! # Ok(()) }
//! ```

mod account;
mod answer;
mod client;
mod config;
mod error;
mod http_challenges;
mod keeper;
mod kept;
mod ledger;
mod lock;
mod order;
mod plan;

pub use self::{
    config::{AcmeConfig, Challenge, ExternalAccount},
    error::AcmeError,
    http_challenges::HttpChallenges,
    keeper::Keeper,
};
