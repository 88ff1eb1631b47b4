//! Gives up on layers and handlers that take too long.
//!
//! It belongs around what it limits, and inside of [`on_error`](crate::on_error()), which answers.

use std::time::Duration;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::StatusCode;
use serde::Deserialize;

/// How long is too long.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The time from here to the head of the response, default 30 s.
    #[serde(with = "units::duration")]
    pub after: Duration,
    /// The status that is answered, 503 (the default) or 504, where another server is what takes long.
    pub status: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { after: Duration::from_secs(30), status: 503 }
    }
}

/// Options that are no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No time at all.
    #[error("timeout: after must be above 0")]
    Zero,
    /// A status that says something else.
    #[error("timeout: status is {0}; it must be 503 or 504")]
    Status(u16),
}

/// A layer that cancels what is inwards of it, and fails with 503 or 504, when that takes too long.
///
/// - What runs is dropped at its next await. What blocks a thread is not stopped, nor is work on a thread apart.
/// - What inner layers have set on the response before stays, as with every error.
/// - The body of a response is not limited: a stream may go on for hours.
/// - The server's own `limits.request_time`, 60 s by default, ends a request as well; a longer time here wants a
///   longer one there, or in the route's [policy](cepa_core::Policy).
///
/// It runs in the runtime of a worker.
///
/// ```
/// use std::time::Duration;
///
/// use cepa_core::{App, Ctx};
/// use cepa_layers::timeout;
///
/// let quick = timeout::Options { after: Duration::from_secs(2), ..Default::default() };
/// let app = App::new().with(timeout(quick)?).get("/", async |_: &mut Ctx| "in time");
/// # Ok::<(), timeout::OptionsError>(())
/// ```
///
/// # Errors
/// A time of 0, or another status.
pub fn timeout(options: Options) -> Result<Timeout, OptionsError> {
    if options.after.is_zero() {
        return Err(OptionsError::Zero);
    }
    match options.status {
        503 => Ok(Timeout { after: options.after, status: StatusCode::SERVICE_UNAVAILABLE }),
        504 => Ok(Timeout { after: options.after, status: StatusCode::GATEWAY_TIMEOUT }),
        other => Err(OptionsError::Status(other)),
    }
}

/// See [`timeout()`].
#[derive(Clone, Debug)]
pub struct Timeout {
    after: Duration,
    status: StatusCode,
}

/// What took too long: the cause of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct TimedOut(pub Duration);

impl Middleware for Timeout {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            match tokio::time::timeout(self.after, next.run(ctx)).await {
                Ok(result) => result,
                Err(_) => Err(Error::status_only(self.status).with_cause(TimedOut(self.after))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::App;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_cancelled() {
        let (done, is_done) = std::sync::mpsc::channel();
        for status in [503, 504] {
            let done = done.clone();
            let client = App::new()
                .with(timeout(Options { after: Duration::from_secs(1), status }).unwrap())
                .get("/quick", async |_: &mut Ctx| {
                    tokio::time::sleep(Duration::from_millis(999)).await;
                    "quick"
                })
                .get("/slow", async move |ctx: &mut Ctx| {
                    ctx.set("x-before", "1")?;
                    tokio::time::sleep(Duration::from_millis(1001)).await;
                    let _ = done.send(());
                    Ok::<_, Error>("slow")
                })
                .test();
            assert_eq!(client.get("/quick").await.text(), "quick");
            let answer = client.get("/slow").await;
            assert_eq!((answer.status().as_u16(), answer.header("x-before")), (status, "1"));
            tokio::time::sleep(Duration::from_secs(9)).await;
            assert!(is_done.try_recv().is_err());
        }
    }

    #[test]
    fn options_that_are_no_limit_are_refused() {
        let zero = Options { after: Duration::ZERO, ..Options::default() };
        assert_eq!(timeout(zero).unwrap_err(), OptionsError::Zero);
        let other = Options { status: 500, ..Options::default() };
        assert_eq!(timeout(other).unwrap_err(), OptionsError::Status(500));
    }
}
