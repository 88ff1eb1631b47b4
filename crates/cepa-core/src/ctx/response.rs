//! Saying things to the response.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Ctx;
use crate::{
    Error, Reply, Result, date,
    disposition::Disposition,
    location::{self, html_escape, is_same_site, normalise_location},
    mime,
    request::essence,
    response::{HTML, TEXT, is_bodiless, is_redirect},
    vary,
};

impl Ctx {
    /// The status of the response; 404 until a status or a body is set.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Sets the status. 204, 205 and 304 drop the body.
    ///
    /// # Errors
    /// 500 when the number is not between 100 and 999.
    #[track_caller]
    pub fn set_status<S>(&mut self, status: S) -> Result
    where
        S: TryInto<StatusCode>,
        S::Error: Into<http::Error>,
    {
        let place = std::panic::Location::caller();
        let status = status.try_into().map_err(|error| unusable("a status", error).at(place))?;
        self.response.set_status(status);
        Ok(())
    }

    /// Sets the body, and the status to 200 unless one was set: anything that is a [`Reply`].
    ///
    /// # Errors
    /// What the value cannot be turned into.
    pub fn set_body(&mut self, body: impl Reply) -> Result {
        body.reply(self)
    }

    /// Sets a value as JSON: `ctx.set_json(&users)?`.
    ///
    /// # Errors
    /// 500 when the value does not serialise.
    #[track_caller]
    pub fn set_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result {
        let text = serde_json::to_vec(value)?;
        self.response.set_json(Bytes::from(text));
        Ok(())
    }

    /// Says that there is no body: 204, unless the status has no body anyway.
    pub fn clear_body(&mut self) {
        self.response.clear_body();
    }

    /// Sets a response header.
    ///
    /// # Errors
    /// 500 when the name is no token or the value holds control characters: what a client sent can
    /// never break out of its header.
    #[track_caller]
    pub fn set<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        let (name, value) = header(name, value)?;
        self.response.headers_mut().insert(name, value);
        Ok(())
    }

    /// Adds a response header beside those of the same name.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    #[track_caller]
    pub fn append<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        let (name, value) = header(name, value)?;
        self.response.headers_mut().append(name, value);
        Ok(())
    }

    /// Removes a response header.
    #[expect(clippy::needless_pass_by_value, reason = "names are small, and `HeaderMap` takes them so too")]
    pub fn remove(&mut self, name: impl header::AsHeaderName) {
        // Without an owned name the entry is looked up first: `remove` wants the map's own key.
        if self.response.headers().contains_key(name.as_str()) {
            self.response.headers_mut().remove(name.as_str());
        }
    }

    /// Whether the response has a header.
    pub fn has(&self, name: impl header::AsHeaderName) -> bool {
        self.response.headers().contains_key(name)
    }

    /// Adds names to `Vary`, each once; `*` stands for all.
    ///
    /// # Errors
    /// 500 when a name is no token.
    #[track_caller]
    pub fn vary(&mut self, names: &str) -> Result {
        let joined: Vec<&str> =
            self.response.headers().get_all(header::VARY).iter().filter_map(|v| v.to_str().ok()).collect();
        let joined = joined.join(", ");
        let value = vary::append(&joined, names)?;
        self.set(header::VARY, &*value)
    }

    /// Sets the type by extension, file name or media type, with its charset; an unknown one removes
    /// the type.
    ///
    /// # Errors
    /// 500 when a media type holds control characters.
    #[track_caller]
    pub fn set_type(&mut self, kind: &str) -> Result {
        match mime::content_type(kind) {
            Some(kind) => self.set(header::CONTENT_TYPE, &*kind),
            None => {
                self.remove(header::CONTENT_TYPE);
                Ok(())
            }
        }
    }

    /// The response's media type without parameters; empty when there is none. The request's is
    /// [`Request::content_type`](crate::Request::content_type).
    pub fn content_type(&self) -> &str {
        essence(self.response.field(&header::CONTENT_TYPE))
    }

    /// The length of the response's body, declared or computable.
    pub fn length(&self) -> Option<u64> {
        self.response.length()
    }

    /// Declares the length of the body, for a stream whose length is known. The door cuts the
    /// connection when the stream turns out longer or shorter.
    pub fn set_length(&mut self, length: u64) {
        self.response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }

    /// Redirects with status 302, unless a redirect status was set before.
    ///
    /// Absolute `http(s)` URLs are normalised as a browser reads them; what a URL cannot hold is
    /// percent-encoded in the header. The body says where to in readable text, as HTML for clients that accept it.
    ///
    /// A URL that a client has sent must be checked: [`location::is_local`].
    ///
    /// # Errors
    /// 500 when an absolute URL has user information or no valid host.
    #[track_caller]
    pub fn redirect(&mut self, url: &str) -> Result {
        let location = normalise_location(url)?;
        self.set(header::LOCATION, &*location)?;
        if !is_redirect(self.status()) {
            self.response.set_status(StatusCode::FOUND);
        }
        let html = self.accepts(&["html"]).is_some();
        self.remove(header::CONTENT_TYPE);
        let shown = location::shown(url, &location);
        let (text, kind) = match html {
            true => (format!("Redirecting to {}.", html_escape(shown)), &HTML),
            false => (format!("Redirecting to {shown}."), &TEXT),
        };
        self.response.set_body(text.into(), kind);
        Ok(())
    }

    /// Redirects to where the client came from, if that was this host, otherwise to `otherwise`.
    ///
    /// # Errors
    /// As [`redirect`](Self::redirect).
    #[track_caller]
    pub fn back(&mut self, otherwise: &str) -> Result {
        let referrer = self.get(header::REFERER).filter(|referrer| is_same_site(referrer, self.host()));
        let url = referrer.unwrap_or(otherwise).to_owned();
        self.redirect(&url)
    }

    /// Offers the body as a download, with a type by the name's extension unless one is set.
    ///
    /// # Errors
    /// None for any name: what does not fit is encoded (RFC 6266).
    #[track_caller]
    pub fn attachment<'a>(&mut self, filename: impl Into<Option<&'a str>>) -> Result {
        self.disposition(&Disposition::attachment(filename))
    }

    /// Sets `Content-Disposition`, with a type by the name's extension unless one is set.
    ///
    /// # Errors
    /// 500 when the kind is no token or a given fallback is not ASCII.
    #[track_caller]
    pub fn disposition(&mut self, disposition: &Disposition<'_>) -> Result {
        let value = disposition.to_value()?;
        if let Some(name) = disposition.filename
            && !self.has(header::CONTENT_TYPE)
            && name.contains('.')
        {
            self.set_type(name.rsplit('/').next().unwrap_or(name))?;
        }
        self.set(header::CONTENT_DISPOSITION, value)
    }

    /// Sets `ETag`, with quotes added unless the text begins with `"` or `W/`.
    ///
    /// # Errors
    /// 500 when the text holds control characters.
    #[track_caller]
    pub fn set_etag(&mut self, etag: &str) -> Result {
        if etag.starts_with('"') || etag.starts_with("W/") {
            return self.set(header::ETAG, etag);
        }
        self.set(header::ETAG, format!("\"{etag}\""))
    }

    /// The response's `ETag`, as it was set.
    pub fn etag(&self) -> Option<&str> {
        self.response.field(&header::ETAG)
    }

    /// The response's `Last-Modified`.
    pub fn last_modified(&self) -> Option<SystemTime> {
        date::parse(self.response.field(&header::LAST_MODIFIED)?)
    }

    /// Sets `Last-Modified`; times before 1970 and after 9999 remove it.
    pub fn set_last_modified(&mut self, time: SystemTime) {
        match date::format(time).and_then(|text| HeaderValue::from_str(&text).ok()) {
            Some(value) => drop(self.response.headers_mut().insert(header::LAST_MODIFIED, value)),
            None => self.remove(header::LAST_MODIFIED),
        }
    }

    /// Sets `Cache-Control`.
    ///
    /// # Errors
    /// 500 when the text holds control characters.
    #[track_caller]
    pub fn set_cache_control(&mut self, control: &str) -> Result {
        self.set(header::CACHE_CONTROL, control)
    }

    /// Makes the response the answer to an error: what becomes of one that leaves the outermost layer.
    ///
    /// Status, headers and public message are the error's, as text; what layers have set before stays, apart from
    /// what describes the body that is not sent. With a 5xx status it is logged. For layers that answer errors in a
    /// form of their own: they set another body after it.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Error, Next, Result};
    ///
    /// async fn errors_as_json(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ///     if let Err(error) = next.run(ctx).await {
    ///         ctx.fail(&error);
    ///         ctx.set_json(error.public_message())?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let app = App::new().with(errors_as_json).get("/", async |_: &mut Ctx| -> Result {
    ///     Err(Error::new(409, "taken"))
    /// });
    /// # cepa_core::test::block_on(async {
    /// let answer = app.test().get("/").await;
    /// assert_eq!((answer.status().as_u16(), answer.text()), (409, r#""taken""#));
    /// # });
    /// ```
    pub fn fail(&mut self, error: &Error) {
        if error.status().is_server_error() {
            tracing::error!(
                target: "cepa",
                method = %self.method(),
                path = self.path(),
                place = %error.place(),
                "{error}"
            );
        }
        self.response.fail(error);
    }

    /// Finishes the response: the error's answer if there was one, a body where none was said.
    pub(crate) fn finish(&mut self, result: Result) {
        if let Err(error) = result {
            self.fail(&error);
        }
        self.response.finish(self.request.method());
        self.request.reuse_headers();
    }

    /// Whether the response has a body or will not have one: what a layer asks that fills in pages.
    pub fn is_answered(&self) -> bool {
        self.response.body().is_some()
            || is_bodiless(self.status())
            || self.response.is_status_chosen() && self.status() != StatusCode::NOT_FOUND
    }
}

#[track_caller]
fn header<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue)>
where
    N: TryInto<HeaderName>,
    N::Error: Into<http::Error>,
    V: TryInto<HeaderValue>,
    V::Error: Into<http::Error>,
{
    let place = std::panic::Location::caller();
    let name = name.try_into().map_err(|error| unusable("a header name", error).at(place))?;
    let value = value.try_into().map_err(|error| unusable("a header value", error).at(place))?;
    Ok((name, value))
}

fn unusable(what: &'static str, error: impl Into<http::Error>) -> Error {
    let error: http::Error = error.into();
    Error::new(500, format!("not usable as {what}")).with_cause(error)
}

#[cfg(test)]
mod tests {
    use crate::{App, Ctx, test::block_on};

    #[test]
    fn the_page_of_a_redirect_is_readable_and_escaped() {
        let app = App::new().get("/", async |ctx: &mut Ctx| {
            let to = ctx.query_value("to").unwrap_or_default().into_owned();
            ctx.redirect(&to)
        });
        let client = app.test();
        block_on(async {
            for (query, accept, location, page) in [
                ("/é?a b", "*/*", "/%C3%A9?a%20b", "/é?a b"),
                ("/<b>", "text/html", "/%3Cb%3E", "/&lt;b&gt;"),
                ("/<b>", "application/json", "/%3Cb%3E", "/<b>"),
                ("HTTP://Ex.test/a b", "*/*", "http://ex.test/a%20b", "http://ex.test/a%20b"),
            ] {
                let query = crate::form::to_string([("to", query)]);
                let answer = client.get(&format!("/?{query}")).header("accept", accept).await;
                assert_eq!(answer.header("location"), location);
                assert_eq!(answer.text(), format!("Redirecting to {page}."));
            }
        });
    }
}
