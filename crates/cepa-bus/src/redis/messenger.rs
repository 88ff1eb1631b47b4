//! Messages between processes through Redis, as handles see them.

use std::sync::Arc;

use bytes::Bytes;

use super::{MESSAGE_MOST, Redis, jobs::Job, sessions};
use crate::{
    BackendError,
    far::{FarMessenger, Reply, To},
    names::Key,
};

impl FarMessenger for Redis {
    fn listening(&self, action: &Key, count: usize) {
        if self.news.of_action(action, count) {
            self.send(Job::News);
        }
    }

    fn tell<'a>(&'a self, action: &'a Key, to: To, json: Bytes) -> Reply<'a, usize> {
        Box::pin(async move {
            if json.len() > MESSAGE_MOST {
                return Err(BackendError::TooLong(MESSAGE_MOST));
            }
            let (settings, action, bytes) = (Arc::clone(&self.settings), action.clone(), json.len());
            let tell = move |session: &_| sessions::tell(&settings, session, &action, to, &json);
            self.call_after_news(bytes, tell).await?.number()
        })
    }
}
