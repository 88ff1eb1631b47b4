//! A request in the making, and the way it takes: checks, redirects, limits.

use std::{fmt, future::IntoFuture, time::Duration};

use bytes::Bytes;
use cepa_core::{Body, Error, LocalBoxFuture, Result, form};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_LOCATION, CONTENT_TYPE, COOKIE, EXPECT, HOST, LOCATION, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::{Answer, Client, Failure, Stage, url::Url};
use crate::outbound::{Arriving, Progress, Received, Wait};

/// A request in the making; `.await` sends it and waits for the head of the answer.
///
/// The status of the answer is the caller's to look at, or to refuse by [`Answer::ok`].
///
/// Redirects are followed as browsers do: 303, and 301 and 302 to a POST, turn into a GET without the body; 307 and 308
/// send the body again, so it must be in memory. What belongs to one site (`Authorization`, `Cookie`) is not sent to
/// another, and no redirect leads from `https` to `http`.
///
/// # Errors
/// An [`Error`] with a [`Failure`] as its cause and the status that says.
#[must_use = "the request is sent when it is awaited"]
pub struct Call {
    client: Result<Client>,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Body,
    /// The first thing that was wrong with what it was told.
    wrong: Option<Error>,
    total: Option<Duration>,
    limit: Option<u64>,
    redirects: Option<usize>,
}

impl Call {
    pub(super) fn new(client: Result<Client>, method: Method, url: &str) -> Self {
        Self {
            client,
            method,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            wrong: None,
            total: None,
            limit: None,
            redirects: None,
        }
    }

    /// Sets the method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets a header. Those that speak of the connection or the framing are the client's own and are dropped.
    ///
    /// # Errors
    /// When it is awaited: 500 if the name is no token or the value holds control characters.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        let name = name.try_into().map_err(Into::into);
        let value = value.try_into().map_err(Into::into);
        match (name, value) {
            (Ok(name), Ok(value)) => drop(self.headers.insert(name, value)),
            (Err(error), _) | (_, Err(error)) => self.fail(Error::from(error)),
        }
        self
    }

    /// Sets the body; one that is not in memory is streamed.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends a value as JSON.
    ///
    /// # Errors
    /// When it is awaited: 500 if the value does not serialise.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => {
                self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.body(text)
            }
            Err(error) => {
                self.fail(Error::from(error));
                self
            }
        }
    }

    /// Sends pairs as a form.
    pub fn form<'p>(mut self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(CONTENT_TYPE, kind);
        self.body(form::to_string(pairs))
    }

    /// Sets the time for all of it, in place of the client's `total`.
    pub fn timeout(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// Sets the most bytes of the answer, in place of the client's `body`.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Sets how many redirects are followed, in place of the client's `redirects`; with 0 the redirect is the answer.
    pub fn redirects(mut self, most: usize) -> Self {
        self.redirects = Some(most);
        self
    }

    fn fail(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    async fn send(self) -> Result<Answer> {
        let client = self.client?;
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let options = &client.0.options;
        let deadline = Instant::now() + self.total.unwrap_or(options.total);
        let most = self.limit.unwrap_or(options.body);
        let redirects = self.redirects.unwrap_or(options.redirects);
        let mut headers = self.headers;
        prepare(&mut headers, &client);
        let url = Url::parse(&self.url).map_err(Failure::into_error)?;
        let way = Way { client: &client, url, method: self.method, headers, redirects };
        let (response, url) = match timeout_at(deadline, way.go(self.body)).await {
            Ok(answered) => answered?,
            Err(_) => return Err(Failure::Timeout(Stage::Total).into_error()),
        };
        let wait = Wait { pause: None, deadline: Some(deadline), most };
        Ok(Answer::new(response.map(|body| Received::new(body, wait, ())), url))
    }
}

/// Drops what is not the caller's, adds what is missing.
fn prepare(headers: &mut HeaderMap, client: &Client) {
    for name in [CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if let Some(agent) = &client.0.user_agent {
        headers.entry(USER_AGENT).or_insert_with(|| agent.clone());
    }
}

/// A request on its way, from one redirect to the next.
struct Way<'c> {
    client: &'c Client,
    url: Url,
    method: Method,
    headers: HeaderMap,
    redirects: usize,
}

impl Way<'_> {
    async fn go(mut self, mut body: Body) -> Result<(http::Response<Arriving>, String)> {
        let allowed = self.redirects;
        loop {
            let again = body.as_bytes().cloned();
            let response = self.ask(body).await?;
            let Some(location) = redirect(&response).filter(|_| allowed > 0) else {
                return Ok((response, self.url.to_string()));
            };
            if self.redirects == 0 {
                return Err(Failure::Redirects(allowed).into_error());
            }
            self.redirects -= 1;
            body = self.follow(location, response.status(), again).map_err(Failure::into_error)?;
        }
    }

    /// Asks once, where the guard allows it.
    async fn ask(&self, body: Body) -> Result<http::Response<Arriving>> {
        let inner = &*self.client.0;
        let mut request = Request::new(body);
        request.method_mut().clone_from(&self.method);
        *request.uri_mut() = self.url.target.clone().into();
        request.headers_mut().clone_from(&self.headers);
        let host = HeaderValue::try_from(self.url.origin.authority())?;
        request.headers_mut().entry(HOST).or_insert(host);
        let name = self.url.origin.host();
        if !inner.guard.allows_host(name) {
            return Err(Failure::Host { host: name.to_owned() }.into_error());
        }
        let check = |host: &str, addresses| inner.guard.choose(host, addresses);
        let progress = Progress::new();
        let sent = inner.dialer.send(&self.url.origin, request, Some(&check), inner.options.head, &progress);
        sent.await.map_err(|unsent| progress.take_failure().unwrap_or_else(|| unsent.failure.into_error()))
    }

    /// Turns to where a redirect leads; the body that is sent there.
    fn follow(&mut self, location: &str, status: StatusCode, body: Option<Bytes>) -> Result<Body, Failure> {
        let to = self.url.join(location)?;
        let refused = |reason| Failure::Redirect { to: to.to_string(), reason };
        if self.url.origin.tls && !to.origin.tls {
            return Err(refused("it leads from https to http"));
        }
        let becomes_get = match status.as_u16() {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        self.headers.remove(HOST);
        if self.url.origin != to.origin {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
        }
        if becomes_get {
            self.method = Method::GET;
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                self.headers.remove(name);
            }
            self.url = to;
            return Ok(Body::empty());
        }
        let body = body.ok_or_else(|| refused("the body is a stream, which cannot be sent again"))?;
        self.url = to;
        Ok(body.into())
    }
}

/// Where a response redirects to.
fn redirect<B>(response: &http::Response<B>) -> Option<&str> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    std::str::from_utf8(location.as_bytes()).ok()
}

impl IntoFuture for Call {
    type Output = Result<Answer>;
    type IntoFuture = LocalBoxFuture<'static, Result<Answer>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}
