//! The way of one request: an upstream is chosen, asked, and if it is safe the next one.

use cepa_core::{Body, Ctx, Error, Result};
use http::{HeaderValue, header::RETRY_AFTER};

use super::{
    Proxy,
    request::Head,
    upstream::{Lease, Tried},
};
use crate::outbound::{Failure, Progress, Stage, Unsent};

impl Proxy {
    /// Has a request answered by an upstream.
    pub(super) async fn forward(&self, ctx: &mut Ctx) -> Result {
        self.watch();
        let inner = &*self.0;
        let head = Head::new(ctx, inner)?;
        let mut body = ctx.request.take_body();
        if body.is_empty() && ctx.request.length().is_some_and(|length| length > 0) {
            return Err(Error::new(500, "a layer outside of the proxy has read the body"));
        }
        if head.upgrade.is_some() {
            return self.switch(ctx, &head).await;
        }
        let repeatable = head.method.is_idempotent() && body.is_empty();
        let mut tried = Tried::default();
        let mut retries = inner.options.retries;
        loop {
            let lease = inner.upstreams.choose(&mut tried).ok_or_else(busy)?;
            let request = head.request(&lease.upstream, inner.options.host, body)?;
            let progress = Progress::new();
            let origin = &lease.upstream.origin;
            let answer = inner.dialer.send(origin, request, None, inner.options.head, &progress).await;
            let Unsent { failure, request } = match answer {
                Ok(answer) => {
                    inner.upstreams.succeeded(&lease.upstream);
                    return inner.answer(ctx, answer, lease);
                }
                Err(unsent) => unsent,
            };
            if let Some(error) = progress.take_failure() {
                // The client is at fault: its body broke off or is too long.
                return Err(error);
            }
            // So it is if the rest of its body does not come, whether the upstream waits for that in vain or hangs up.
            match failure {
                Failure::Timeout(Stage::Head) if progress.is_starved() => {
                    return Err(Error::status_only(408).with_cause(failure));
                }
                Failure::Http(_) if progress.is_starved() => {}
                _ => self.note(&failure, &lease),
            }
            let may_repeat = repeatable && matches!(failure, Failure::Http(_));
            body = match request {
                Some(request) => request.into_body(),
                None if may_repeat => Body::empty(),
                None => return Err(failure.into_error()),
            };
            if retries == 0 || tried.all(&inner.upstreams) {
                return Err(failure.into_error());
            }
            retries -= 1;
        }
    }

    /// Asks an upstream to switch protocols, and ties the client to it if it does.
    async fn switch(&self, ctx: &mut Ctx, head: &Head) -> Result {
        let inner = &*self.0;
        let mut tried = Tried::default();
        let mut retries = inner.options.retries;
        loop {
            let lease = inner.upstreams.choose(&mut tried).ok_or_else(busy)?;
            let request = head.request_switch(&lease.upstream, inner.options.host)?;
            let answer = inner.dialer.send_upgrade(&lease.upstream.origin, request, inner.options.head).await;
            let Unsent { failure, request } = match answer {
                Ok(answer) => {
                    inner.upstreams.succeeded(&lease.upstream);
                    return inner.switched(ctx, head, answer, lease);
                }
                Err(unsent) => unsent,
            };
            self.note(&failure, &lease);
            // Once it has left it may have begun something.
            if request.is_none() || retries == 0 || tried.all(&inner.upstreams) {
                return Err(failure.into_error());
            }
            retries -= 1;
        }
    }

    /// Counts what an upstream is to blame for; a request that cannot be sent is none of it, or clients could take an
    /// upstream away.
    fn note(&self, failure: &Failure, lease: &Lease) {
        if matches!(failure, Failure::Http(error) if error.is_user()) {
            return;
        }
        self.0.upstreams.failed(&lease.upstream);
        tracing::debug!(target: "cepa::proxy", upstream = %lease.upstream.origin, %failure, "an upstream failed");
    }
}

fn busy() -> Error {
    Error::status_only(503).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}
