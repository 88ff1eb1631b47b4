//! What a schedule runs.

use cepa_core::{Error, LocalBoxFuture, Request, Result};
use http::{HeaderValue, Method, header::HOST};

use crate::JobCtx;

/// What a schedule runs: `async |job: &mut JobCtx| -> Result { .. }`, or a function like that.
pub trait Task: Send + Sync + 'static {
    /// Runs it once.
    fn run<'a>(&'a self, job: &'a mut JobCtx) -> LocalBoxFuture<'a, Result>;
}

impl<F> Task for F
where
    F: AsyncFn(&mut JobCtx) -> Result + Send + Sync + 'static,
{
    fn run<'a>(&'a self, job: &'a mut JobCtx) -> LocalBoxFuture<'a, Result> {
        Box::pin(self(job))
    }
}

/// A task that calls the app, as tora's cron does: through all layers, by a request that came over no network.
///
/// It is a GET unless said otherwise, with the host `localhost`. A status of 400 or more is a failure. A handler that is
/// for such calls alone finds `ctx.connection().door()` to be `memory`.
pub fn uri(target: impl Into<String>) -> Uri {
    Uri { method: Method::GET, target: target.into() }
}

/// A task that calls the app, see [`uri`].
#[derive(Clone, Debug)]
pub struct Uri {
    method: Method,
    target: String,
}

impl Uri {
    /// With this method.
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }
}

/// Bytes of an answer that are read; it is thrown away.
const MOST_READ: u64 = 16 << 20;

impl Task for Uri {
    fn run<'a>(&'a self, job: &'a mut JobCtx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let mut request = Request::new(self.method.clone(), self.target.clone());
            request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
            let (status, _, _, mut body) = job.onion().call(request).await.into_parts();
            body.bytes(MOST_READ).await?;
            if status.is_client_error() || status.is_server_error() {
                return Err(Error::new(500, format!("{} {} answered {status}", self.method, self.target)));
            }
            Ok(())
        })
    }
}
