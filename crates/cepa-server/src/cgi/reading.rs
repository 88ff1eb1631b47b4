//! The body of a request on its way to the app.

use std::task::{Context, Poll};

use bytes::Bytes;
use cepa_core::{Error, Sender};

use super::Reject;
use crate::{limits::Limits, pace::Pace};

/// A body that is being read. What has come and is not wanted yet waits here, and nothing more is read once that is much.
pub(super) struct Reading {
    /// Gone once nobody reads the body any more.
    sender: Option<Sender>,
    came: Vec<u8>,
    length: Option<u64>,
    pace: Pace,
    ended: bool,
}

impl Reading {
    /// A body of which `came` is there already.
    pub(super) fn new(sender: Sender, came: Vec<u8>, length: Option<u64>, now: u32) -> Self {
        let mut pace = Pace::default();
        pace.came(came.len(), now);
        Self { sender: Some(sender), came, length, pace, ended: false }
    }

    /// Whether nothing more will come.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that wait for the app.
    pub(super) fn waiting(&self) -> usize {
        self.came.len()
    }

    /// Whether the app waits for more.
    pub(super) fn is_wanted(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_wanted)
    }

    /// A part has come.
    pub(super) fn take(&mut self, data: &[u8], now: u32) {
        self.pace.came(data.len(), now);
        if self.length.is_some_and(|length| self.pace.bytes() > length) {
            return self.fail(refused(Reject::BodyLength));
        }
        if self.sender.is_some() && !self.ended {
            self.came.extend_from_slice(data);
        }
    }

    /// The end has come.
    pub(super) fn end(&mut self) {
        self.pace.stop();
        if self.length.is_some_and(|length| self.pace.bytes() < length) {
            return self.fail(refused(Reject::BodyLength));
        }
        self.ended = true;
    }

    /// The front server has left in the middle.
    pub(super) fn cut_off(&mut self) {
        if !self.ended {
            self.fail(Error::new(400, "the request body was cut off"));
        }
    }

    /// Ends the body with an error.
    pub(super) fn fail(&mut self, error: Error) {
        self.ended = true;
        self.pace.stop();
        self.came = Vec::new();
        if let Some(sender) = self.sender.take() {
            sender.fail(error);
        }
    }

    /// Hands over what is there if the app waits for it; whether it got something.
    pub(super) fn poll_hand_over(&mut self, cx: &mut Context<'_>, now: u32) -> bool {
        let Some(sender) = &mut self.sender else { return false };
        match sender.poll_wanted(cx) {
            Poll::Pending => return false,
            Poll::Ready(true) => {}
            Poll::Ready(false) => {
                // Nobody reads any more: what comes is thrown away.
                (self.sender, self.came) = (None, Vec::new());
                self.pace.stop();
                return false;
            }
        }
        if !self.came.is_empty() {
            sender.send(Bytes::from(std::mem::take(&mut self.came)));
        } else if !self.ended {
            self.pace.wait(now);
            return false;
        }
        if self.ended
            && let Some(sender) = self.sender.take()
        {
            sender.finish(None);
        }
        true
    }

    /// Seconds until the client is too slow, 0 when it is.
    pub(super) fn deadline(&self, now: u32, limits: &Limits) -> Option<u32> {
        self.pace.deadline(now, limits)
    }
}

fn refused(reject: Reject) -> Error {
    Error::new(reject.status(), reject.to_string())
}
