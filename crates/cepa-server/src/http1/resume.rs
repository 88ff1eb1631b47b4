//! An answer that has begun in another process, and goes on here.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use cepa_core::{Handling, OnUpgrade, Response};
use http::StatusCode;

use super::{Framing, conn::Conn, exchange::Exchange};
use crate::{
    floor::Floor,
    moved::{Receipt, Rest, Unfinished},
    transport::Transport,
};

/// An answer that has come.
pub(crate) struct Arriving {
    pub(crate) unfinished: Unfinished,
    pub(crate) receipt: Option<Receipt>,
}

/// What waits for the app to say how the answer goes on.
pub(super) struct Resume {
    /// Gone if there is nobody to ask.
    handling: Option<Handling>,
    rest: Rest,
    keep: bool,
    end: Vec<u8>,
    receipt: Option<Receipt>,
}

/// How it goes on.
pub(super) enum Resumed {
    Exchange(Box<Exchange>),
    Upgrade(OnUpgrade),
}

impl Resume {
    /// Asks the app.
    pub(super) fn new<S: Transport>(arriving: Arriving, conn: &mut Conn<S>) -> Self {
        let Arriving { unfinished, receipt } = arriving;
        let end = unfinished.end();
        let Unfinished { parked, rest, keep, unread } = unfinished;
        conn.left = unread;
        conn.link.begin(false);
        conn.give_to_exchange();
        match Floor::limit(conn.link.floor.limits.request_time) {
            Some(time) => conn.timer.set(time),
            None => conn.timer.clear(),
        }
        let handler = parked.handler.clone();
        let handling = conn.link.floor.onion.resume(parked, Rc::clone(&conn.link) as _);
        if handling.is_none() {
            tracing::warn!(target: "cepa::http1", handler, "nothing goes on with a connection that came from another process");
        }
        Self { handling, rest, keep, end, receipt }
    }

    /// Ready with how the answer goes on, and what is to be dropped once it does.
    pub(super) fn poll<S>(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Conn<S>,
    ) -> Poll<(Resumed, Option<Receipt>)> {
        let response = match &mut self.handling {
            Some(_) if conn.timer.expired() => None,
            Some(handling) => Some(ready!(Pin::new(handling).poll(cx))),
            None => None,
        };
        self.handling = None;
        conn.timer.clear();
        let resumed = response.and_then(|response| self.go_on(response)).unwrap_or_else(|| self.end());
        Poll::Ready((resumed, self.receipt.take()))
    }

    /// What the app has answered, if that can go on from where the answer was.
    fn go_on(&self, mut response: Response) -> Option<Resumed> {
        let upgrade = response.take_upgrade();
        let framing = match self.rest {
            Rest::Upgraded => return upgrade.map(Resumed::Upgrade),
            Rest::Chunked => Framing::Chunked,
            Rest::UntilClose => Framing::UntilClose,
        };
        let goes_on = upgrade.is_none() && response.status() == StatusCode::OK;
        let body = response.take_body().filter(|_| goes_on)?;
        Some(Resumed::Exchange(Box::new(Exchange::resumed(body, framing, self.keep))))
    }

    /// The end that the process before has written for this case.
    fn end(&mut self) -> Resumed {
        let end = std::mem::take(&mut self.end);
        let exchange = match self.rest {
            Rest::Chunked if self.keep => Exchange::write_rest(end),
            Rest::Chunked | Rest::Upgraded => Exchange::write_last(end, true),
            Rest::UntilClose => Exchange::write_last(end, false),
        };
        Resumed::Exchange(Box::new(exchange))
    }
}
