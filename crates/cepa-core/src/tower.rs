//! The bridge to tower: a `tower::Service` as a handler, an app as a `tower::Service`.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower_service::Service;

use crate::{
    Body, Ctx, Error, Handler, LocalBoxFuture, Onion, Reply, Request, Response, Result,
    body::{Pump, SendBody},
};

/// A `tower::Service` as a handler; it is cloned for each request.
#[derive(Debug)]
pub struct Tower<S>(S);

impl<S> Tower<S> {
    /// Takes the service.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Handler<()> for Tower<S>
where
    S: Service<http::Request<SendBody>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let mut service = self.0.clone();
            let (parts, body) = ctx.request.to_http()?.into_parts();
            let (body, mut pump) = SendBody::split(body);
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            let mut call = std::pin::pin!(service.call(http::Request::from_parts(parts, body)));
            let answer = poll_fn(|cx| {
                if let Some(running) = &mut pump
                    && running.poll(cx).is_ready()
                {
                    pump = None;
                }
                call.as_mut().poll(cx)
            })
            .await
            .map_err(failed)?;
            let answer = answer.map(|body| match pump {
                // The service goes on reading the request while its answer streams.
                Some(pump) => Body::new(WithPump { body: Body::new(body), pump }),
                None => Body::new(body),
            });
            Response::from(answer).reply(ctx)
        })
    }

    fn name(&self) -> std::borrow::Cow<'static, str> {
        std::any::type_name::<S>().into()
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::status_only(500).with_cause(error)
}

/// A response body that keeps feeding the request body its service still reads.
struct WithPump {
    body: Body,
    pump: Pump,
}

impl HttpBody for WithPump {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        // Whether the pump is done or not, the body decides when the answer ends.
        let _ = self.pump.poll(cx);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An app as a `tower::Service`, for hyper and tower stacks whose futures stay on one thread.
///
/// - A request body has the limit [`Body::DEFAULT_LIMIT`], unless its route sets another.
/// - The peer and TLS are those of a [`Memory`](crate::Memory) in the request's extensions, if there is one.
/// - What handlers [defer](crate::Ctx::defer) is done before the answer.
/// - The authority of the URI, if there is one, takes the place of `Host`.
///
/// ```
/// use cepa_core::{App, Body, Ctx};
/// use tower_service::Service;
///
/// let app = App::new().get("/", async |_: &mut Ctx| "hi");
/// let mut service = app.into_service()?;
/// let answer = service.call(http::Request::new(Body::empty()));
/// # cepa_core::test::block_on(async {
/// assert_eq!(answer.await.unwrap().status(), 200);
/// # });
/// # Ok::<(), cepa_core::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AppService(pub(crate) Arc<Onion>);

impl<B> Service<http::Request<B>> for AppService
where
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut request = Request::from(request.map(Body::new));
        request.body_mut().set_limit(Body::DEFAULT_LIMIT);
        let onion = Arc::clone(&self.0);
        Box::pin(async move { Ok(onion.call(request).await.into()) })
    }
}
