//! Whether a client brings its request body as fast as `limits.body_rate` asks.

use crate::limits::Limits;

/// Counts the bytes of a body and the whole seconds for which the client, and not the app, was waited for.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bytes: u64,
    waited: u32,
    /// The tick since which the client is waited for.
    since: Option<u32>,
}

impl Pace {
    /// The app wants more, and nothing is there.
    pub(crate) fn wait(&mut self, now: u32) {
        self.since.get_or_insert(now);
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, bytes: usize, now: u32) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(now.wrapping_sub(since));
        }
    }

    /// Nobody waits for the client any more.
    pub(crate) fn stop(&mut self) {
        self.since = None;
    }

    /// Bytes that have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn total(&self, since: u32, now: u32) -> u32 {
        self.waited.saturating_add(now.wrapping_sub(since))
    }

    /// Seconds until the client will have been too slow if nothing more comes; 0 when it has been already, `None`
    /// while it is not waited for or any rate is allowed.
    pub(crate) fn deadline(&self, now: u32, limits: &Limits) -> Option<u32> {
        let total = self.total(self.since?, now);
        let paid_for = self.bytes.checked_div(limits.body_rate)?.min(u64::from(u32::MAX - 1)) as u32;
        let allowed = paid_for.max(limits.body_grace.as_secs() as u32);
        Some(allowed.saturating_add(1).saturating_sub(total))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_has_the_grace_and_what_it_has_paid_for() {
        let limits = Limits { body_rate: 100, body_grace: Duration::from_secs(5), ..Limits::default() };
        let mut pace = Pace::default();
        assert_eq!(pace.deadline(7, &limits), None, "nobody waits");
        pace.wait(7);
        assert_eq!(pace.deadline(7, &limits), Some(6));
        assert_eq!(pace.deadline(12, &limits), Some(1));
        assert_eq!(pace.deadline(13, &limits), Some(0));
        pace.came(1000, 12);
        // The app takes its time: that is not the client's.
        pace.wait(1000);
        assert_eq!(pace.deadline(1000, &limits), Some(6), "ten seconds are paid for, five are used");
        assert_eq!(pace.deadline(1006, &limits), Some(0));
        assert_eq!(pace.bytes(), 1000);
    }

    #[test]
    fn without_a_rate_there_is_no_deadline() {
        let limits = Limits { body_rate: 0, ..Limits::default() };
        let mut pace = Pace::default();
        pace.wait(0);
        assert_eq!(pace.deadline(u32::MAX, &limits), None);
    }
}
