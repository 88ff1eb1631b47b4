//! The buffer of a subscriber that keeps its oldest messages and misses new ones.

use std::collections::VecDeque;

use super::message::Frame;

/// Messages that wait for one subscriber, with their numbers. Where these are not one after the other, some were missed.
#[derive(Debug)]
pub(super) struct Own {
    frames: VecDeque<(u64, Frame)>,
    bytes: usize,
    /// The first that the subscriber has not seen.
    from: u64,
    most: usize,
    most_bytes: usize,
}

impl Own {
    pub(super) fn new(from: u64, most: usize, most_bytes: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, from, most, most_bytes }
    }

    /// Keeps a message if it is new and there is room.
    pub(super) fn offer(&mut self, number: u64, frame: &Frame) {
        let bytes = self.bytes + frame.len();
        if number < self.from {
            return;
        }
        if self.frames.is_empty() || (self.frames.len() < self.most && bytes <= self.most_bytes) {
            self.frames.push_back((number, frame.clone()));
            self.bytes = bytes;
        }
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> Option<u64> {
        self.frames.front().map(|(number, _)| *number)
    }

    pub(super) fn take(&mut self) -> Option<Frame> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Some(frame)
    }
}
