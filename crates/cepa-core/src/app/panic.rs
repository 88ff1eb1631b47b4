//! A panic becomes an error with status 500, a log line, and nothing else.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
};

use crate::Error;

/// What a handler or layer panicked with: the cause of the error it becomes.
#[derive(Debug)]
pub struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Runs a future and turns a panic in it into an error.
///
/// The future is never polled again after it panicked; what it had borrowed is used on only by code
/// that sees an ordinary error, so unwind safety is no concern beyond that of `?`.
pub(crate) async fn catch<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => std::task::Poll::Ready(Err(error(&*payload))),
    })
    .await
}

fn error(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    Error::status_only(500).with_cause(Panicked(text.to_owned()))
}
