//! Sending a request to an origin and waiting for the head of the answer.

use std::{future::Future, pin::pin, rc::Rc, sync::Arc, time::Duration};

use cepa_core::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::{task::spawn_local, time::timeout_at};

use super::{
    DialOptions, Failure, Origin, Stage,
    body::{Arriving, Outgoing, Progress},
    connect::{Resolved, Stream, open},
    pool::{Place, Pool, Sender},
    tls::Tls,
};

/// Opens connections and sends requests on them; one is shared by all workers.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: DialOptions,
    tls: Arc<Tls>,
    /// What the pools of the workers know it by.
    identity: Arc<()>,
}

/// A request that failed, and itself where none of it has left: then it may be sent elsewhere, whatever its method.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) failure: Failure,
    pub(crate) request: Option<Request<Body>>,
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self { failure, request: None }
    }
}

impl Dialer {
    pub(crate) fn new(options: DialOptions) -> Result<Self, Failure> {
        let tls = Arc::new(Tls::new(options.http, options.ca_file.as_deref())?);
        Ok(Self { options, tls, identity: Arc::new(()) })
    }

    /// Sends a request and waits for the head of the answer, at most `head` after the last piece of the body was taken.
    ///
    /// The target of the request has origin form, and there is a `Host`; no header speaks of framing or the connection.
    /// A request that was put on a kept connection while the other end closed that is sent again on a new one, if it is
    /// whole or may be repeated.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        mut request: Request<Body>,
        check: Option<Resolved<'_>>,
        head: Duration,
        progress: &Rc<Progress>,
    ) -> Result<Response<Arriving>, Unsent> {
        let pool = Pool::of(&self.identity);
        while let Some(sender) = pool.take(origin) {
            let spare = spare(&request);
            let answer = self.exchange(&pool, origin, sender, request, head, progress).await;
            if answer.is_err() {
                pool.forget(origin);
            }
            match answer {
                Err(Unsent { request: Some(unsent), .. }) => request = unsent,
                Err(Unsent { failure: Failure::Http(error), request: None }) if broke_off(&error) => {
                    request = spare.ok_or(Failure::Http(error))?;
                }
                other => return other,
            }
        }
        let sender = match self.open(&pool, origin, check).await {
            Ok(sender) => sender,
            Err(failure) => return Err(Unsent { failure, request: Some(request) }),
        };
        self.exchange(&pool, origin, sender, request, head, progress).await
    }

    /// A connection that nobody uses yet.
    async fn open(
        &self,
        pool: &Rc<Pool>,
        origin: &Origin,
        check: Option<Resolved<'_>>,
    ) -> Result<Sender, Failure> {
        let place = pool.place(self.options.connections)?;
        let opened = open(origin, &self.options, &self.tls, check, false).await?;
        pool.begin(origin, opened, place, self.options.idle).await
    }

    /// Sends a request that asks for another protocol, on a connection of its own, by HTTP/1.1. The headers that ask
    /// for it are the caller's.
    pub(crate) async fn send_upgrade(
        &self,
        origin: &Origin,
        request: Request<Body>,
        head: Duration,
    ) -> Result<Response<Arriving>, Unsent> {
        let pool = Pool::of(&self.identity);
        let opened = match pool.place(self.options.connections) {
            Ok(place) => {
                let opened = open(origin, &self.options, &self.tls, None, true).await;
                opened.map(|opened| (opened, place))
            }
            Err(failure) => Err(failure),
        };
        let (opened, place) = match opened {
            Ok(opened) => opened,
            Err(failure) => return Err(Unsent { failure, request: Some(request) }),
        };
        let Sender::One(mut sender, place) = pool.begin(origin, opened, place, self.options.idle).await?
        else {
            return Err(Failure::Switch.into());
        };
        let progress = Progress::new();
        let request = request.map(|body| Outgoing::new(body, Rc::clone(&progress)));
        let answer = await_head(sender.send_request(request), &progress, head).await?;
        Ok(arriving(answer.map_err(Failure::Http)?, place))
    }

    /// A connection for whatever the caller speaks on it, which counts among no others.
    pub(crate) async fn connect(
        &self,
        origin: &Origin,
        check: Option<Resolved<'_>>,
    ) -> Result<Stream, Failure> {
        Ok(open(origin, &self.options, &self.tls, check, true).await?.stream)
    }

    async fn exchange(
        &self,
        pool: &Rc<Pool>,
        origin: &Origin,
        sender: Sender,
        request: Request<Body>,
        head: Duration,
        progress: &Rc<Progress>,
    ) -> Result<Response<Arriving>, Unsent> {
        progress.begin();
        match sender {
            Sender::One(mut sender, place) => {
                let request = outgoing(for_one(request, self.options.to_proxy), progress);
                let answer = await_head(sender.try_send_request(request), progress, head).await?;
                let answer = answer.map_err(unsent)?;
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(Failure::Switch.into());
                }
                let (pool, origin, keep) = (Rc::downgrade(pool), origin.clone(), self.options.idle);
                let answer = arriving(answer, place.clone());
                spawn_local(async move {
                    // It is free once the answer was read to its end; one that is not read is closed.
                    if sender.ready().await.is_ok()
                        && let Some(pool) = pool.upgrade()
                    {
                        pool.put(origin, (sender, place), keep);
                    }
                });
                Ok(answer)
            }
            Sender::Two(mut sender, place) => {
                let request = outgoing(for_two(request, origin)?, progress);
                let answer = await_head(sender.try_send_request(request), progress, head).await?;
                answer.map(|answer| arriving(answer, place)).map_err(unsent)
            }
        }
    }
}

/// The request once more, if it may be sent twice and is nothing but a head.
fn spare(request: &Request<Body>) -> Option<Request<Body>> {
    let repeatable =
        request.method().is_idempotent() && request.body().as_bytes().is_some_and(|b| b.is_empty());
    repeatable.then(|| {
        let mut spare = Request::new(Body::empty());
        spare.method_mut().clone_from(request.method());
        spare.uri_mut().clone_from(request.uri());
        spare.headers_mut().clone_from(request.headers());
        spare
    })
}

/// Whether a kept connection was closed at the other end before it answered anything.
fn broke_off(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

fn unsent(mut error: TrySendError<Request<Outgoing>>) -> Unsent {
    let request = error.take_message().map(|request| request.map(Outgoing::into_body));
    Unsent { failure: Failure::Http(error.into_error()), request }
}

fn arriving(answer: Response<Incoming>, place: Place) -> Response<Arriving> {
    answer.map(|body| Arriving::new(body, place))
}

fn outgoing(request: Request<Body>, progress: &Rc<Progress>) -> Request<Outgoing> {
    request.map(|body| Outgoing::new(body, Rc::clone(progress)))
}

/// The request with the framing of HTTP/1.1, which is made here and nowhere else.
fn for_one(mut request: Request<Body>, to_proxy: bool) -> Request<Body> {
    *request.version_mut() = Version::HTTP_11;
    if !to_proxy && let Some(authority) = request.uri().authority() {
        // It came back from an HTTP/2 connection that has taken none.
        let host = HeaderValue::from_str(authority.as_str());
        let target = request.uri().path_and_query().map(|path| Uri::from(path.clone()));
        if let Ok(host) = host {
            request.headers_mut().insert(HOST, host);
        }
        *request.uri_mut() = target.unwrap_or_default();
    }
    let length = request.body().len();
    let asks_for_body = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE | Method::CONNECT
    );
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    match length {
        Some(0) if !asks_for_body => {}
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
    request
}

/// The request as HTTP/2 has it: the host in `:authority`, nothing that speaks of the connection.
fn for_two(mut request: Request<Body>, origin: &Origin) -> Result<Request<Body>, Failure> {
    *request.version_mut() = Version::HTTP_2;
    let length = request.body().len();
    let headers = request.headers_mut();
    let host = headers.remove(HOST);
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.filter(|length| *length > 0) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let asked = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = match asked.or_else(|| request.uri().authority().cloned()) {
        Some(authority) => authority,
        None => Authority::try_from(origin.authority()).map_err(|_| no_url(origin))?,
    };
    let mut parts = Parts::default();
    parts.scheme = Some(if origin.tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    let path = request.uri().path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| no_url(origin))?;
    Ok(request)
}

fn no_url(origin: &Origin) -> Failure {
    Failure::Url { url: origin.to_string(), reason: "it has no authority" }
}

/// Waits for the head, anew with each piece of the body that is taken: who sends much is not slow.
async fn await_head<F: Future>(answer: F, progress: &Progress, head: Duration) -> Result<F::Output, Failure> {
    let mut answer = pin!(answer);
    loop {
        let deadline = progress.last() + head;
        match timeout_at(deadline, answer.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) if progress.last() + head > deadline => {}
            Err(_) => return Err(Failure::Timeout(Stage::Head)),
        }
    }
}
