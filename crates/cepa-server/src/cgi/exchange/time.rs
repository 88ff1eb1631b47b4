//! How long an exchange may take: the limits of time, looked at with every tick.

use std::{io, sync::Arc, time::Duration};

use cepa_core::Error;
use http::StatusCode;

use super::{
    super::{Codec, conn::Conn, respond},
    Client, Exchange, PARTING,
};
use crate::{floor::Floor, transport::Transport};

impl Exchange {
    /// Some time has passed; answers how the exchange ends by that, if it does.
    ///
    /// A tick is passed as soon as it has begun, so a limit of one second is kept until the second tick after.
    pub(super) fn expired<S, C>(&mut self, conn: &mut Conn<S, C>) -> Option<io::Result<bool>>
    where
        S: Transport,
        C: Codec,
    {
        conn.timer.clear();
        let now = conn.now();
        self.checked = now;
        let limits = Arc::clone(&conn.floor.limits);
        if let Some(reading) = &mut self.reading
            && reading.deadline(now, &limits) == Some(0)
        {
            (self.keep, self.linger) = (false, true);
            reading.fail(Error::status_only(StatusCode::REQUEST_TIMEOUT));
            // An answer that is made of the body breaks off with it, by itself.
            return None;
        }
        if self.app.is_some() {
            if now.wrapping_sub(self.since) > self.request_time(&limits)? {
                tracing::warn!(target: "cepa::cgi", door = C::DOOR, "a request took longer than limits.request_time");
                self.app = None;
                let (out, floor) = (self.outgoing.head(), &conn.floor);
                conn.codec.note("the request took longer than limits.request_time", out);
                let rest =
                    respond::refuse(StatusCode::SERVICE_UNAVAILABLE, self.kind, &conn.codec, floor, out);
                self.outgoing.set_rest(rest);
                (self.keep, self.linger, self.since) = (conn.keeps(), true, now);
            }
            return None;
        }
        self.outgoing.stalls(now, limits.write_stall).then(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whole seconds that the app may take; `None`: any time.
    fn request_time(&self, limits: &crate::limits::Limits) -> Option<u32> {
        let own = self.link.as_ref().and_then(|link| link.policy().request_time);
        Floor::limit(own.unwrap_or(limits.request_time)).map(|time| time.as_secs().max(1) as u32)
    }

    /// Wakes up again at the next moment at which a limit may have been passed.
    pub(super) fn set_deadline<S: Transport, C: Codec>(&mut self, conn: &mut Conn<S, C>) {
        let now = conn.now();
        let limits = Arc::clone(&conn.floor.limits);
        let left = |most: u32, since: u32| most.saturating_sub(now.wrapping_sub(since));
        let body = self.reading.as_ref().and_then(|reading| reading.deadline(now, &limits));
        let app =
            self.app.as_ref().and_then(|_| self.request_time(&limits)).map(|most| left(most, self.since));
        let parting = match (self.client, &self.link) {
            (Client::Parting(since), Some(link)) if link.cancels(self.kind.is_safe) => {
                Some(left(PARTING, since))
            }
            _ => None,
        };
        let write = self.outgoing.deadline(now, limits.write_stall);
        match [body, app, parting, write].into_iter().flatten().min() {
            Some(seconds) => conn.timer.set(Duration::from_secs(seconds.max(1).into())),
            None => conn.timer.clear(),
        }
    }
}
