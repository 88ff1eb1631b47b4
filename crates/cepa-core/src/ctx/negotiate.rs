//! What the client accepts, what it has sent, and whether its copy is fresh.

use std::borrow::Cow;

use http::{HeaderName, Method, header};

use super::Ctx;
use crate::{
    accept,
    fresh::{Conditions, Rule, Validators, is_fresh},
    media_type,
};

impl Ctx {
    /// The best of the offered types by `Accept`, as it was offered; `None`: answer 406, or the
    /// default.
    ///
    /// Types are media types or extensions: `ctx.accepts(&["html", "json"])`. All that the client names, the
    /// best first, are [`accept::all_types`] of the header.
    pub fn accepts<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        accept::types(self.list(&header::ACCEPT).as_deref(), offers)
    }

    /// The best of the offered encodings by `Accept-Encoding`.
    pub fn accepts_encodings<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        accept::encodings(self.list(&header::ACCEPT_ENCODING).as_deref(), offers)
    }

    /// The offered encoding with the highest weight in `Accept-Encoding`, the first of those that have it.
    pub fn preferred_encoding<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        accept::preferred_encoding(self.list(&header::ACCEPT_ENCODING).as_deref(), offers)
    }

    /// The best of the offered charsets by `Accept-Charset`.
    pub fn accepts_charsets<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        accept::charsets(self.list(&header::ACCEPT_CHARSET).as_deref(), offers)
    }

    /// The best of the offered languages by `Accept-Language`.
    pub fn accepts_languages<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        accept::languages(self.list(&header::ACCEPT_LANGUAGE).as_deref(), offers)
    }

    /// A list header as one text: a header sent several times is one list (RFC 9110, section 5.3).
    pub fn list(&self, name: &HeaderName) -> Option<Cow<'_, str>> {
        let mut values = self.request.get_all(name.as_str());
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = format!("{first}, {second}");
        for value in values {
            joined.push_str(", ");
            joined.push_str(value);
        }
        Some(Cow::Owned(joined))
    }

    /// Whether the request body is of one of these types: the first that fits.
    ///
    /// Types are extensions (`json`), `urlencoded`, `multipart`, media types with wildcards, or
    /// suffixes (`+json`); with an empty list the request's own type. `None` when none fits, or when
    /// there is no body ([`Request::has_body`](crate::Request::has_body) tells).
    pub fn is<'a>(&'a self, types: &[&'a str]) -> Option<Cow<'a, str>> {
        if !self.request.has_body() {
            return None;
        }
        media_type::type_is(self.request.get(header::CONTENT_TYPE)?, types)
    }

    /// Whether the response's type is one of these, as [`is`](Self::is) for the request.
    pub fn response_is<'a>(&'a self, types: &[&'a str]) -> Option<Cow<'a, str>> {
        media_type::type_is(self.response.field(&header::CONTENT_TYPE)?, types)
    }

    /// Whether the copy that the client holds is still good, so that 304 can answer it.
    ///
    /// Only for GET and HEAD with a status of 2xx or 304, by `ETag` and `Last-Modified` as set so
    /// far. With both conditions in the request both must hold, as in Koa.
    pub fn fresh(&self) -> bool {
        let status = self.response.status().as_u16();
        let safe = matches!(*self.method(), Method::GET | Method::HEAD);
        if !safe || !((200..300).contains(&status) || status == 304) {
            return false;
        }
        let (tags, control) = (self.list(&header::IF_NONE_MATCH), self.list(&header::CACHE_CONTROL));
        let conditions = Conditions {
            if_none_match: tags.as_deref(),
            if_modified_since: self.request.get(header::IF_MODIFIED_SINCE),
            cache_control: control.as_deref(),
        };
        let validators = Validators {
            etag: self.response.field(&header::ETAG),
            last_modified: self.response.field(&header::LAST_MODIFIED),
        };
        is_fresh(&conditions, &validators, Rule::Koa)
    }

    /// The opposite of [`fresh`](Self::fresh).
    pub fn stale(&self) -> bool {
        !self.fresh()
    }
}
