//! What another server answered.

use bytes::{Bytes, BytesMut};
use cepa_core::{Body, Result};
use http::{HeaderMap, StatusCode, header::AsHeaderName};
use http_body::Body as _;
use serde::de::DeserializeOwned;
use std::{future::poll_fn, pin::Pin};

use super::Failure;
use crate::outbound::Received;

/// What another server answered; the body is read as it is asked for.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Received<()>,
    url: String,
}

impl Answer {
    pub(super) fn new(response: http::Response<Received<()>>, url: String) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body, url }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer, if its status is 2xx.
    ///
    /// # Errors
    /// 502, with [`Failure::Status`] as its cause.
    pub fn ok(self) -> Result<Self> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(Failure::Status(self.status).into_error()),
        }
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, `None` when it is missing or not visible ASCII.
    pub fn get(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The URL that answered, after redirects.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// 502 when the answer breaks off or is longer than the limit, 504 when time is up.
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        loop {
            match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(failure) => return Some(Err(failure.into_error())),
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await else { return Ok(Bytes::new()) };
        let first = first?;
        let Some(second) = self.chunk().await else { return Ok(first) };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second?);
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and 502 when it is not UTF-8.
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|source| content("UTF-8 text", source))
    }

    /// The whole body as JSON, whatever its type says.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and 502 when it is not the JSON of a `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|source| content("the JSON that was expected", source))
    }

    /// The body as a stream, to be sent on: `ctx.set_body(answer.into_body())?`.
    pub fn into_body(self) -> Body {
        Body::new(self.body)
    }
}

fn content(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> cepa_core::Error {
    Failure::Content { what, source: Box::new(source) }.into_error()
}
