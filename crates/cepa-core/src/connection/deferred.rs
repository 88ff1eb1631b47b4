//! Work that a handler leaves for the time after its answer.

use std::{
    cell::RefCell,
    future::poll_fn,
    net::SocketAddr,
    panic::Location,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, StatusCode};

use super::{Connection, Peer, Policy, TlsInfo};
use crate::{Ctx, Error, LocalBoxFuture, Onion, Request, Response, Result, panic};

impl Ctx {
    /// Does this once the response was sent, or cannot be sent any more: what the client need not wait for.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Result};
    ///
    /// async fn order(ctx: &mut Ctx) -> Result<&'static str> {
    ///     let address = ctx.text().await?;
    ///     ctx.defer(async move { send_mail(&address).await })?;
    ///     Ok("thank you")
    /// }
    /// # async fn send_mail(_: &str) -> Result { Ok(()) }
    /// # let client = App::new().post("/", order).test();
    /// # cepa_core::test::block_on(async { assert_eq!(client.post("/").body("a@b").await.text(), "thank you") });
    /// ```
    ///
    /// - It owns what it needs, runs on the thread of the request, and yields to requests wherever it awaits.
    /// - A failure or a panic is a line in the log; nobody else hears of it.
    /// - A server that drains waits for it, as for a request. A process that is killed loses it: what must be done
    ///   belongs into a queue of jobs.
    /// - It is done too when the handler fails afterwards, or its client goes away.
    /// - The test client, and an app that is a `tower::Service`, do it before they hand out the answer.
    ///
    /// # Errors
    /// 503 when more is deferred than the server's `limits.deferred`, and where nothing can be deferred: it is not done
    /// then.
    #[track_caller]
    pub fn defer(&self, work: impl Future<Output = Result> + 'static) -> Result {
        let place = Location::caller();
        let refused = self.connection().defer(Box::pin(logged(work, place)));
        refused.map_err(|_| Error::new(503, "there is no room for more work after responses").at(place))
    }
}

/// Does work, and logs its failure.
async fn logged(work: impl Future<Output = Result>, place: &'static Location<'static>) {
    let mut work = pin!(work);
    let done = poll_fn(|cx| match panic::catch(|| work.as_mut().poll(cx)) {
        Ok(polled) => polled,
        Err(panicked) => Poll::Ready(Err(panicked)),
    });
    if let Err(error) = done.await {
        tracing::error!(target: "cepa", %error, %place, "deferred work failed");
    }
}

impl Onion {
    /// [`handle`](Self::handle) for callers that are no door: what handlers [defer](Ctx::defer) is done before this
    /// answers.
    pub async fn call(self: &Arc<Self>, mut request: Request) -> Response {
        let holding = Rc::new(Holding { inner: Rc::clone(request.connection()), work: RefCell::default() });
        request.set_connection(Rc::clone(&holding) as Rc<dyn Connection>);
        let response = self.handle(request).await;
        loop {
            // Work may defer more, if it has kept the connection.
            let work = holding.work.take();
            if work.is_empty() {
                return response;
            }
            for work in work {
                work.await;
            }
        }
    }
}

/// The most that one request defers.
const MOST: usize = 1_000;

/// A connection that holds what is deferred.
struct Holding {
    inner: Rc<dyn Connection>,
    work: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
}

impl Connection for Holding {
    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        let mut all = self.work.borrow_mut();
        if all.len() >= MOST {
            return Err(work);
        }
        all.push(work);
        Ok(())
    }

    fn door(&self) -> &'static str {
        self.inner.door()
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.inner.local()
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.inner.tls()
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_closed(cx)
    }

    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.inner.inform(status, headers)
    }

    fn set_policy(&self, policy: Policy) {
        self.inner.set_policy(policy);
    }

    fn calls_left(&self) -> u32 {
        self.inner.calls_left()
    }

    fn is_draining(&self) -> bool {
        self.inner.is_draining()
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_draining(cx)
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        self.inner.draining()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::Method;

    use super::*;
    use crate::{App, test::block_on};

    #[test]
    fn work_is_done_after_the_handler_whatever_becomes_of_it() {
        let done: Arc<Mutex<Vec<&str>>> = Arc::default();
        let notes = Arc::clone(&done);
        let app = App::new().get("/{what}", async move |ctx: &mut Ctx| -> Result<&'static str> {
            let first = Arc::clone(&notes);
            let second = Arc::clone(&notes);
            ctx.defer(async { panic!("this is logged") })?;
            ctx.defer(async { Err(Error::new(500, "and this")) })?;
            ctx.defer(async move {
                first.lock().unwrap().push("deferred");
                Ok(())
            })?;
            second.lock().unwrap().push("handled");
            match ctx.param("what").as_deref() {
                Some("fail") => Err(ctx.error(418, "no")),
                Some("many") => loop {
                    ctx.defer(async { Ok(()) })?;
                },
                _ => Ok("answer"),
            }
        });
        let client = app.test();
        for (path, status) in [("/a", 200), ("/fail", 418), ("/many", 503)] {
            assert_eq!(block_on(client.get(path)).status(), status, "{path}");
            assert_eq!(std::mem::take(&mut *done.lock().unwrap()), ["handled", "deferred"], "{path}");
        }
    }

    #[test]
    fn where_nothing_can_be_deferred_it_is_an_error() {
        let app = App::new().get("/", async |ctx: &mut Ctx| ctx.defer(async { Ok(()) }));
        let answer = block_on(app.build().unwrap().handle(Request::new(Method::GET, "/")));
        assert_eq!(answer.status(), 503);
    }
}
