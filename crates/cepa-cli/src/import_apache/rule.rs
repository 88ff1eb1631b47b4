//! One rule of Apache's: which path is answered by what.

use std::path::PathBuf;

use super::{Note, source::Directive};

/// What answers at and below a path.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    directive: Directive,
    pub(super) path: String,
    pub(super) target: Target,
}

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Files(PathBuf),
    Cgi(PathBuf),
    Proxy {
        upstreams: Vec<String>,
    },
    FastCgi {
        upstream: String,
    },
    Redirect {
        to: String,
        status: u16,
    },
    /// None of its kind: the next kind is asked.
    Nothing,
}

impl Rule {
    pub(super) fn new(directive: &Directive, path: &str, target: Target) -> Self {
        let path = format!("/{}", path.trim_matches('/'));
        Self { directive: directive.clone(), path, target }
    }

    pub(super) fn note(&self, text: impl std::fmt::Display) -> Note {
        self.directive.note(text)
    }
}
