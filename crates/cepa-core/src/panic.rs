//! A panic becomes an error with status 500, a log line, and nothing else.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::Error;

/// What a handler or layer panicked with: the cause of the error it becomes.
///
/// A layer finds it with [`Error::downcast_ref`]. The text is for the log: no client ever gets it.
#[derive(Debug)]
pub struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Runs code of the app and turns a panic into an error.
///
/// What the code had borrowed is used on only by code that sees an ordinary error, so unwind safety is
/// no concern beyond that of `?`.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| panicked(&*payload))
}

/// The error that a panic becomes, by what it was thrown with.
#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    Error::status_only(500).with_cause(Panicked(text.to_owned()))
}
