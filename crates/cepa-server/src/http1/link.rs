//! What an app sees of its HTTP/1.1 connection.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use cepa_core::{Connection, LocalBoxFuture, Peer, Policy, TlsInfo};
use http::{HeaderMap, StatusCode};

use crate::{
    deferred::Deferred,
    ends::{Ends, cancels},
    floor::Floor,
    tls::authority_matches,
    watchers::Watchers,
};

/// One per connection; what it says of the request at hand is reset for each.
pub(crate) struct Link {
    pub(crate) floor: Rc<Floor>,
    pub(crate) ends: Rc<Ends>,
    policy: Cell<Policy>,
    closed: Cell<bool>,
    /// Whether a proxy has said who the client is: only this process knows it.
    is_announced: Cell<bool>,
    /// Whether the answer at hand stays in this process until it ends.
    stays: Cell<bool>,
    /// Whether an informational response may go out: HTTP/1.1, and the final one has not begun.
    informs: Cell<bool>,
    /// Informational responses that wait to be written.
    hints: RefCell<Vec<u8>>,
    /// Who waits in [`Connection::poll_closed`].
    watchers: Watchers,
    /// What is to be done after the answer.
    pub(crate) deferred: Deferred,
    /// The connection's own task, which the drain wakes; none before it has run, and after an upgrade.
    task: Cell<Option<Waker>>,
    /// Another task that waits for the drain.
    draining: Cell<Option<LocalBoxFuture<'static, ()>>>,
}

impl Link {
    pub(crate) fn new(floor: Rc<Floor>, ends: Rc<Ends>) -> Rc<Self> {
        Rc::new(Self {
            floor,
            ends,
            policy: Cell::default(),
            closed: Cell::new(false),
            is_announced: Cell::new(false),
            stays: Cell::new(false),
            informs: Cell::new(false),
            hints: RefCell::default(),
            watchers: Watchers::default(),
            deferred: Deferred::default(),
            task: Cell::default(),
            draining: Cell::default(),
        })
    }

    /// Says which task to wake.
    pub(crate) fn set_task(&self, task: &Waker) {
        self.task.set(Some(task.clone()));
    }

    /// Says that the connection belongs to another protocol now.
    pub(crate) fn upgrade(&self) {
        self.task.take();
    }

    /// Says that a proxy has announced the client.
    pub(crate) fn announced(&self) {
        self.is_announced.set(true);
    }

    /// Whether the socket alone tells another process all that it has to know.
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_tls() && !self.is_announced.get()
    }

    /// Whether an answer that waits may go on in another process, now that the server drains.
    pub(crate) fn may_leave(&self) -> bool {
        self.floor.leaving().is_some_and(|leaving| leaving.is_open()) && self.is_plain() && !self.stays.get()
    }

    /// Says that the answer at hand cannot go on in another process.
    pub(crate) fn stay(&self) {
        self.stays.set(true);
    }

    fn wake_task(&self) {
        if let Some(task) = self.task.take() {
            task.wake_by_ref();
            self.task.set(Some(task));
        }
    }

    fn is_task(&self, waker: &Waker) -> bool {
        let task = self.task.take();
        let is_task = task.as_ref().is_some_and(|task| task.will_wake(waker));
        self.task.set(task);
        is_task
    }

    /// Begins a request.
    pub(crate) fn begin(&self, informs: bool) {
        self.policy.set(Policy::default());
        self.stays.set(false);
        self.informs.set(informs);
        // Who still waits since an earlier request says so again; nothing is kept of those who do not.
        self.watchers.wake();
        // The answers to the requests before are on their way before this task waits.
        self.deferred.begin();
    }

    /// Ends the time in which informational responses may go out, and hands over those that wait.
    pub(crate) fn end_hints(&self) -> Vec<u8> {
        self.informs.set(false);
        self.take_hints()
    }

    /// [`end_hints`](Self::end_hints), appending them.
    #[inline]
    pub(crate) fn end_hints_into(&self, output: &mut Vec<u8>) {
        self.informs.set(false);
        let mut hints = self.hints.borrow_mut();
        if !hints.is_empty() {
            output.append(&mut hints);
        }
    }

    pub(crate) fn take_hints(&self) -> Vec<u8> {
        self.hints.take()
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy.get()
    }

    /// Whether a running handler is dropped when the client goes, if its method is a safe one or not.
    pub(crate) fn cancels(&self, safe: bool) -> bool {
        cancels(self.policy.get().on_close, safe)
    }

    /// Says that the client is gone.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.watchers.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.ends.tls.is_some()
    }

    /// Whether a request for this authority belongs on another connection: the client has asked TLS for another
    /// server.
    pub(crate) fn is_misdirected(&self, authority: &str) -> bool {
        let server_name = self.ends.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        !authority_matches(server_name, authority)
    }
}

impl Connection for Link {
    fn door(&self) -> &'static str {
        "http/1.1"
    }

    fn peer(&self) -> Peer {
        self.ends.peer.clone()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.ends.local
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.ends.tls.as_deref()
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closed.get() {
            return Poll::Ready(());
        }
        self.watchers.add(cx.waker());
        Poll::Pending
    }

    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let allowed =
            self.informs.get() && status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        if allowed {
            super::encode_informational(&mut self.hints.borrow_mut(), status, headers);
            self.wake_task();
        }
        allowed
    }

    fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }

    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        self.deferred.add(&self.floor, work)
    }

    fn calls_left(&self) -> u32 {
        self.floor.limits.call_depth
    }

    fn is_draining(&self) -> bool {
        self.floor.is_draining()
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        let is_task = self.is_task(cx.waker());
        if self.is_draining() {
            // The body that this task sends need not end as long as it may leave.
            return if is_task && self.may_leave() { Poll::Pending } else { Poll::Ready(()) };
        }
        // A million streams of events wait like this: they cost nothing more.
        if is_task {
            return Poll::Pending;
        }
        let mut draining = self.draining.take().unwrap_or_else(|| self.draining());
        let polled = draining.as_mut().poll(cx);
        self.draining.set(Some(draining));
        polled
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        self.floor.begin_of_drain()
    }
}
