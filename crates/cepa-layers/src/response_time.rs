//! Says how long a response took, in a header.

use std::time::Instant;

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Result};
use serde::Deserialize;

/// How the time is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The header, default `x-response-time`.
    pub header: String,
    /// Digits after the point, default 3, which is microseconds; at most 6.
    pub digits: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { header: "x-response-time".to_owned(), digits: 3 }
    }
}

/// A layer that sets a header to the time that all layers inwards of it took, such as `1.204ms`.
///
/// An error that passes it carries the header too.
pub fn response_time(options: Options) -> ResponseTime {
    ResponseTime { options }
}

/// See [`response_time()`].
#[derive(Clone, Debug)]
pub struct ResponseTime {
    options: Options,
}

impl Middleware for ResponseTime {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let started = Instant::now();
            let result = next.run(ctx).await;
            let millis = started.elapsed().as_secs_f64() * 1e3;
            let digits = usize::from(self.options.digits.min(6));
            ctx.set(self.options.header.as_str(), format!("{millis:.digits$}ms"))?;
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, Error, test::block_on};

    #[test]
    fn answers_and_errors_say_how_long_they_took() {
        let app = App::new()
            .with(response_time(Options { digits: 0, ..Options::default() }))
            .get("/", async |_: &mut Ctx| "a")
            .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::status_only(403)) });
        let client = app.test();
        block_on(async {
            for (path, status) in [("/", 200), ("/fails", 403)] {
                let answer = client.get(path).await;
                assert_eq!(
                    (answer.status().as_u16(), answer.header("x-response-time")),
                    (status, "0ms"),
                    "{path}"
                );
            }
        });
    }
}
