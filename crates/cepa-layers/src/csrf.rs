//! Refuses requests that another site's page has sent in a visitor's name (cross-site request forgery).
//!
//! ```
//! use cepa_core::{App, Ctx};
//! use cepa_layers::csrf;
//!
//! let app = App::new()
//!     .with(csrf(Default::default())?)
//!     .post("/pay", async |_: &mut Ctx| "paid");
//! # cepa_core::test::block_on(async {
//! let client = app.test();
//! assert_eq!(client.post("/pay").header("sec-fetch-site", "same-origin").await.text(), "paid");
//! assert_eq!(client.post("/pay").header("sec-fetch-site", "cross-site").await.status(), 403);
//! # });
//! # Ok::<(), cepa_layers::csrf::OptionsError>(())
//! ```
//!
//! **What is checked**: every request but GET, HEAD, OPTIONS and TRACE, whatever the type of its body; and of those the
//! ones that open a WebSocket, and the ones that ask to be taken for another method (`_method`,
//! `X-HTTP-Method-Override` and its kin), so that it is the same whether the layer that overrides methods is around
//! this one or inside of it. Safe methods must change nothing.
//!
//! **How**: by what the browser says of the page that has sent the request ([Fetch Metadata], RFC 6454). This needs
//! neither cookies nor tokens and works with any client: one that is no browser says nothing of a page, carries
//! nobody's cookies unasked, and passes.
//!
//! 1. `Sec-Fetch-Site: same-origin` or `none` passes, and any other value needs a trusted `Origin`;
//! 2. without it, `Origin`, or else `Referer`, must be the host that was asked, or trusted;
//! 3. with none of the three, the request passes, unless [`Options::strict`] is set.
//!
//! [`Options::tokens`] adds tokens, for old browsers or as a second defence. Pages rendered with
//! [`views`](crate::views()) have `{{ csrf_field() }}` for their forms and `{{ csrf_token }}` for their scripts; without
//! tokens both are empty. What is rendered outside of the layer, such as the page of an error, knows a token only where
//! one was already made.
//!
//! **Where it belongs**: inside of what logs and answers errors, outside of all that acts; with tokens of Koa's kind
//! inside of [`session`](crate::session()), and with any tokens inside of [`inflate`](crate::inflate()).
//!
//! [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/

mod origin;
#[cfg_attr(not(feature = "views"), path = "csrf/no_pages.rs")]
mod pages;
mod secret;
mod token;

use std::{borrow::Cow, sync::Arc};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Order, Result};
use http::Method;
use serde::Deserialize;

use self::origin::Origins;
pub(crate) use self::origin::is_origin;
pub use self::{origin::OptionsError, token::CsrfExt};
#[cfg(feature = "inflate")]
use crate::inflate::Inflate;
use crate::session;

/// What is asked of requests that change something.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether the page that has sent the request is looked at, on by default. Off needs `tokens`, and leaves the
    /// requests that open a WebSocket: scripts can send no token with them.
    pub origin: bool,
    /// Other origins that may send requests, such as `https://admin.example.com`; none by default.
    pub trusted_origins: Vec<String>,
    /// Refuses requests that say nothing of the page they come from, off by default: programs that are no browsers
    /// then have to send an `Origin`.
    pub strict: bool,
    /// Tokens that requests must have, none by default.
    pub tokens: Option<Tokens>,
    /// The script-readable cookie that has the secret of [`Tokens::Egg`], default `csrfToken`.
    pub cookie: String,
    /// Whether a token in the query counts, off by default: URLs get into logs and `Referer`. On in Koa and Egg.
    pub query: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            origin: true,
            trusted_origins: Vec::new(),
            strict: false,
            tokens: None,
            cookie: "csrfToken".to_owned(),
            query: false,
        }
    }
}

/// Tokens that show that a request was made by a page of this site.
///
/// A page gets one from [`ctx.csrf_token()`](CsrfExt::csrf_token). A request has it in the field `_csrf` of a form or
/// of a JSON body, or in the header `X-CSRF-Token`, `CSRF-Token`, `X-XSRF-Token` or `XSRF-Token`. The first that is not
/// empty decides: body, query (if allowed), headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// The secret is in the session, under `secret`, as koa-csrf has it: tokens end with the session.
    Koa,
    /// The secret is in a cookie that scripts read and send back as it is, as in Egg (double submit). A sibling host
    /// that can plant cookies can defeat it, so that it is no replacement for the check of the origin.
    Egg,
}

/// A layer against cross-site request forgery.
///
/// # Errors
/// Origins that are none, a cookie name that is none, or options that check nothing.
pub fn csrf(options: Options) -> Result<Csrf, OptionsError> {
    if !options.origin && options.tokens.is_none() {
        return Err(OptionsError::NothingChecked);
    }
    token::check_cookie(&options.cookie)?;
    let trusted = Origins::parse(&options.trusted_origins)?;
    Ok(Csrf { trusted, cookie: options.cookie.as_str().into(), options })
}

/// See [`csrf()`].
#[derive(Clone, Debug)]
pub struct Csrf {
    options: Options,
    trusted: Origins,
    cookie: Arc<str>,
}

impl Middleware for Csrf {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if self.options.tokens.is_none() {
            pages::give_none(ctx);
            return match self.check_origin(ctx) {
                Ok(()) => next.run(ctx).boxed(),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            };
        }
        Box::pin(async move {
            self.check_origin(ctx)?;
            self.with_tokens(ctx, next).await
        })
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("csrf")
    }

    fn order(&self) -> Vec<Order> {
        let mut rules = Vec::new();
        if self.options.tokens == Some(Tokens::Koa) {
            rules.push(Order::needs::<session::Layer>("the secret of its tokens is in the session"));
        }
        #[cfg(feature = "inflate")]
        if self.options.tokens.is_some() {
            rules.push(Order::inside_of::<Inflate>("it looks for the token in the body"));
        }
        rules
    }
}

impl Csrf {
    fn check_origin(&self, ctx: &Ctx) -> Result {
        let is_checked = opens_websocket(ctx) || self.options.origin && !is_harmless(ctx);
        if !is_checked {
            return Ok(());
        }
        match origin::is_own(ctx, &self.trusted, self.options.strict) {
            true => Ok(()),
            false => Err(Error::new(403, "Cross-site request refused")),
        }
    }
}

/// Whether the request changes nothing, whatever method a layer may make of it.
fn is_harmless(ctx: &Ctx) -> bool {
    const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    let headers = ctx.request.fields();
    let is_safe = matches!(*ctx.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    is_safe
        && !OVERRIDES.iter().any(|name| headers.contains(name))
        && (ctx.querystring().is_empty() || ctx.query_value("_method").is_none())
}

/// Pages of other sites can open WebSockets with the visitor's cookies, and read what comes. Scripts cannot send a token
/// with them, so that where they come from is looked at in any case.
fn opens_websocket(ctx: &Ctx) -> bool {
    ctx.request.fields().contains("sec-websocket-key")
}

#[cfg(test)]
mod tests;
