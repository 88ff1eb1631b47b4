//! An answer that waits for what happens, as it leaves for another process.

use std::task::{Context, Poll};

use cepa_core::Parked;

use super::{Client, Exchange};
use crate::{http1::conn::Conn, leaving::Pass, moved::Unfinished, transport::Transport};

/// An answer that has left.
pub(crate) struct Left {
    pub(crate) unfinished: Unfinished,
    pub(crate) pass: Pass,
}

impl Exchange {
    /// Leaves if it may; `false` if nothing has changed by that, and it is woken when it may.
    ///
    /// It is asked while everything is sent that there is.
    pub(super) fn poll_leave<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> bool
    where
        S: Transport,
    {
        if !conn.link.may_leave() || self.app.is_some() {
            return false;
        }
        let Some(leaving) = conn.floor().leaving() else { return false };
        let reads = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
        if reads || self.client != Client::Here || conn.left.len() > Parked::MOST {
            conn.link.stay();
            return true;
        }
        let pass = match leaving.poll_pass(&mut self.number, cx) {
            Poll::Pending => return false,
            // Now it is told to end.
            Poll::Ready(None) => return true,
            Poll::Ready(Some(pass)) => pass,
        };
        match self.outgoing.park() {
            Some((parked, rest)) => {
                let unread = std::mem::take(&mut conn.left);
                let unfinished = Unfinished { parked, rest, keep: self.keep, unread };
                self.left = Some(Box::new(Left { unfinished, pass }));
            }
            None => conn.link.stay(),
        }
        true
    }
}
