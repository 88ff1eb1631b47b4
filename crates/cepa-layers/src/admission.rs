//! A bounded number of places, and a queue for them that is bounded in length and time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Places that all worker threads share.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    wait: Duration,
}

impl Admission {
    /// More places than a semaphore can have are as many as it can.
    pub(crate) fn new(places: usize, queue: usize, wait: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { places, waiting: AtomicUsize::new(0), queue, wait }
    }

    /// Takes a place, in the order of arrival. `None` when the queue is full, or the wait was too long.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        // A place that becomes free goes to those who wait, so that this overtakes nobody.
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waiting = self.queue_up()?;
        timeout(self.wait, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }

    fn queue_up(&self) -> Option<Waiting<'_>> {
        let waiting = Waiting(&self.waiting);
        // Counted first, so that two who come at once do not both take the last place in the queue.
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < self.queue).then_some(waiting)
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_in_length_and_time() {
        let admission = Admission::new(1, 1, Duration::from_secs(1));
        let place = admission.enter().await.unwrap();
        let (waits, refused) = tokio::join!(admission.enter(), admission.enter());
        assert!(waits.is_none() && refused.is_none());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);

        let (next, ()) = tokio::join!(admission.enter(), async { drop(place) });
        assert!(next.is_some());
        drop(next);
        assert!(admission.enter().await.is_some());
    }
}
