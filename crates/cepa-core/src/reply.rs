//! What handlers may return, and how each kind becomes the response.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use crate::{
    Body, Ctx, Response, Result,
    response::{BYTES, HTML, TEXT},
};

/// A value that can be the answer.
///
/// | value | answer |
/// | --- | --- |
/// | `()` | what the handler has put on the ctx; nothing: 404 |
/// | `&'static str` | text; HTML when it begins with optional white space and `<` |
/// | `String` | text, never HTML: it may hold what a client has sent |
/// | [`Html`], [`Text`] | what they say, whatever the first character |
/// | [`Json`], `serde_json::Value` | JSON without spaces |
/// | `Bytes`, `Vec<u8>`, [`Body`] | `application/octet-stream` |
/// | `StatusCode`, `(StatusCode, R)` | that status, and the body of `R` |
/// | `Option<R>` | `None`: 404 |
/// | [`Response`], `http::Response<Body>` | taken whole; headers already set by layers stay |
/// | `Result<R>` | `Err` is the error's answer |
///
/// A type is set only where the ctx has none yet, so `ctx.set_type("xml")?` before the body wins.
pub trait Reply {
    /// Puts the value on the ctx.
    ///
    /// # Errors
    /// What the value cannot be turned into: JSON that does not serialise, or an `Err` itself.
    fn reply(self, ctx: &mut Ctx) -> Result;
}

/// A page: `text/html; charset=utf-8`.
#[derive(Clone, Debug)]
pub struct Html<T>(pub T);

/// Plain text: `text/plain; charset=utf-8`, whatever the first character is.
#[derive(Clone, Debug)]
pub struct Text<T>(pub T);

/// A value as JSON: `application/json; charset=utf-8`.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl Reply for () {
    fn reply(self, _: &mut Ctx) -> Result {
        Ok(())
    }
}

impl Reply for &'static str {
    fn reply(self, ctx: &mut Ctx) -> Result {
        // Text in the program's source was written by its author: guessing HTML from it is safe.
        let kind = if self.trim_ascii_start().starts_with('<') { &HTML } else { &TEXT };
        ctx.response.set_body(self.into(), kind);
        Ok(())
    }
}

impl Reply for String {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_body(self.into(), &TEXT);
        Ok(())
    }
}

impl<T: Into<Body>> Reply for Html<T> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_body(self.0.into(), &HTML);
        Ok(())
    }
}

impl<T: Into<Body>> Reply for Text<T> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_body(self.0.into(), &TEXT);
        Ok(())
    }
}

impl<T: Serialize> Reply for Json<T> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_json(Bytes::from(serde_json::to_vec(&self.0)?));
        Ok(())
    }
}

impl Reply for serde_json::Value {
    fn reply(self, ctx: &mut Ctx) -> Result {
        Json(self).reply(ctx)
    }
}

impl Reply for Bytes {
    fn reply(self, ctx: &mut Ctx) -> Result {
        Body::from(self).reply(ctx)
    }
}

impl Reply for Vec<u8> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        Body::from(self).reply(ctx)
    }
}

impl Reply for Body {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_body(self, &BYTES);
        Ok(())
    }
}

impl Reply for StatusCode {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_status(self);
        Ok(())
    }
}

impl<R: Reply> Reply for (StatusCode, R) {
    fn reply(self, ctx: &mut Ctx) -> Result {
        ctx.response.set_status(self.0);
        self.1.reply(ctx)
    }
}

impl<R: Reply> Reply for Option<R> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        match self {
            Some(reply) => reply.reply(ctx),
            None => StatusCode::NOT_FOUND.reply(ctx),
        }
    }
}

impl<R: Reply> Reply for Result<R> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        self?.reply(ctx)
    }
}

impl Reply for Response {
    fn reply(mut self, ctx: &mut Ctx) -> Result {
        let outer = std::mem::take(ctx.response.headers_mut());
        for name in outer.keys() {
            // Set-Cookie and Vary add up; of anything else the inner answer's own wins.
            let adds_up = *name == http::header::SET_COOKIE || *name == http::header::VARY;
            if adds_up || !self.headers().contains_key(name) {
                for value in outer.get_all(name) {
                    self.headers_mut().append(name.clone(), value.clone());
                }
            }
        }
        ctx.response = self;
        Ok(())
    }
}

impl Reply for http::Response<Body> {
    fn reply(self, ctx: &mut Ctx) -> Result {
        Response::from(self).reply(ctx)
    }
}
