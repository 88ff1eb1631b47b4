//! How much may be under way at once.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::BackendError;

/// How much may be under way at once, in pieces and in bytes. Those who wait for room get it in the order in which they came.
#[derive(Debug)]
pub(super) struct Room {
    pieces: Arc<Semaphore>,
    /// Each of its permits is for a thousand bytes, about.
    bytes: Arc<Semaphore>,
    most: u32,
}

/// A piece that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _room: Option<[OwnedSemaphorePermit; 2]>,
}

impl Room {
    const UNIT: usize = 1024;

    pub(super) fn new(pieces: usize, bytes: usize) -> Self {
        let most = u32::try_from(bytes / Self::UNIT).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        let bytes = Arc::new(Semaphore::new(most as usize));
        Self { pieces: Arc::new(Semaphore::new(pieces)), bytes, most }
    }

    /// So many permits as a piece takes. One that is larger than all room takes all, and is alone then.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / Self::UNIT + 1).unwrap_or(u32::MAX).min(self.most)
    }

    /// Takes room for a piece, if there is any.
    pub(super) fn permit(&self, bytes: usize) -> Result<Permit, BackendError> {
        let piece = Arc::clone(&self.pieces).try_acquire_owned().map_err(|_| BackendError::Busy)?;
        let units = self.units(bytes);
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(units).map_err(|_| BackendError::Busy)?;
        Ok(Permit { _room: Some([piece, bytes]) })
    }

    /// Takes room as soon as there is any, within a time.
    pub(super) async fn wait(&self, bytes: usize, wait: Duration) -> Result<Permit, BackendError> {
        let taken = async {
            let piece = Arc::clone(&self.pieces).acquire_owned().await?;
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(self.units(bytes)).await?;
            Ok([piece, bytes])
        };
        let taken: Result<_, tokio::sync::AcquireError> =
            timeout(wait, taken).await.map_err(|_| BackendError::Busy)?;
        Ok(Permit { _room: Some(taken.expect("nobody closes these")) })
    }
}

impl Permit {
    /// For what is bounded by something else.
    pub(super) const fn none() -> Self {
        Self { _room: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_and_bytes_are_bounded_and_given_back() {
        let room = Room::new(2, 10 * 1024);
        let first = room.permit(6000).unwrap();
        assert_eq!(room.permit(6000).unwrap_err(), BackendError::Busy);
        let second = room.permit(4000).unwrap();
        assert_eq!(room.permit(0).unwrap_err(), BackendError::Busy);
        assert_eq!(room.wait(0, Duration::from_millis(1)).await.unwrap_err(), BackendError::Busy);
        let third = room.wait(100_000, Duration::from_secs(10));
        let (third, ()) = tokio::join!(third, async { drop((first, second)) });
        assert_eq!(room.permit(1).unwrap_err(), BackendError::Busy);
        drop(third);
        room.permit(10).unwrap();
    }
}
