//! The onion: layers and handlers around one [`Ctx`], and the words of HTTP they are written in.
//!
//! Knows no socket, no runtime and no file system. In reading order:
//!
//! - the **onion**: [`App`] is what one writes, [`Onion`] what doors call; a layer is a [`Middleware`], the way
//!   inwards is [`Next`], at the core stands a [`Handler`] whose answer is a [`Reply`];
//! - **one request**: [`Ctx`] holds the [`Request`] with its [`Target`] and [`Headers`], the [`Response`], and the
//!   [`State`] that layers leave; both sides have a [`Body`]; what fails is an [`Error`]; the door's side of it is a
//!   [`Connection`], and what goes on with one that comes from another process is [`Parked`];
//! - **hosts**: [`Hosts`] says which app answers for which name, [`Ctx::call`] asks another one on the way, and
//!   [`statistics`] says how each does;
//! - **routes**: [`router`]; **cookies**: [`cookie`];
//! - **the words of HTTP** as pure functions: what header fields are made of ([`media_type`], [`mime`], [`date`]),
//!   what a request asks ([`accept`], [`fresh`], [`form`], [`de`]), who sent it ([`host`], [`forwarded`]), and what
//!   a response says ([`vary`], [`disposition`], [`location`]); [`units`] of times and sizes in configurations;
//! - **bridges**: [`tower`], and [`mod@test`], a client that calls an app in memory; [`koa`] says where the names of
//!   Koa are.

mod app;
mod body;
mod call;
mod connection;
mod ctx;
mod error;
mod handler;
mod headers;
mod hosts;
mod middleware;
mod reply;
mod request;
mod response;
mod service;
mod spare;
mod state;
mod target;

pub mod accept;
pub mod cookie;
pub mod date;
pub mod de;
pub mod disposition;
pub mod form;
pub mod forwarded;
pub mod fresh;
mod grammar;
pub mod host;
pub mod koa;
pub mod location;
pub mod media_type;
pub mod mime;
mod order;
mod panic;
mod parked;
pub mod percent;
pub mod router;
pub mod statistics;
pub mod test;
pub mod tower;
pub mod units;
pub mod vary;

#[cfg(test)]
mod vectors;

pub use self::{
    app::{App, AppHandler, Handling, Onion, Proxies, RouteInfo, Settings, Step, StepKind},
    body::{Body, BodyWriter, Incoming, SendBody, Sender, channel},
    call::{Answer, Call, Unanswered},
    connection::{Connection, Io, Memory, OnClose, OnUpgrade, Peer, Policy, TlsInfo},
    ctx::{Ctx, Urls},
    error::{Error, ErrorStatus, Result},
    handler::Handler,
    headers::Headers,
    hosts::{Host, Hosts},
    middleware::{LocalBoxFuture, Middleware, Next, Run, StartError},
    order::Order,
    panic::Panicked,
    parked::{Park, Parked},
    reply::{Html, Json, Reply, Text},
    request::Request,
    response::Response,
    router::BuildError,
    service::Service,
    state::{Provided, State},
    statistics::Statistics,
    target::Target,
};
