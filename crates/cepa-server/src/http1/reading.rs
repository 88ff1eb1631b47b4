//! The request body on its way to the app, and whether the client brings it fast enough.

use std::task::{Context, Poll};

use bytes::Bytes;
use cepa_core::{Error, Sender};

use super::{BodyDecoder, BodyEvent};
use crate::{floor::Floor, limits::Limits};

/// A request body that is being read.
pub(crate) struct Reading {
    /// Gone once nobody reads the body any more.
    sender: Option<Sender>,
    decoder: BodyDecoder,
    length: Option<u64>,
    read: u64,
    /// The client waits for `100 Continue`.
    continues: bool,
    broken: bool,
    ended: bool,
    /// Seconds that the client was waited for.
    waited: u32,
    /// Since when the client is waited for.
    since: Option<u32>,
}

impl Reading {
    pub(super) fn new(sender: Sender, decoder: BodyDecoder, length: Option<u64>, continues: bool) -> Self {
        let sender = Some(sender);
        let (read, waited) = (0, 0);
        Self { sender, decoder, length, read, continues, broken: false, ended: false, waited, since: None }
    }

    /// Whether the app waits for more.
    pub(super) fn poll_wanted(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.sender {
            Some(sender) => match sender.poll_wanted(cx) {
                Poll::Ready(wanted) => {
                    if !wanted {
                        self.stop();
                    }
                    wanted
                }
                Poll::Pending => false,
            },
            None => false,
        }
    }

    /// Whether somebody may still read.
    pub(super) fn is_read(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_reader_gone())
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_wanted)
    }

    /// Whether the whole body was read, or nothing of it can be read any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the client still waits for `100 Continue`.
    pub(super) fn awaits_continue(&self) -> bool {
        self.continues
    }

    /// Whether `100 Continue` is to be sent now.
    pub(super) fn take_continue(&mut self) -> bool {
        std::mem::take(&mut self.continues)
    }

    /// Bytes still to come, where that is known.
    pub(super) fn rest(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.read))
    }

    /// Nobody reads any more; what comes is thrown away.
    fn stop(&mut self) {
        self.sender = None;
        self.since = None;
    }

    /// The client has left in the middle.
    pub(super) fn cut_off(&mut self) {
        self.fail(Error::new(400, "the request body was cut off"));
    }

    /// Ends the body with an error.
    pub(super) fn fail(&mut self, error: Error) {
        (self.ended, self.broken, self.since) = (true, true, None);
        if let Some(sender) = self.sender.take() {
            sender.fail(error);
        }
    }

    /// Decodes `input` up to its end or that of the body, and says how many bytes were used.
    ///
    /// All data goes to the app as one piece, for only one may wait; were each small chunk one of its own, a client
    /// could make the app run once for every byte that it sends.
    pub(super) fn feed(&mut self, input: &[u8]) -> usize {
        let (mut used, mut data) = (0, Vec::new());
        loop {
            let (length, event) = match self.decoder.decode(&input[used..]) {
                Ok(decoded) => decoded,
                Err(reject) => {
                    self.send(data);
                    self.fail(Error::new(reject.status(), reject.to_string()));
                    return input.len();
                }
            };
            let from = used;
            used += length;
            match event {
                Some(BodyEvent::Data(range)) => {
                    self.read += range.len() as u64;
                    if self.sender.is_some() {
                        data.extend_from_slice(&input[from + range.start..from + range.end]);
                    }
                }
                None => {
                    self.send(data);
                    return used;
                }
                Some(BodyEvent::Trailers(trailers)) => {
                    self.send(std::mem::take(&mut data));
                    self.finish(Some(trailers));
                }
                Some(BodyEvent::End) => {
                    self.send(data);
                    self.finish(None);
                    return used;
                }
            }
        }
    }

    fn send(&mut self, data: Vec<u8>) {
        if let Some(sender) = &mut self.sender
            && !data.is_empty()
        {
            sender.send(Bytes::from(data));
        }
    }

    fn finish(&mut self, trailers: Option<http::HeaderMap>) {
        (self.ended, self.since) = (true, None);
        if let Some(sender) = self.sender.take() {
            sender.finish(trailers);
        }
    }

    /// Something came at this tick.
    pub(super) fn came(&mut self, now: u32) {
        if let Some(since) = self.since.take() {
            self.waited += now.wrapping_sub(since);
        }
    }

    /// The client is waited for since this tick.
    pub(super) fn waits(&mut self, now: u32) {
        self.since.get_or_insert(now);
    }

    /// Seconds that the client was waited for, the app's own time left out.
    fn total(&self, now: u32) -> u32 {
        self.waited + self.since.map_or(0, |since| now.wrapping_sub(since))
    }

    /// Whether the client is slower than `limits.body_rate` allows.
    pub(super) fn is_too_slow(&self, now: u32, limits: &Limits) -> bool {
        // The last tick has only begun.
        let total = u64::from(self.total(now)).saturating_sub(1);
        self.since.is_some()
            && limits.body_rate > 0
            && total >= limits.body_grace.as_secs().max(1)
            && self.read < total.saturating_mul(limits.body_rate)
    }

    /// Seconds until the client may be too slow.
    pub(super) fn deadline(&self, now: u32, limits: &Limits) -> Option<u32> {
        self.since?;
        Floor::limit(std::time::Duration::from_secs(limits.body_rate))?;
        let earned = (self.read / limits.body_rate) as u32;
        let allowed = earned.max(limits.body_grace.as_secs() as u32);
        Some(allowed.saturating_sub(self.total(now)) + 1)
    }
}
