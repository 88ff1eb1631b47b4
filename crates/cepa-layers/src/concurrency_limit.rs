//! Limits how many requests are handled at the same time.
//!
//! It belongs around what it protects, mostly one route or router, and inside of layers that answer without much work.

use std::time::Duration;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::{HeaderValue, header::RETRY_AFTER};
use serde::Deserialize;

use crate::admission::Admission;

/// How many requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Requests that are handled at the same time, by all threads of the process, default 256.
    pub at_once: usize,
    /// Requests that wait to be among them, default 256; with more they are refused at once.
    pub queue: usize,
    /// The longest that one waits, default 1 s; then it is refused.
    #[serde(with = "units::duration")]
    pub wait: Duration,
    /// When those who are refused are told to come back, default 1 s, in whole seconds.
    #[serde(with = "units::duration")]
    pub retry_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { at_once: 256, queue: 256, wait: second, retry_after: second }
    }
}

/// No request would be handled at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("concurrency_limit: at_once must be above 0")]
pub struct NoPlaces;

/// A layer that handles only so many requests at the same time; others wait for a place, in the order of arrival, and
/// get 503 with `Retry-After` where the queue is full or the wait too long.
///
/// A place is taken until the head of the response is known; the body of a stream is sent without one. A request whose
/// client leaves gives up its place, or its place in the queue.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::concurrency_limit;
///
/// let few = concurrency_limit::Options { at_once: 8, queue: 32, ..Default::default() };
/// let app = App::new().with(concurrency_limit(few)?).get("/report", async |_: &mut Ctx| "made with effort");
/// # cepa_core::test::block_on(async {
/// assert_eq!(app.test().get("/report").await.text(), "made with effort");
/// # });
/// # Ok::<(), concurrency_limit::NoPlaces>(())
/// ```
///
/// # Errors
/// When no request could be handled.
pub fn concurrency_limit(options: Options) -> Result<ConcurrencyLimit, NoPlaces> {
    let Options { at_once, queue, wait, retry_after } = options;
    if at_once == 0 {
        return Err(NoPlaces);
    }
    let retry_after = HeaderValue::from(retry_after.as_secs().max(1));
    Ok(ConcurrencyLimit { admission: Admission::new(at_once, queue, wait), retry_after })
}

/// See [`concurrency_limit()`].
#[derive(Debug)]
pub struct ConcurrencyLimit {
    admission: Admission,
    retry_after: HeaderValue,
}

impl Middleware for ConcurrencyLimit {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let Some(_place) = self.admission.enter().await else {
                return Err(Error::status_only(503).with_header(RETRY_AFTER, self.retry_after.clone()));
            };
            next.run(ctx).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::App;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_is_told_to_come_back() {
        let options = Options { at_once: 1, queue: 2, ..Options::default() };
        let client = App::new()
            .with(concurrency_limit(options).unwrap())
            .get("/", async |_: &mut Ctx| {
                tokio::time::sleep(Duration::from_millis(700)).await;
                "a"
            })
            .get("/panics", async |_: &mut Ctx| -> Result { panic!("the place is free again") })
            .test();
        // The first is handled, the second after it; the third waits too long, the fourth finds the queue full.
        let (first, second, third, fourth) =
            tokio::join!(client.get("/"), client.get("/"), client.get("/"), client.get("/"));
        assert_eq!((first.text(), second.text()), ("a", "a"));
        for refused in [third, fourth] {
            assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (503, "1"));
        }
        assert_eq!(client.get("/panics").await.status(), 500);
        {
            let mut left = Box::pin(std::future::IntoFuture::into_future(client.get("/")));
            assert!(tokio::time::timeout(Duration::from_millis(1), &mut left).await.is_err());
        }
        assert_eq!(client.get("/").await.text(), "a");
    }

    #[test]
    fn no_places_are_refused() {
        assert!(concurrency_limit(Options { at_once: 0, ..Options::default() }).is_err());
        assert!(concurrency_limit(Options { at_once: usize::MAX, ..Options::default() }).is_ok());
    }
}
