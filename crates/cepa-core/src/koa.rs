//! Where the names of Koa are found here: a table for those who come from there.
//!
//! `ctx` stands for [`Ctx`], `request` for [`Ctx::request`], `response` for
//! [`Ctx::response`]. A getter and its setter are one row; a setter is `set_` and the name.
//! A dash says that there is none, and why.
//!
//! # The app
//!
//! | Koa | here |
//! | --- | --- |
//! | `new Koa()`, `app.use(fn)` | [`App::new`], [`App::with`] |
//! | `app.callback()`, `app.listen(..)` | [`App::build`] for a door; a program calls `cepa::run` |
//! | `app.keys` | [`App::keys`] |
//! | `app.proxy`, `proxyIpHeader`, `maxIpsCount` | [`App::trust`] for known proxies, [`App::proxies`] for all choices |
//! | `app.subdomainOffset` | [`App::subdomain_offset`] |
//! | `app.context`, `app.request`, `app.response` | [`App::provide`] for what all requests share; methods for `Ctx` are a trait |
//! | `app.on('error', ..)`, `app.silent` | the outermost layer sees every error; what leaves it is logged by `tracing` |
//! | `compose`, `asyncLocalStorage` | — layers compose at [`App::build`]; a ctx is passed, not looked up |
//! | `next()` | [`Next::run`](crate::Next::run) |
//!
//! # The ctx
//!
//! | Koa | here |
//! | --- | --- |
//! | `ctx.app` | [`Ctx::settings`], [`Ctx::provided`] |
//! | `ctx.req`, `ctx.res`, `ctx.socket` | [`Ctx::connection`] |
//! | `ctx.state` | typed: [`Ctx::insert`], [`Ctx::state`], [`Ctx::state_mut`], [`Ctx::states`] |
//! | `ctx.cookies` | [`Ctx::cookies`] |
//! | `ctx.throw(..)` | `return Err(..)` of [`Ctx::error`] |
//! | `ctx.assert(..)` and its kin | [`Ctx::assert`], [`Ctx::expect`] |
//! | `ctx.params`, `ctx._matchedRoute`, `ctx.routerName` | [`Ctx::param`], [`Ctx::params`], [`Ctx::route_pattern`], [`Ctx::route_name`] |
//! | `router.url(..)` | [`Ctx::url_for`], [`Ctx::url_for_values`], [`Pattern::url`](crate::router::Pattern::url) |
//! | `ctx.respond = false` | a streamed [`Body`](crate::Body), or [`Response::on_upgrade`] |
//! | `ctx.onerror(err)` | [`Response::fail`] |
//!
//! # The request
//!
//! | Koa | here |
//! | --- | --- |
//! | `header`, `headers`, `get(name)` | [`Request::headers`], [`Request::headers_mut`], [`Ctx::get`] |
//! | `method`, `method =` | [`Ctx::method`], [`Ctx::set_method`] |
//! | `url`, `url =`, `originalUrl` | [`Ctx::url`], [`Ctx::set_url`], [`Ctx::original_url`] |
//! | `path`, `path =` | [`Ctx::path`], [`Ctx::set_path`] |
//! | `querystring`, `search`, both `=` | [`Ctx::querystring`], [`Ctx::search`], [`Ctx::set_querystring`] with or without `?` |
//! | `query`, `query =` | [`Ctx::query`] into a type, [`Ctx::query_value`], [`Ctx::query_pairs`], [`Ctx::query_map`], [`Ctx::set_query`] |
//! | `host`, `hostname`, `subdomains` | [`Ctx::host`], [`Ctx::hostname`], [`Ctx::subdomains`] |
//! | `protocol`, `secure`, `origin`, `href` | [`Ctx::protocol`], [`Ctx::secure`], [`Ctx::origin`], [`Ctx::href`] |
//! | `URL` | [`Request::target`] for its parts, [`Ctx::href`] for the whole |
//! | `ip`, `ips` | [`Ctx::ip`], [`Ctx::ips`], [`Ctx::client`]; — no setter: [`App::proxies`] says whom to believe |
//! | `type`, `charset`, `length` | [`Request::content_type`], [`Request::charset`], [`Request::length`] |
//! | `idempotent` | [`Request::is_idempotent`] |
//! | `fresh`, `stale` | [`Ctx::fresh`], [`Ctx::stale`] |
//! | `is(..)` | [`Ctx::is`], [`Request::has_body`] |
//! | `accepts(..)` and its kin | [`Ctx::accepts`], [`Ctx::accepts_encodings`], [`Ctx::accepts_charsets`], [`Ctx::accepts_languages`] |
//! | the same without arguments, `accept` | [`all_types`], [`all_encodings`], [`all_charsets`], [`all_languages`] of the header |
//! | `request.body` of koa-bodyparser | [`Ctx::json`], [`Ctx::form`], [`Ctx::text`], [`Ctx::bytes`], [`Request::body_mut`] |
//!
//! # The response
//!
//! | Koa | here |
//! | --- | --- |
//! | `status`, `status =` | [`Ctx::status`], [`Ctx::set_status`] |
//! | `message`, `message =` | [`Response::reason`], [`Response::set_reason`] |
//! | `body`, `body =`, `body = null` | [`Response::body`], [`Ctx::set_body`], [`Ctx::set_json`], [`Ctx::clear_body`] |
//! | `length`, `length =` | [`Ctx::length`], [`Ctx::set_length`] |
//! | `type`, `type =`, `response.is(..)` | [`Ctx::content_type`], [`Ctx::set_type`], [`Ctx::response_is`] |
//! | `set`, `append`, `remove`, `has`, `response.get` | [`Ctx::set`], [`Ctx::append`], [`Ctx::remove`], [`Ctx::has`], [`Response::get`] |
//! | `vary`, `redirect`, `back`, `attachment` | [`Ctx::vary`], [`Ctx::redirect`], [`Ctx::back`], [`Ctx::attachment`], [`Ctx::disposition`] |
//! | `lastModified`, `etag`, both `=` | [`Ctx::last_modified`], [`Ctx::set_last_modified`], [`Ctx::etag`], [`Ctx::set_etag`] |
//! | `headerSent`, `flushHeaders()` | — nothing is sent before the layers are done; [`Ctx::early_hints`] goes ahead |
//! | `writable` | [`Ctx::closed`] |
//!
//! What differs in behaviour is listed, with reasons, in `docs/decisions/koa-differences.md`.
//!
//! [`App::new`]: crate::App::new
//! [`App::with`]: crate::App::with
//! [`App::build`]: crate::App::build
//! [`App::keys`]: crate::App::keys
//! [`App::trust`]: crate::App::trust
//! [`App::proxies`]: crate::App::proxies
//! [`App::subdomain_offset`]: crate::App::subdomain_offset
//! [`App::provide`]: crate::App::provide
//! [`all_types`]: crate::accept::all_types
//! [`all_encodings`]: crate::accept::all_encodings
//! [`all_charsets`]: crate::accept::all_charsets
//! [`all_languages`]: crate::accept::all_languages

#[allow(unused_imports, reason = "the links above lead to them")]
use crate::{Ctx, Request, Response};
