//! Reading the request body whole.

use std::panic::Location;

use bytes::Bytes;
use http::header;
use serde::de::DeserializeOwned;

use super::Ctx;
use crate::{Error, Result, de, form, media_type};

/// Forms are read up to this many pairs; more are an error.
const MAX_FORM_PAIRS: usize = 1000;

impl Ctx {
    /// The whole request body, up to the limit of the server or the route.
    ///
    /// # Errors
    /// 413 past the limit, 408 when the client is too slow, 400 when it leaves in the middle.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        self.request.body_mut().bytes(u64::MAX).await
    }

    /// The whole request body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); 415 for another charset than UTF-8, 400 when it is not UTF-8. Where the client has
    /// compressed a body and no layer inflates it, what then cannot be read is a 415.
    pub async fn text(&mut self) -> Result<String> {
        let kind = self.request.get(header::CONTENT_TYPE).unwrap_or_default();
        if let Some(charset) = media_type::charset(kind)
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        {
            return Err(Error::new(415, format!("unsupported charset {charset:?}")));
        }
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|error| self.unreadable(Error::new(400, "the body is not UTF-8").with_cause(error)))
    }

    /// The request body as JSON: `ctx.json::<Order>().await?`.
    ///
    /// # Errors
    /// 415 when the type is not JSON (`application/json` or `+json`), 400 naming line and column when
    /// the text is not the JSON of a `T`, and as [`bytes`](Self::bytes). Nesting deeper than 128 is 400.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&mut self) -> impl Future<Output = Result<T>> {
        let place = Location::caller();
        async move {
            self.expect_type(&["json", "+json"]).map_err(|error| error.at(place))?;
            let bytes = self.bytes().await?;
            serde_json::from_slice(&bytes)
                .map_err(|error| self.unreadable(Error::new(400, format!("JSON body: {error}"))).at(place))
        }
    }

    /// The request body as a form: `ctx.form::<Entry>().await?`.
    ///
    /// # Errors
    /// 415 when the type is not `application/x-www-form-urlencoded`, 400 naming the field when a value
    /// does not fit, 413 past 1,000 fields, and as [`bytes`](Self::bytes).
    #[track_caller]
    pub fn form<T: DeserializeOwned>(&mut self) -> impl Future<Output = Result<T>> {
        let place = Location::caller();
        async move {
            self.expect_type(&["urlencoded"]).map_err(|error| error.at(place))?;
            let text = self.text().await?;
            let mut pairs = form::parse(&text, MAX_FORM_PAIRS);
            let value = de::from_pairs(pairs.by_ref());
            if pairs.is_cut() {
                return Err(Error::new(413, "too many form fields").at(place));
            }
            value.map_err(|error| Error::new(400, format!("form: {error}")).at(place))
        }
    }

    /// The request body as a form whose names are places in a tree, such as `user[name]` and `lines[0].count`:
    /// `ctx.nested_form::<Order>().await?`. [`Nesting`](form::Nesting) has the rules.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    #[track_caller]
    pub fn nested_form<T: DeserializeOwned>(&mut self) -> impl Future<Output = Result<T>> {
        let place = Location::caller();
        async move {
            self.expect_type(&["urlencoded"]).map_err(|error| error.at(place))?;
            let text = self.text().await?;
            let mut pairs = form::parse(&text, MAX_FORM_PAIRS);
            let tree = form::Nesting::default().tree(pairs.by_ref());
            if pairs.is_cut() {
                return Err(Error::new(413, "too many form fields").at(place));
            }
            de::from_tree(tree).map_err(|error| Error::new(400, format!("form: {error}")).at(place))
        }
    }

    /// What a body that cannot be read is refused with: one that is still coded, for that.
    fn unreadable(&self, error: Error) -> Error {
        match self.request.get(header::CONTENT_ENCODING) {
            Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
                Error::new(415, format!("unsupported content encoding {coding:?}"))
            }
            _ => error,
        }
    }

    fn expect_type(&self, types: &[&str]) -> Result {
        let kind = self.request.get(header::CONTENT_TYPE).unwrap_or_default();
        match media_type::type_is(kind, types) {
            Some(_) => Ok(()),
            None => Err(Error::new(415, format!("unsupported content type {kind:?}"))),
        }
    }
}
