//! Frames that wait to be written to a socket, bounded.

use std::{io, sync::Mutex};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
};

use super::wire::{self, Wire, WireError};
use crate::locked;

/// Frames that wait to be written to a socket. Whoever produces many waits for [`room`](Self::room) before each; what one
/// does not wait with is the end of something that was let in before.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<Vec<u8>>,
    most: usize,
    written_to: Notify,
    has_room: Notify,
}

impl Outbox {
    /// A buffer that has grown larger than that is not kept.
    const SPARE: usize = 256 << 10;

    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), most, written_to: Notify::new(), has_room: Notify::new() }
    }

    /// Adds a frame, however full it is.
    pub(super) fn push<F: Wire>(&self, frame: &F) -> Result<(), WireError> {
        let mut waiting = locked(&self.waiting);
        let was_empty = waiting.is_empty();
        wire::write(frame, &mut waiting)?;
        drop(waiting);
        if was_empty {
            self.written_to.notify_one();
        }
        Ok(())
    }

    /// Adds a frame, if there is room.
    pub(super) fn offer<F: Wire>(&self, frame: &F) -> bool {
        self.has_room() && self.push(frame).is_ok()
    }

    pub(super) fn has_room(&self) -> bool {
        locked(&self.waiting).len() < self.most
    }

    /// Waits until less is waiting than may be.
    pub(super) async fn room(&self) {
        loop {
            let mut freed = std::pin::pin!(self.has_room.notified());
            // From here on no call is missed.
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Takes out all that waits.
    pub(super) fn clear(&self) {
        *locked(&self.waiting) = Vec::new();
        self.has_room.notify_waiters();
    }

    /// Writes what there is, and what is added, until that fails.
    pub(super) async fn write_to(&self, mut socket: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            std::mem::swap(&mut *locked(&self.waiting), &mut bytes);
            if bytes.is_empty() {
                self.written_to.notified().await;
                continue;
            }
            self.has_room.notify_waiters();
            socket.write_all(&bytes).await?;
            if bytes.capacity() > Self::SPARE {
                bytes = Vec::new();
            }
            bytes.clear();
        }
    }
}
