//! What an app sees of the stream that its request came by.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use cepa_core::{Connection, LocalBoxFuture, Peer, Policy, TlsInfo};
use h2::server::SendResponse;
use http::{HeaderMap, Method, Response, StatusCode};

use super::{respond, streams::Streams};
use crate::{deferred::Deferred, ends::cancels, watchers::Watchers};

/// One per request.
pub(super) struct Link {
    pub(super) streams: Rc<Streams>,
    /// There until the response begins.
    respond: RefCell<Option<SendResponse<Bytes>>>,
    policy: Cell<Policy>,
    closed: Cell<bool>,
    /// Who waits in [`Connection::poll_closed`].
    watchers: Watchers,
    /// What is to be done after the answer.
    pub(super) deferred: Deferred,
    /// Who waits for the drain.
    draining: Cell<Option<LocalBoxFuture<'static, ()>>>,
}

impl Link {
    pub(super) fn new(streams: Rc<Streams>, respond: SendResponse<Bytes>) -> Rc<Self> {
        let (policy, closed, watchers) = (Cell::default(), Cell::default(), Watchers::default());
        let (respond, draining) = (RefCell::new(Some(respond)), Cell::default());
        let deferred = Deferred::default();
        Rc::new(Self { streams, respond, policy, closed, watchers, deferred, draining })
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy.get()
    }

    /// Whether a running handler for this method is dropped when the client goes.
    pub(super) fn cancels(&self, method: &Method) -> bool {
        cancels(self.policy.get().on_close, method.is_safe())
    }

    /// Ends the time before the response. An app may keep its end of the link; it must not keep the stream.
    pub(super) fn take_respond(&self) -> Option<SendResponse<Bytes>> {
        self.respond.borrow_mut().take()
    }

    /// Before the response: ready when the stream is gone.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.respond.borrow_mut() {
            Some(respond) => respond.poll_reset(cx).map(|_| ()),
            None => Poll::Pending,
        }
    }

    /// Says that the client is gone.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.watchers.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

impl Connection for Link {
    fn door(&self) -> &'static str {
        "h2"
    }

    fn peer(&self) -> Peer {
        self.streams.ends.peer.clone()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.streams.ends.local
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.streams.ends.tls.as_deref()
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closed.get() {
            return Poll::Ready(());
        }
        self.watchers.add(cx.waker());
        Poll::Pending
    }

    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return false;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        respond::strip(response.headers_mut());
        let mut respond = self.respond.borrow_mut();
        respond.as_mut().is_some_and(|respond| respond.send_informational(response).is_ok())
    }

    fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }

    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        self.deferred.add(&self.streams.floor, work)
    }

    fn calls_left(&self) -> u32 {
        self.streams.floor.limits.call_depth
    }

    fn is_draining(&self) -> bool {
        self.streams.floor.is_draining()
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_draining() {
            return Poll::Ready(());
        }
        let mut draining = self.draining.take().unwrap_or_else(|| self.draining());
        let polled = draining.as_mut().poll(cx);
        self.draining.set(Some(draining));
        polled
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        self.streams.floor.begin_of_drain()
    }
}
