//! All listeners of all apps, by the name of an action.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::MessengerError;
use crate::{far::Far, locked, names::Key};

/// All listeners of all apps.
#[derive(Debug)]
pub(crate) struct Switch {
    listeners: Mutex<Listeners>,
    limit: usize,
    /// What reaches other processes.
    far: OnceLock<Arc<dyn Far>>,
}

#[derive(Debug, Default)]
struct Listeners {
    /// By app and action.
    ears: HashMap<Key, Vec<Ear>>,
    count: usize,
    last: u64,
}

#[derive(Clone, Debug)]
struct Ear {
    number: u64,
    sender: mpsc::Sender<Bytes>,
    missed: Arc<AtomicU64>,
}

/// What a listener hears by.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) number: u64,
    pub(super) messages: mpsc::Receiver<Bytes>,
    pub(super) missed: Arc<AtomicU64>,
}

impl Switch {
    /// Messages that a listener may be behind.
    pub(super) const BUFFER: usize = 128;

    pub(crate) fn new(limit: usize) -> Self {
        Self { listeners: Mutex::default(), limit, far: OnceLock::new() }
    }

    /// Sets what reaches other processes.
    pub(crate) fn reach(&self, far: Arc<dyn Far>) {
        assert!(self.far.set(far).is_ok(), "a switch is made for one backend");
    }

    pub(super) fn far(&self) -> Option<&Arc<dyn Far>> {
        self.far.get()
    }

    pub(super) fn listen(&self, action: &Key) -> Result<Heard, MessengerError> {
        let (sender, messages) = mpsc::channel(Self::BUFFER);
        let missed = Arc::<AtomicU64>::default();
        let mut listeners = locked(&self.listeners);
        if listeners.count >= self.limit {
            return Err(MessengerError::TooManyListeners);
        }
        listeners.count += 1;
        listeners.last += 1;
        let number = listeners.last;
        let ear = Ear { number, sender, missed: Arc::clone(&missed) };
        let ears = listeners.ears.entry(action.clone()).or_default();
        ears.push(ear);
        // Under the lock: counts are told in the order in which they were.
        self.far().inspect(|far| far.listening(action, ears.len()));
        Ok(Heard { number, messages, missed })
    }

    pub(super) fn leave(&self, action: &Key, number: u64) {
        let mut listeners = locked(&self.listeners);
        let Some(ears) = listeners.ears.get_mut(action) else { return };
        // Numbers grow: they are in order.
        let gone = ears.binary_search_by_key(&number, |ear| ear.number).ok().map(|at| ears.remove(at));
        self.far().inspect(|far| far.listening(action, ears.len()));
        if ears.is_empty() {
            listeners.ears.remove(action);
        }
        listeners.count -= 1;
        drop(listeners);
        drop(gone);
    }

    /// Passes a message to all that listen, and answers how many took it.
    pub(crate) fn tell_all(&self, action: &Key, message: &Bytes) -> usize {
        self.ears(action).iter().filter(|ear| ear.hear(message.clone())).count()
    }

    /// Passes a message to one that listens, whichever, and answers whether it took it.
    pub(crate) fn tell_one(&self, action: &Key, message: Bytes) -> bool {
        let ears = self.ears(action);
        if ears.is_empty() {
            return false;
        }
        ears[RandomState::new().hash_one(()) as usize % ears.len()].hear(message)
    }

    /// Tells the backend how many listen, for each action.
    pub(crate) fn tell_actions(&self) {
        let listeners = locked(&self.listeners);
        if let Some(far) = self.far() {
            listeners.ears.iter().for_each(|(action, ears)| far.listening(action, ears.len()));
        }
    }

    /// A copy, so that nobody is woken under the lock.
    fn ears(&self, action: &Key) -> Vec<Ear> {
        locked(&self.listeners).ears.get(action).cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.listeners).ears.is_empty()
    }
}

impl Ear {
    fn hear(&self, message: Bytes) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Relaxed);
                false
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}
