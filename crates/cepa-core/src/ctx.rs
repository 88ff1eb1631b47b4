//! The ctx: one request and its response, and everything handlers and layers say to them.

mod body;
mod call;
mod error;
mod negotiate;
mod request;
mod response;
mod route;

pub use route::Urls;

use std::{fmt, future::poll_fn, rc::Rc, sync::Arc};

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    Connection, Onion, Request, Response, Result, app::Settings, connection::Policy, cookie::Jar,
    error::Error, hosts::Place, service::Service, state::State,
};

/// One request and its response.
///
/// Methods without a prefix read the request (`ctx.path()`, `ctx.get("accept")`) or say something to
/// the response (`ctx.redirect("/")`), as in Koa; where both have a thing of the same name, the
/// methods of [`request`](Self::request) and [`response`](Self::response) are exact.
///
/// | to | use |
/// | --- | --- |
/// | read the request | [`method`](Self::method) [`path`](Self::path) [`get`](Self::get) [`query`](Self::query) [`param`](Self::param) [`ip`](Self::ip) [`host`](Self::host) … |
/// | read its body | [`json`](Self::json) [`form`](Self::form) [`text`](Self::text) [`bytes`](Self::bytes), `ctx.request.body_mut()` to stream |
/// | negotiate | [`accepts`](Self::accepts) [`is`](Self::is) [`fresh`](Self::fresh) |
/// | answer | [`set_body`](Self::set_body) [`set_status`](Self::set_status) [`set_type`](Self::set_type) [`redirect`](Self::redirect) [`attachment`](Self::attachment) |
/// | set headers | [`set`](Self::set) [`append`](Self::append) [`vary`](Self::vary) [`remove`](Self::remove) |
/// | ask another host | [`call`](Self::call) [`hosts`](Self::hosts) |
/// | go on afterwards | [`defer`](Self::defer) |
/// | fail | `return Err(ctx.error(403, "no"))`, [`assert`](Self::assert), in layers [`fail`](Self::fail) |
/// | remember | [`cookies`](Self::cookies) [`state`](Self::state) [`insert`](Self::insert) [`provided`](Self::provided) [`service`](Self::service) |
pub struct Ctx {
    /// The request.
    pub request: Request,
    /// The response.
    pub response: Response,
    state: State,
    onion: Arc<Onion>,
    matched: route::Matched,
    policy: Policy,
    /// The prefixes below which the app, and mounted apps in it, run; empty outside of mounts.
    mount_path: String,
    place: Place,
}

impl Ctx {
    pub(crate) fn new(mut request: Request, onion: Arc<Onion>, place: Place) -> Self {
        Self {
            mount_path: request.take_mount_path(),
            request,
            response: Response::new(),
            state: State::default(),
            onion,
            matched: route::Matched::default(),
            policy: Policy::default(),
            place,
        }
    }

    /// The app that runs. Below a mounted app it is that app.
    ///
    /// For a handler that has another request answered on the way there is [`call`](Self::call); nothing bounds how often
    /// requests call for requests by `ctx.app().handle(request)`.
    pub fn app(&self) -> &Arc<Onion> {
        &self.onion
    }

    /// What the app was told once.
    pub fn settings(&self) -> &Settings {
        &self.onion.settings
    }

    /// A value that the app [provides](crate::App::provide) to all requests, or that was provided to it
    /// [later](crate::App::provide_later).
    ///
    /// # Errors
    /// 500 naming the type, when nothing provides it.
    #[track_caller]
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.onion
            .provided()
            .ok_or_else(|| Error::new(500, format!("nothing provides a {}", std::any::type_name::<T>())))
    }

    /// The service of this type for this request, made on its first use.
    ///
    /// # Errors
    /// What [`Service::new`] fails with; the next use tries again.
    pub fn service<T: Service>(&mut self) -> Result<&mut T> {
        if self.state.get::<T>().is_none() {
            let made = T::new(self)?;
            self.state.insert(made);
        }
        Ok(self.state.get_mut().expect("it was there, or has just been put there"))
    }

    /// A value that a layer has left on this request.
    pub fn state<T: 'static>(&self) -> Option<&T> {
        self.state.get()
    }

    /// A value that a layer has left on this request, to change it.
    pub fn state_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.state.get_mut()
    }

    /// The values left on this request.
    pub fn states(&mut self) -> &mut State {
        &mut self.state
    }

    /// Leaves a value on this request, one of each type.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        self.state.insert(value)
    }

    /// The cookies: of the request to get, of the response to set.
    pub fn cookies(&mut self) -> Jar<'_> {
        let secure = self.secure();
        let keys = self.onion.settings.keys.as_deref();
        let now = std::time::SystemTime::now();
        Jar { request: self.request.fields(), response: self.response.headers_mut(), keys, secure, now }
    }

    /// The connection this request came by.
    pub fn connection(&self) -> &Rc<dyn Connection> {
        self.request.connection()
    }

    /// Waits until the client is gone. Never returns where that cannot be known.
    ///
    /// For use beside long work: the future borrows nothing of the ctx.
    pub fn closed(&self) -> impl Future<Output = ()> + 'static {
        let connection = Rc::clone(self.request.connection());
        poll_fn(move |cx| connection.poll_closed(cx))
    }

    /// Waits until the server drains: what would go on for long, such as a stream of events, should end. Never returns
    /// where that cannot be known.
    ///
    /// The future borrows nothing of the ctx, as [`closed`](Self::closed).
    pub fn draining(&self) -> impl Future<Output = ()> + 'static {
        self.request.connection().draining()
    }

    /// Sets how the door treats this request from now on, as a route's own policy does.
    ///
    /// What the policy does not say stays as it was set before.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy.over(self.policy);
        if let Some(limit) = policy.body_limit {
            self.request.body_mut().set_limit(limit);
        }
        self.request.connection().set_policy(self.policy);
    }

    /// Sends `103 Early Hints` with these headers ahead of the response; `false` where the
    /// connection cannot (HTTP/1.0, or the response has begun).
    pub fn early_hints(&self, headers: &HeaderMap) -> bool {
        self.request.connection().inform(StatusCode::EARLY_HINTS, headers)
    }

    /// The query as a struct or map: `ctx.query::<Page>()?`.
    ///
    /// Repeated keys fill a `Vec`; missing keys need an `Option` or `#[serde(default)]`. The first 1,000 pairs
    /// are read.
    ///
    /// # Errors
    /// 400 naming the key and what was expected.
    #[track_caller]
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        let place = std::panic::Location::caller();
        crate::de::from_pairs(self.query_pairs())
            .map_err(|error| Error::new(400, format!("query: {error}")).at(place))
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("request", &self.request).field("response", &self.response).finish()
    }
}
