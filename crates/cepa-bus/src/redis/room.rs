//! Room for another name, made of those that nobody would miss.

use super::{Redis, answer::Answer, keys::Kind, scripts};
use crate::{BackendError, NameError, QueueError, ShareError};

/// So many names are looked at when there is no room for another.
const LOOK_AT: usize = 64;

/// An error that may be because of too many names.
pub(super) trait OfNames {
    fn is_of_names(&self) -> bool;
}

impl OfNames for ShareError {
    fn is_of_names(&self) -> bool {
        matches!(self, Self::Name(NameError::TooMany(_)))
    }
}

impl OfNames for QueueError {
    fn is_of_names(&self) -> bool {
        matches!(self, Self::Name(NameError::TooMany(_)))
    }
}

impl Redis {
    /// Does something, and once more if there were too many names and some could be forgotten.
    pub(super) async fn with_room<T, E: OfNames + From<BackendError>, F: Future<Output = Result<T, E>>>(
        &self,
        kind: Kind,
        work: impl Fn() -> F,
    ) -> Result<T, E> {
        match work().await {
            Err(error) if error.is_of_names() => {
                self.make_room(kind).await?;
                work().await
            }
            result => result,
        }
    }

    /// Looks at some names, and forgets those that nobody would miss: of queues the longest idle, if nobody is subscribed; of
    /// other things those that are gone, because somebody else has deleted them or Redis has for want of memory.
    async fn make_room(&self, kind: Kind) -> Result<(), BackendError> {
        let keys = &self.settings.keys;
        let names = keys.names(kind);
        let (mut look, parts): (_, &[Kind]) = match kind {
            Kind::Queue => (::redis::cmd("ZRANGE"), &[Kind::Queue, Kind::Log, Kind::Subscribers]),
            _ => (::redis::cmd("ZRANDMEMBER"), &[kind]),
        };
        look.arg(&names);
        match kind {
            Kind::Queue => look.arg(0).arg(LOOK_AT - 1),
            _ => look.arg(LOOK_AT),
        };
        let mut some: Answer = self.look(look).await?;
        let (mut all, mut found) = (vec![names], Vec::new());
        while !some.is_empty() {
            let name = some.text()?;
            all.extend(parts.iter().map(|part| keys.named(*part, &name)));
            found.push(name);
        }
        let script = if parts.len() == 1 { &scripts::FORGET } else { &scripts::FORGET_QUEUES };
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut forget = scripts::call(script, &all);
        forget.arg(&found);
        self.call(0, move |_| forget).await.map(drop)
    }
}
