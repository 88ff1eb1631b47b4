//! What an app has answered to a call.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::AsHeaderName};
use serde::de::DeserializeOwned;

use crate::{Body, Error, Response, Result};

/// What an app has answered to a [call](crate::Ctx::call): its status and headers, and its body, collected within a limit or
/// as it comes.
///
/// A body that comes piece by piece comes as it is read. One that is handed on to the client need not be collected:
/// `ctx.set_body(answer.into_body())`.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    asked: String,
    most: u64,
}

impl Answer {
    pub(super) fn new(response: Response, asked: String, most: u64) -> Self {
        let (status, _, headers, body) = response.into_parts();
        Self { status, headers, body, asked, most }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, `None` when it is missing or not visible ASCII.
    pub fn get(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it comes, without a limit.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The whole body in memory.
    ///
    /// # Errors
    /// 500 past the [limit](crate::Call::limit), or when the body fails.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let bytes = self.body.bytes(self.most).await;
        bytes.map_err(|error| {
            let why = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => format!("is larger than {} bytes", self.most),
                _ => "broke off".to_owned(),
            };
            Error::new(500, format!("the answer of {} {why}", self.asked)).with_cause(error)
        })
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and 500 where it is not UTF-8.
    pub async fn text(self) -> Result<String> {
        let asked = self.asked.clone();
        let text = String::from_utf8(self.bytes().await?.into());
        text.map_err(|error| Error::new(500, format!("the answer of {asked} is no text")).with_cause(error))
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and 500 where it is not the JSON of a `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let asked = self.asked.clone();
        let value = serde_json::from_slice(&self.bytes().await?);
        value.map_err(|error| {
            Error::new(500, format!("the answer of {asked} is not the JSON asked for")).with_cause(error)
        })
    }
}
