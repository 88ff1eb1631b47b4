//! The connection of a request that was made within another: what is asked of it goes to that one's.

use std::{
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{Connection, LocalBoxFuture, Peer, TlsInfo};

pub(super) struct Within {
    pub(super) outer: Rc<dyn Connection>,
    pub(super) left: u32,
    pub(super) peer: Peer,
    pub(super) tls: Option<TlsInfo>,
}

/// No policy is passed on, and no hint: how the door treats the request is for who has answered it to say, and its client
/// gets nothing of this one.
impl Connection for Within {
    fn door(&self) -> &'static str {
        "call"
    }

    fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.outer.local()
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outer.poll_closed(cx)
    }

    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        self.outer.defer(work)
    }

    fn calls_left(&self) -> u32 {
        self.left
    }

    fn is_draining(&self) -> bool {
        self.outer.is_draining()
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outer.poll_draining(cx)
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        self.outer.draining()
    }
}
