//! The request as a door hands it in.

use std::{borrow::Cow, fmt, rc::Rc};

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Uri, Version,
    header::{self, CONTENT_TYPE, HOST},
};

use crate::{
    Body, Error, Result,
    connection::{Connection, Memory},
    headers::Headers,
    media_type,
    target::Target,
};

/// A request: method, target, headers, body, and the connection it came by.
pub struct Request {
    method: Method,
    target: Target,
    /// The target at arrival, kept once the app has changed it.
    original: Option<Box<Target>>,
    /// Below which the server in front has mounted the app; mostly empty.
    mount_path: String,
    version: Version,
    headers: Headers,
    body: Body,
    extensions: Extensions,
    connection: Rc<dyn Connection>,
}

impl Request {
    /// A request without headers or a body, by no connection.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self::from_door(
            method,
            Target::new(target),
            Version::HTTP_11,
            Headers::new(),
            Body::empty(),
            Rc::new(Memory::default()),
        )
    }

    /// A request as a door has read it. The door has checked every part.
    #[inline]
    pub fn from_door(
        method: Method,
        target: Target,
        version: Version,
        headers: impl Into<Headers>,
        body: Body,
        connection: Rc<dyn Connection>,
    ) -> Self {
        Self {
            method,
            target,
            original: None,
            mount_path: String::new(),
            version,
            headers: headers.into(),
            body,
            extensions: Extensions::new(),
            connection,
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Changes the method that routing sees.
    pub fn set_method(&mut self, method: Method) {
        self.method = method;
    }

    /// The target that routing sees.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Changes the target that routing sees; the original is kept.
    pub fn change_target(&mut self, change: impl FnOnce(&mut Target)) {
        if self.original.is_none() {
            self.original = Some(Box::new(self.target.clone()));
        }
        change(&mut self.target);
    }

    /// Says that whoever is in front has mounted the app at this prefix of the path, as a front server does by
    /// `SCRIPT_NAME`: the app sees the path below it, and finds the prefix in [`Ctx::mount_path`](crate::Ctx::mount_path).
    ///
    /// `false`, and nothing is changed, where the path is not at or below the prefix.
    pub fn mount_at(&mut self, prefix: &str) -> bool {
        let prefix = prefix.trim_end_matches('/');
        let below = match self.target.path().strip_prefix(prefix) {
            Some("") => "/".to_owned(),
            Some(below) if below.starts_with('/') => below.to_owned(),
            _ => return false,
        };
        if !prefix.is_empty() {
            self.change_target(|target| target.set_path(&below));
            self.mount_path.push_str(prefix);
        }
        true
    }

    /// The prefix of [`mount_at`](Self::mount_at), for the ctx.
    pub(crate) fn take_mount_path(&mut self) -> String {
        std::mem::take(&mut self.mount_path)
    }

    /// The target at arrival.
    pub fn original_target(&self) -> &Target {
        self.original.as_deref().unwrap_or(&self.target)
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The headers as a map. It is made when first asked for: for a look at one header, [`get`](Self::get)
    /// is faster.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// The headers as they came, without making a map of them.
    pub fn fields(&self) -> &Headers {
        &self.headers
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.map_mut()
    }

    /// Gives the memory of the headers back for the next request.
    pub(crate) fn reuse_headers(&mut self) {
        self.headers.reuse();
    }

    /// The value of a header, `None` when it is missing or not visible ASCII.
    ///
    /// `Referer` and `Referrer` are one header.
    #[expect(clippy::needless_pass_by_value, reason = "names are small, and `HeaderMap` takes them so too")]
    pub fn get(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let name = name.as_str();
        let value = if name.eq_ignore_ascii_case("referer") || name.eq_ignore_ascii_case("referrer") {
            self.headers.get("referrer").or_else(|| self.headers.get("referer"))
        } else {
            self.headers.get(name)
        };
        visible(value?)
    }

    /// The values of all headers of this name that are visible ASCII.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).filter_map(visible)
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to read it.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the body with its limit, leaving an empty one.
    pub fn take_body(&mut self) -> Body {
        self.body.take()
    }

    /// Puts another body in place, as a layer does that inflates it. It has the limit of the one before.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body.replace(body.into());
    }

    /// Whether the request has a body: a Transfer-Encoding or a Content-Length, even of 0.
    pub fn has_body(&self) -> bool {
        self.headers.contains("transfer-encoding") || self.length().is_some() || self.body.is_stream()
    }

    /// Content-Length, when there is one.
    pub fn length(&self) -> Option<u64> {
        visible(self.headers.get("content-length")?)?.parse().ok()
    }

    /// The media type of the body without parameters, as it was sent; empty when there is none.
    pub fn content_type(&self) -> &str {
        essence(self.get(CONTENT_TYPE))
    }

    /// The charset that the type of the body names, as it was sent.
    pub fn charset(&self) -> Option<Cow<'_, str>> {
        media_type::charset(self.get(CONTENT_TYPE)?)
    }

    /// Whether the method may be repeated without harm: GET, HEAD, PUT, DELETE, OPTIONS, TRACE (RFC 9110,
    /// section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Values that doors and bridges attach.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values that doors and bridges attach, to change them.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The connection this request came by.
    pub fn connection(&self) -> &Rc<dyn Connection> {
        &self.connection
    }

    /// Says that the request came by this connection.
    pub fn set_connection(&mut self, connection: Rc<dyn Connection>) {
        self.connection = connection;
    }

    /// The request as the `http` crate's type, taking its body.
    ///
    /// # Errors
    /// 400 when the target is no URI by the `http` crate's rules.
    pub fn to_http(&mut self) -> Result<http::Request<Body>> {
        let uri = Uri::try_from(self.target.as_str())
            .map_err(|error| Error::new(400, "the request target is not a URI").with_cause(error))?;
        let mut request = http::Request::new(self.take_body());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = self.version;
        request.headers_mut().clone_from(self.headers.map());
        *request.extensions_mut() = std::mem::take(&mut self.extensions);
        Ok(request)
    }
}

/// A type without its parameters.
pub(crate) fn essence(content_type: Option<&str>) -> &str {
    content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// A header value as text, if it is visible ASCII, spaces and tabs.
fn visible(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')).then_some(text)
}

impl From<http::Request<Body>> for Request {
    /// Takes a request of the `http` crate. A [`Memory`] among its extensions becomes its connection.
    ///
    /// The authority of the URI takes the place of `Host` (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1).
    /// HTTP/2 and later have it in every request, so that these become requests in origin form.
    fn from(request: http::Request<Body>) -> Self {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
        if let Some(Ok(host)) = authority {
            parts.headers.insert(HOST, host);
        }
        let target = match parts.uri.path_and_query() {
            Some(path) if parts.version >= Version::HTTP_2 => Target::new(path.as_str()),
            _ => Target::new(parts.uri.to_string()),
        };
        let connection = Rc::new(parts.extensions.remove::<Memory>().unwrap_or_default());
        let mut request =
            Self::from_door(parts.method, target, parts.version, parts.headers, body, connection);
        request.extensions = parts.extensions;
        request
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("version", &self.version)
            .field("headers", &WithoutSecrets(self.headers.map()))
            .field("body", &self.body)
            .finish()
    }
}

/// Headers for a log: the values that let somebody in are left out.
pub(crate) struct WithoutSecrets<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for WithoutSecrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [header::HeaderName; 4] =
            [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::SET_COOKIE];
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            match SECRET.contains(name) {
                true => map.entry(&name.as_str(), &format_args!("…")),
                false => map.entry(&name.as_str(), value),
            };
        }
        map.finish()
    }
}
