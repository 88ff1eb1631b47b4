//! What has changed in this process, until Redis is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use crate::{locked, names::Key, queue::Channel};

/// What has changed in this process, each thing once however often it has.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Changed>);

#[derive(Debug, Default)]
struct Changed {
    queues: HashMap<Key, Weak<Channel>>,
    actions: HashMap<Key, usize>,
}

impl News {
    /// Subscribers of a queue have come or gone. Answers whether it is the first of the news.
    pub(super) fn of_queue(&self, mirror: &Arc<Channel>) -> bool {
        self.note(|changed| {
            changed.queues.insert(mirror.key().clone(), Arc::downgrade(mirror));
        })
    }

    /// So many listen for an action now. Answers whether it is the first of the news.
    pub(super) fn of_action(&self, action: &Key, count: usize) -> bool {
        self.note(|changed| {
            changed.actions.insert(action.clone(), count);
        })
    }

    fn note(&self, note: impl FnOnce(&mut Changed)) -> bool {
        let mut changed = locked(&self.0);
        let is_first = changed.queues.is_empty() && changed.actions.is_empty();
        note(&mut changed);
        is_first
    }

    /// All news, which are none then.
    pub(super) fn take(&self) -> (HashMap<Key, Weak<Channel>>, HashMap<Key, usize>) {
        let Changed { queues, actions } = std::mem::take(&mut *locked(&self.0));
        (queues, actions)
    }
}
