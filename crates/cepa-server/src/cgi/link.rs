//! What an app sees of the connection that its request came by.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use cepa_core::{Connection, LocalBoxFuture, Peer, Policy, TlsInfo};

use super::{Client, conn::Front};
use crate::{ends::cancels, floor::Floor};

/// One per request: a front server brings those of many clients.
pub(super) struct Link {
    floor: Rc<Floor>,
    door: &'static str,
    client: Client,
    policy: Cell<Policy>,
    closed: Cell<bool>,
    /// Who waits in [`Connection::poll_closed`].
    watchers: Cell<Vec<Waker>>,
}

impl Link {
    /// What a front server says of its client is taken over if it is believed; else the client is who has connected.
    pub(super) fn new(floor: Rc<Floor>, door: &'static str, front: &Front, client: Client) -> Rc<Self> {
        let client = match front.is_trusted {
            true => Client { local: client.local.or(front.local), ..client },
            false => Client { peer: front.peer.clone(), local: front.local, tls: None },
        };
        let (policy, closed, watchers) = Default::default();
        Rc::new(Self { floor, door, client, policy, closed, watchers })
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy.get()
    }

    /// Whether a running handler is dropped when the client goes, if its method is a safe one or not.
    pub(super) fn cancels(&self, safe: bool) -> bool {
        cancels(self.policy.get().on_close, safe)
    }

    /// Says that the client is gone.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.watchers.take().into_iter().for_each(Waker::wake);
    }
}

impl Connection for Link {
    fn door(&self) -> &'static str {
        self.door
    }

    fn peer(&self) -> Peer {
        self.client.peer.clone()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.client.local
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.client.tls.as_deref()
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closed.get() {
            return Poll::Ready(());
        }
        let mut watchers = self.watchers.take();
        if !watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
            watchers.push(cx.waker().clone());
        }
        self.watchers.set(watchers);
        Poll::Pending
    }

    fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }

    fn calls_left(&self) -> u32 {
        self.floor.limits.call_depth
    }

    fn is_draining(&self) -> bool {
        self.floor.is_draining()
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        self.floor.begin_of_drain()
    }
}
