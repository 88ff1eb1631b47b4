//! What can be wrong with text that should become a value.

use std::fmt;

use serde::de;

/// Why pairs do not make the value that was asked for.
///
/// What a client sent is shortened in it, so that an error is small and can be logged and shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A text is not what its field wants.
    #[error("invalid value {value:?} for {key:?}: expected {expected}")]
    Invalid {
        /// The name of the field.
        key: String,
        /// The text.
        value: String,
        /// What the field wants.
        expected: String,
    },
    /// A name is given more than once for a field of one value.
    #[error("{key:?} is given more than once: expected one value")]
    Repeated {
        /// The name.
        key: String,
    },
    /// A field that must be there is not.
    #[error("{key:?} is missing")]
    Missing {
        /// The name of the field.
        key: &'static str,
    },
    /// A name is not one of the fields.
    #[error("unknown name {key:?}: expected one of {expected:?}")]
    Unknown {
        /// The name.
        key: String,
        /// The fields there are.
        expected: &'static [&'static str],
    },
    /// A route has not as many parameters as the handler asks for.
    #[error("expected {expected} parameters, found {found}")]
    Count {
        /// How many are asked for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A field's own type refused the text.
    #[error("invalid value for {key:?}: {message}")]
    Refused {
        /// The name of the field.
        key: String,
        /// What the type says.
        message: String,
    },
    /// A refusal that no field caused alone.
    #[error("{0}")]
    Custom(String),
}

impl Error {
    /// The name of the field at fault, where there is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Error::Invalid { key, .. }
            | Error::Repeated { key }
            | Error::Unknown { key, .. }
            | Error::Refused { key, .. } => Some(key),
            Error::Missing { key } => Some(key),
            Error::Count { .. } | Error::Custom(_) => None,
        }
    }

    pub(super) fn invalid(key: &str, value: &str, expected: impl Into<String>) -> Self {
        Error::Invalid { key: shorten(key), value: shorten(value), expected: expected.into() }
    }

    pub(super) fn repeated(key: &str) -> Self {
        Error::Repeated { key: shorten(key) }
    }

    /// This error as one of the field `key`, unless it already names one.
    pub(super) fn at(self, key: &str) -> Self {
        match self {
            Error::Custom(message) => Error::Refused { key: shorten(key), message },
            error => error,
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error::Custom(shorten(&message.to_string()))
    }

    fn missing_field(key: &'static str) -> Self {
        Error::Missing { key }
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        Error::Unknown { key: shorten(key), expected }
    }
}

/// At most 100 characters of `text`.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(100) {
        None => text.to_string(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
