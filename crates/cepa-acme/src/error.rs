//! Why certificates cannot be asked for at all, and why one was not got.

use std::{io, path::PathBuf};

use cepa_server::tls::TlsError;
use instant_acme::{Error as Protocol, Problem};

use crate::Challenge;

/// Why certificates cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The terms of service are not agreed to.
    #[error(
        "acme.agree_to_terms: certificates for {names} are to come from {directory}; read its terms of service, and say \
         `true` if you agree to them"
    )]
    Terms {
        /// The directory.
        directory: String,
        /// The names, separated by commas.
        names: String,
    },
    /// The section cannot be used.
    #[error("acme.{0}")]
    Config(String),
    /// The certificates that vouch for the directory cannot be read.
    #[error("acme.root: {path}: {reason}", path = path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing vouches for the directory.
    #[error(
        "acme: the system has no root certificates, and acme.root names none; apt-get install ca-certificates"
    )]
    NoRoots,
    /// The key of the external account cannot be read.
    #[error("acme.external_account.key_file: {path}: {reason}", path = path.display())]
    ExternalAccount {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder cannot be used, or a name is none.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cryptography cannot be set up.
    #[error("acme: {0}")]
    Setup(#[from] rustls::Error),
    /// There is no randomness.
    #[error("acme: {0}")]
    Random(#[source] io::Error),
}

/// Why a certificate was not got.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("the account with the authority: {}", of_protocol(.0))]
    Account(Protocol),
    #[error("{}", of_protocol(.0))]
    Protocol(#[from] Protocol),
    #[error("the authority does not offer {wanted}, but {offered}; set acme.challenge")]
    NotOffered { wanted: &'static str, offered: String },
    #[error("the authority has not seen that the name is yours: {detail}; {}", .challenge.advice())]
    NotSeen { challenge: Challenge, detail: String },
    #[error("the authority has given up the order: it is {0}")]
    Ended(String),
    #[error("what the authority has sent is no certificate for the name: {0}")]
    Unusable(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("it took longer than acme.order_timeout")]
    Late,
}

impl Challenge {
    /// What somebody can do for it to be met.
    fn advice(self) -> &'static str {
        match self {
            Self::Http01 => {
                "it asks port 80 of the name, which must lead to this server, on a listener without TLS"
            }
            Self::TlsAlpn01 => {
                "it asks port 443 of the name, which must lead to this server, with no TLS ended before it"
            }
        }
    }
}

/// What an error of the protocol says to an operator.
fn of_protocol(error: &Protocol) -> String {
    match error {
        Protocol::Api(problem) => of_problem(problem),
        error => error.to_string(),
    }
}

/// What a problem document says; all of it comes from the authority, in any length.
pub(crate) fn of_problem(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("about:blank");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let detail = problem.detail.as_deref().unwrap_or("no detail");
    let mut text: String = format!("{detail} ({kind})").chars().take(1000).collect();
    for part in problem.subproblems.iter().take(5) {
        let detail = part.detail.as_deref().unwrap_or_default();
        text.push_str("; ");
        text.extend(detail.chars().take(300));
    }
    text
}

impl OrderError {
    /// The kind of a problem that the authority has told, without its prefix.
    pub(crate) fn kind(&self) -> Option<&str> {
        match self {
            Self::Account(Protocol::Api(problem)) | Self::Protocol(Protocol::Api(problem)) => {
                problem.r#type.as_deref()?.strip_prefix("urn:ietf:params:acme:error:")
            }
            _ => None,
        }
    }

    /// Whether a limit has refused the order. It may be one of the account, or of this name only: nobody says.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, Self::Protocol(_)) && self.kind() == Some("rateLimited")
    }

    /// Whether other names would fare no better now: the authority cannot be asked, or does not want to be.
    pub(crate) fn is_of_all(&self) -> bool {
        match self {
            Self::Account(_) => true,
            Self::Protocol(Protocol::Api(_)) => self.is_limit(),
            // It is still at work for this one.
            Self::Protocol(Protocol::Timeout(_)) => false,
            Self::Protocol(_) => true,
            _ => false,
        }
    }
}
