//! How long an exchange may take: the limits of time, looked at with every tick.

use std::{io, time::Duration};

use cepa_core::Error;
use http::StatusCode;

use super::{
    super::{conn::Conn, date, reject::answer_head, respond::Kind},
    Client, Exchange, PARTING,
};
use crate::{floor::Floor, transport::Transport};

impl Exchange {
    /// Some time has passed; answers how the exchange ends by that, if it does.
    ///
    /// A tick is passed as soon as it has begun, so a limit of one second is kept until the second tick after.
    pub(super) fn expired<S>(&mut self, conn: &mut Conn<S>) -> Option<io::Result<bool>>
    where
        S: Transport,
    {
        conn.timer.clear();
        let now = conn.timer.timers().now_tick();
        self.checked = now;
        let limits = conn.floor().limits.clone();
        if let Some(reading) = &mut self.reading
            && reading.is_too_slow(now, &limits)
        {
            (self.keep, self.linger) = (false, true);
            reading.fail(Error::status_only(StatusCode::REQUEST_TIMEOUT));
            // An answer that is made of the body breaks off with it.
            let whole =
                if self.outgoing.is_empty() { Ok(false) } else { Err(io::ErrorKind::TimedOut.into()) };
            return if self.app.is_some() { None } else { Some(whole) };
        }
        if self.app.is_some() {
            let most = self.request_time(conn)?;
            if now.wrapping_sub(self.since) > most {
                tracing::warn!(target: "cepa::http1", "a request took longer than limits.request_time");
                self.app = None;
                (self.keep, self.linger) = (false, true);
                let mut head = conn.link.end_hints();
                let body = answer_head(&mut head, StatusCode::SERVICE_UNAVAILABLE, &date::now());
                if self.method != Kind::Head {
                    head.extend_from_slice(body.as_bytes());
                }
                self.outgoing.push(&head);
                self.since = now;
            }
            return None;
        }
        if self.outgoing.stalls(now, limits.write_stall) {
            return Some(Err(io::ErrorKind::TimedOut.into()));
        }
        let drains = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
        let most = Floor::limit(limits.header_time)?.as_secs() as u32;
        (drains && self.outgoing.is_empty() && now.wrapping_sub(self.since) > most).then_some(Ok(false))
    }

    /// Whole seconds that the app may take; `None`: any time.
    fn request_time<S>(&self, conn: &Conn<S>) -> Option<u32> {
        let time = conn.link.policy().request_time.unwrap_or(conn.link.floor.limits.request_time);
        Floor::limit(time).map(|time| time.as_secs().max(1) as u32)
    }

    /// Wakes up again at the next moment at which a limit may have been passed.
    pub(super) fn set_deadline<S>(&mut self, conn: &mut Conn<S>)
    where
        S: Transport,
    {
        let now = conn.timer.timers().now_tick();
        let limits = conn.link.floor.limits.clone();
        let mut next: Option<u32> = None;
        let mut at_most = |seconds: u32| next = Some(next.map_or(seconds, |next| next.min(seconds)));
        if let Some(reading) = &self.reading
            && let Some(seconds) = reading.deadline(now, &limits)
        {
            at_most(seconds);
        }
        if self.app.is_some() {
            if let Some(most) = self.request_time(conn) {
                at_most(most.saturating_sub(now.wrapping_sub(self.since)));
            }
        } else if self.reading.as_ref().is_some_and(|reading| !reading.is_ended()) {
            // What the client goes on sending does not prolong it.
            at_most((limits.header_time.as_secs() as u32).saturating_sub(now.wrapping_sub(self.since)));
        }
        if let Client::Parting(since) = self.client
            && conn.link.cancels(self.method.is_safe())
        {
            at_most(PARTING.saturating_sub(now.wrapping_sub(since)));
        }
        if let Some(seconds) = self.outgoing.deadline(now, limits.write_stall) {
            at_most(seconds);
        }
        match next {
            Some(seconds) => conn.timer.set(Duration::from_secs(seconds.max(1).into())),
            None => conn.timer.clear(),
        }
    }
}
