//! Room for another name, made of those that nobody would miss.

use ::redis::Cmd;

use super::{
    Redis,
    keys::Kind,
    scripts::{self, Script},
};
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

    /// Looks at some names, and forgets those that nobody would miss: queues without subscribers, the longest idle first; of
    /// other things those that are gone, because somebody else has deleted them or Redis has for want of memory.
    async fn make_room(&self, kind: Kind) -> Result<(), BackendError> {
        let names = self.settings.keys.names(kind);
        if kind == Kind::Queue {
            let mut idle = ::redis::cmd("ZRANGE");
            idle.arg(&names).arg(0).arg(LOOK_AT - 1);
            if self.forget(kind, idle).await? > 0 {
                return Ok(());
            }
        }
        let mut any = ::redis::cmd("ZRANDMEMBER");
        any.arg(&names).arg(LOOK_AT);
        self.forget(kind, any).await.map(drop)
    }

    /// Forgets of some names those that nobody would miss, and answers how many.
    async fn forget(&self, kind: Kind, which: Cmd) -> Result<u64, BackendError> {
        let keys = &self.settings.keys;
        let (script, parts): (&Script, &[Kind]) = match kind {
            Kind::Queue => (&scripts::FORGET_QUEUES, &[Kind::Queue, Kind::Log, Kind::Subscribers]),
            _ => (&scripts::FORGET, &[kind]),
        };
        let mut some = self.look(which).await?;
        let (mut all, mut names) = (vec![keys.names(kind)], Vec::new());
        while !some.is_empty() {
            let name = some.text()?;
            all.extend(parts.iter().map(|part| keys.named(*part, &name)));
            names.push(name);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut forget = scripts::call(script, &all);
        forget.arg(&names);
        self.call(0, move |_| forget).await?.number()
    }
}
