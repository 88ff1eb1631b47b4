//! A request that a handler makes on its way to another app of the same process.

mod answer;
mod within;

use std::{
    fmt,
    future::IntoFuture,
    net::{IpAddr, SocketAddr},
    panic::Location,
    rc::Rc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{self, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST},
};
use serde::Serialize;

pub use self::answer::Answer;
use self::within::Within;
use crate::{Body, Ctx, Error, Handling, LocalBoxFuture, Peer, Request, Result, TlsInfo, form, host};

/// Why nobody was asked, the cause of the error that [`Ctx::call`] fails with: a 500, but for [`Depth`](Self::Depth).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// No host answers for the name.
    #[error("no host answers for {0:?}")]
    Host(String),
    /// What was asked for is no path.
    #[error("{0:?} is no path to ask for: it begins with a slash and is visible ASCII without '#'")]
    Path(String),
    /// Calls are nested too deep, mostly because two apps call each other: 508.
    #[error("calls are nested too deep (limits.call_depth): {0}{1} is not asked")]
    Depth(String, String),
    /// A header cannot be sent, or the value for a body cannot be written as JSON.
    #[error("{0} cannot be sent: {1}")]
    Unusable(&'static str, String),
}

/// A request in the making, see [`Ctx::call`]; `.await` sends it.
#[must_use = "the request is made when it is awaited"]
pub struct Call<'c> {
    ctx: &'c Ctx,
    place: &'static Location<'static>,
    method: Method,
    host: String,
    uri: String,
    params: String,
    headers: HeaderMap,
    body: Option<Body>,
    is_client: bool,
    most: u64,
    fault: Option<Unanswered>,
}

impl<'c> Call<'c> {
    pub(crate) fn new(
        ctx: &'c Ctx,
        host: &str,
        uri: &str,
        params: &[(&str, &str)],
        place: &'static Location<'static>,
    ) -> Self {
        Self {
            ctx,
            place,
            method: Method::GET,
            host: host.to_owned(),
            uri: uri.to_owned(),
            params: form::to_string(params.iter().copied()),
            headers: HeaderMap::new(),
            body: None,
            is_client: false,
            most: Body::DEFAULT_LIMIT,
            fault: None,
        }
    }

    /// Sets the method; without this it is GET.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        let pair = name
            .try_into()
            .map_err(Into::into)
            .and_then(|name| Ok((name, value.try_into().map_err(Into::into)?)));
        match pair {
            Ok((name, value)) => drop(self.headers.append(name, value)),
            Err(error) => self.fail("a header", &error),
        }
        self
    }

    /// Sets the body. A stream is read as the app asks for it.
    ///
    /// What is read of it has the limit of a request from a client without one, [`Body::DEFAULT_LIMIT`], which a route may
    /// override.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends a value as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.body(json)
            }
            Err(error) => {
                self.fail("the value", &error);
                self
            }
        }
    }

    /// Lends the app the client of this request: its cookies, its `Authorization`, and its address as this app knows it.
    ///
    /// What the app sets in its answer, cookies among it, still goes to the caller alone.
    pub fn as_client(mut self) -> Self {
        self.is_client = true;
        self
    }

    /// Sets the most bytes of an answer that are [collected](Answer::bytes); without this they are
    /// [`Body::DEFAULT_LIMIT`].
    pub fn limit(mut self, bytes: u64) -> Self {
        self.most = bytes;
        self
    }

    fn fail(&mut self, what: &'static str, error: &dyn fmt::Display) {
        self.fault.get_or_insert(Unanswered::Unusable(what, error.to_string()));
    }

    /// The request on its way; `asked` says for whom it is.
    fn send(mut self) -> Result<(Handling, String), Unanswered> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let (host, uri) = (std::mem::take(&mut self.host), std::mem::take(&mut self.uri));
        if !uri.starts_with('/') || !uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Unanswered::Path(uri));
        }
        let connection = self.ctx.request.connection();
        let Some(left) = connection.calls_left().checked_sub(1) else {
            return Err(Unanswered::Depth(host, uri));
        };
        let (app, place) = self.ctx.answers(&host)?;
        let authority = if host.is_empty() { self.ctx.host() } else { &host };
        let asked = format!("{authority}{uri}");
        if let Ok(value) = HeaderValue::from_str(authority)
            && host::validate(authority.as_bytes()).is_ok()
        {
            self.headers.insert(HOST, value);
        }
        let peer = match self.is_client {
            true => self.lend(),
            false => Peer::None,
        };
        let tls = self.ctx.secure().then(|| connection.tls().map_or_else(TlsInfo::default, TlsInfo::clone));
        let within = Within { outer: Rc::clone(connection), left, peer, tls };
        let mut request = self.request(uri);
        request.set_connection(Rc::new(within));
        Ok((Handling::new(app, request, place), asked))
    }

    /// Adds what the client has sent of itself, and gives its address.
    fn lend(&mut self) -> Peer {
        for name in [COOKIE, AUTHORIZATION] {
            // What was set for this call has the word.
            if !self.headers.contains_key(&name) {
                for value in self.ctx.request.headers().get_all(&name) {
                    self.headers.append(&name, value.clone());
                }
            }
        }
        let peer = self.ctx.request.connection().peer();
        let is_peer = |ip: IpAddr| peer.ip() == Some(ip);
        match self.ctx.ip() {
            // A proxy has connected, and is believed.
            Some(ip) if !is_peer(ip) => Peer::Ip(SocketAddr::new(ip, 0)),
            _ => peer,
        }
    }

    fn request(self, uri: String) -> Request {
        let is_form =
            matches!(self.method, Method::POST | Method::PUT | Method::PATCH) && self.body.is_none();
        let mut headers = self.headers;
        let (target, body) = match (self.params.is_empty(), is_form) {
            (false, true) => {
                headers.entry(CONTENT_TYPE).or_insert(FORM);
                (uri, Body::from(self.params))
            }
            (false, false) => {
                let joint = if uri.contains('?') { '&' } else { '?' };
                (format!("{uri}{joint}{}", self.params), self.body.unwrap_or_default())
            }
            (true, _) => (uri, self.body.unwrap_or_default()),
        };
        headers.remove(CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        match body.len() {
            Some(0) if !is_form => {}
            Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
            None => drop(headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        }
        let mut request = Request::new(self.method, target);
        *request.headers_mut() = headers;
        request.set_body(body);
        request.body_mut().set_limit(Body::DEFAULT_LIMIT);
        request
    }
}

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl IntoFuture for Call<'_> {
    type Output = Result<Answer>;
    type IntoFuture = LocalBoxFuture<'static, Result<Answer>>;

    /// Sends the request. The future borrows nothing, so that several may be on their way at once.
    fn into_future(self) -> Self::IntoFuture {
        let (place, most) = (self.place, self.most);
        let sent = self.send().map_err(|fault| {
            let status = if matches!(fault, Unanswered::Depth(..)) { 508 } else { 500 };
            Error::status_only(status).with_cause(fault).at(place)
        });
        Box::pin(async move {
            let (handling, asked) = sent?;
            Ok(Answer::new(handling.await, asked, most))
        })
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}
