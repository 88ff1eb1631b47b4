//! Code of the app that panics while the program starts or ends: a failure like others, so that who waits for the start
//! is told, and what was opened is closed.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cepa_core::{Error, LocalBoxFuture, Result};

/// What code of the app has panicked with; where it did, the program has said on its standard error.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

/// Runs code of the app. What it had borrowed is used on only by what comes after an ordinary error as well.
pub(super) fn caught<T>(code: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// Waits for code of the app.
pub(super) async fn caught_within<'a>(hook: impl FnOnce() -> LocalBoxFuture<'a, Result>) -> Result {
    let mut hook = caught(|| Ok(hook()))?;
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(cx))) {
        Ok(turn) => turn,
        Err(panic) => Err(panicked(&*panic)).into(),
    })
    .await
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    Error::status_only(500).with_cause(Panicked(text.to_owned()))
}
