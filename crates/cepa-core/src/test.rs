//! A client for tests: calls an app in memory, without a socket and without a runtime of its own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::{Future, IntoFuture},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Body, LocalBoxFuture, Onion, Request,
    connection::{Memory, Peer, TlsInfo},
    date,
};

/// Calls an app as a browser would: keeps cookies whatever their path, sends `Host: localhost`.
///
/// Request bodies have the limit [`Body::DEFAULT_LIMIT`].
///
/// ```
/// use cepa_core::{App, Ctx};
///
/// let client = App::new().post("/echo", async |ctx: &mut Ctx| ctx.text().await).test();
/// # cepa_core::test::block_on(async {
/// let answer = client.post("/echo").body("hi").await;
/// assert_eq!((answer.status().as_u16(), answer.text()), (200, "hi"));
/// # });
/// ```
#[derive(Debug)]
pub struct Client {
    onion: Arc<Onion>,
    cookies: Rc<RefCell<BTreeMap<String, String>>>,
    peer: Peer,
    tls: bool,
}

impl Client {
    /// A client of this app, with no cookies, on `127.0.0.1`, without TLS.
    pub fn new(onion: Arc<Onion>) -> Self {
        let peer = Peer::Ip(SocketAddr::from(([127, 0, 0, 1], 50_000)));
        Self { onion, cookies: Rc::default(), peer, tls: false }
    }

    /// Claims to come from this address.
    #[must_use]
    pub fn from(mut self, peer: SocketAddr) -> Self {
        self.peer = Peer::Ip(peer);
        self
    }

    /// Claims to come over TLS.
    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// A request with any method.
    pub fn request(&self, method: Method, target: &str) -> Call<'_> {
        Call {
            client: self,
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
        }
    }

    /// A GET request.
    pub fn get(&self, target: &str) -> Call<'_> {
        self.request(Method::GET, target)
    }

    /// A HEAD request.
    pub fn head(&self, target: &str) -> Call<'_> {
        self.request(Method::HEAD, target)
    }

    /// A POST request.
    pub fn post(&self, target: &str) -> Call<'_> {
        self.request(Method::POST, target)
    }

    /// A PUT request.
    pub fn put(&self, target: &str) -> Call<'_> {
        self.request(Method::PUT, target)
    }

    /// A PATCH request.
    pub fn patch(&self, target: &str) -> Call<'_> {
        self.request(Method::PATCH, target)
    }

    /// A DELETE request.
    pub fn delete(&self, target: &str) -> Call<'_> {
        self.request(Method::DELETE, target)
    }

    /// The value of a cookie that the app has set.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            let mut parts = line.split(';');
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let mut cookies = self.cookies.borrow_mut();
            match parts.any(is_past) {
                true => drop(cookies.remove(name)),
                false => drop(cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }
}

/// Whether an attribute of a cookie says that it has ended.
fn is_past(attribute: &str) -> bool {
    let (name, value) = attribute.trim().split_once('=').unwrap_or_default();
    match name {
        _ if name.eq_ignore_ascii_case("max-age") => value.parse().is_ok_and(|seconds: i64| seconds <= 0),
        _ if name.eq_ignore_ascii_case("expires") => {
            date::parse(value).is_some_and(|end| end <= SystemTime::now())
        }
        _ => false,
    }
}

/// A request in the making; `.await` sends it.
#[derive(Debug)]
#[must_use = "the request is sent when it is awaited"]
pub struct Call<'c> {
    client: &'c Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

impl Call<'_> {
    /// Adds a header.
    ///
    /// # Panics
    /// When name or value are not usable in a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a test gives a usable header name");
        self.headers.append(name, HeaderValue::try_from(value).expect("a test gives a usable header value"));
        self
    }

    /// Sets the body, and its length where it is known.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        match self.body.len() {
            Some(length) => drop(self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length))),
            None => drop(self.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        }
        self
    }

    /// Sends a value as JSON.
    ///
    /// # Panics
    /// When the value does not serialise.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body(serde_json::to_vec(value).expect("a test gives a value that serialises"))
    }

    /// Sends a form.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(header::CONTENT_TYPE, kind);
        self.body(crate::form::to_string(pairs.iter().copied()))
    }
}

impl<'c> IntoFuture for Call<'c> {
    type Output = Answer;
    type IntoFuture = LocalBoxFuture<'c, Answer>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            self.headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
            let cookies: Vec<String> =
                self.client.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !cookies.is_empty()
                && let Ok(value) = HeaderValue::try_from(cookies.join("; "))
            {
                self.headers.entry(header::COOKIE).or_insert(value);
            }
            let tls = self.client.tls.then(TlsInfo::default);
            let mut request = Request::new(self.method, self.target);
            request.set_connection(Rc::new(Memory { peer: self.client.peer.clone(), tls }));
            *request.headers_mut() = self.headers;
            request.set_body(self.body);
            request.body_mut().set_limit(Body::DEFAULT_LIMIT);
            let (status, _, mut headers, mut body) = self.client.onion.call(request).await.into_parts();
            self.client.keep_cookies(&headers);
            // As every door says it of a body that it sends.
            if let Some(length) = body.len().filter(|length| *length > 0) {
                headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
            }
            let bytes = body.bytes(u64::MAX).await;
            Answer { status, headers, bytes: bytes.expect("the response stream does not fail") }
        })
    }
}

/// What an app answered.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The text of a header; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the body is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes).expect("the body is the JSON asked for")
    }
}

/// Runs a future, or what becomes one, to its end on this thread, for tests that need no runtime.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future.into_future());
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
