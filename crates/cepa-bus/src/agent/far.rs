//! The agent as what keeps the bus of this process.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;

use super::{
    connection,
    link::Link,
    publishing::Message,
    trouble::Trouble,
    wire::{Answer, Ask, Fault, Up},
};
use crate::{
    BackendError, BusConfig, Cycle, EventId, NameError, Party, QueueError, QueueOptions, Role, ShareError,
    Wait,
    far::{
        Change, Far, FarHold, FarMessenger, FarQueues, FarShares, FarValue, Load, Put, Reply, To, Versioned,
        When, Written,
    },
    messenger::Switch,
    names::Key,
    queue::Channel,
};

/// The agent as what keeps the bus of this process.
#[derive(Debug)]
pub(crate) struct AgentBackend(Arc<Link>);

impl AgentBackend {
    /// Connects, for as long as there is a handle.
    pub(crate) fn connect(
        path: PathBuf,
        config: &BusConfig,
        role: Role,
        switch: Weak<Switch>,
    ) -> io::Result<Self> {
        let link = Arc::new(Link::new(path, config, role, switch));
        connection::spawn(Arc::clone(&link))?;
        Ok(Self(link))
    }
}

impl Drop for AgentBackend {
    fn drop(&mut self) {
        self.0.ended.notify_one();
    }
}

/// It is what was asked for, or the agent is not one.
macro_rules! expect_answer {
    ($answer:expr, $pattern:pat => $value:expr, $error:expr) => {
        match $answer {
            Ok($pattern) => Ok($value),
            Ok(other) => Err($error(strange(&other))),
            Err(trouble) => Err($error(trouble)),
        }
    };
}

fn strange(answer: &Answer) -> Trouble {
    Trouble::Backend(BackendError::Refused(
        format!("it answers what was not asked: {answer:?}").chars().take(200).collect::<String>().into(),
    ))
}

impl Far for AgentBackend {
    fn ready(&self) -> Reply<'_, ()> {
        Box::pin(self.0.ready())
    }

    fn is_worker(&self) -> bool {
        self.0.is_worker
    }

    fn serve(&self, question: Bytes) -> Reply<'_, Bytes> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Serve { question }, true).await;
            expect_answer!(answer, Answer::Served { answer } => answer, backend_error)
        })
    }
}

impl FarShares for AgentBackend {
    fn load<'a>(&'a self, share: &'a Key, known: Option<u64>) -> Reply<'a, Load, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Load { share: share.clone(), known }, false).await;
            expect_answer!(answer, Answer::Loaded { load } => load, |trouble| share_error(&share.name, trouble))
        })
    }

    fn write<'a>(
        &'a self,
        share: &'a Key,
        when: When,
        value: Option<FarValue>,
        wait: Duration,
    ) -> Reply<'a, Written, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Write { share: share.clone(), when, value, wait }, true).await;
            expect_answer!(answer, Answer::Written { written } => written, |trouble| share_error(&share.name, trouble))
        })
    }

    fn hold<'a>(
        &'a self,
        share: &'a Key,
        party: &'a Party,
        wait: Duration,
        known: Option<u64>,
    ) -> Reply<'a, FarHold, ShareError> {
        Box::pin(async move {
            let (share, label) = (share.clone(), party.label().into());
            let name = Arc::clone(&share.name);
            let answer = self.0.ask(Ask::Hold { share, party: party.id(), label, wait, known }, true).await;
            expect_answer!(answer, Answer::Held { hold } => hold, |trouble| share_error(&name, trouble))
        })
    }

    fn store<'a>(
        &'a self,
        share: &'a Key,
        token: u64,
        value: Option<FarValue>,
        and_release: bool,
    ) -> Reply<'a, u64, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Store { token, value, and_release }, false).await;
            expect_answer!(answer, Answer::Version { version } => version, |trouble| share_error(&share.name, trouble))
        })
    }

    fn release(&self, _: &Key, token: u64) {
        self.0.say(&Up::Release { token });
    }

    fn count<'a>(&'a self, counter: &'a Key, change: Change) -> Reply<'a, i64, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Count { counter: counter.clone(), change }, false).await;
            expect_answer!(answer, Answer::Number { number } => number, |trouble| share_error(&counter.name, trouble))
        })
    }

    fn entry<'a>(&'a self, map: &'a Key, entry: &'a str) -> Reply<'a, Option<Versioned>, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Entry { map: map.clone(), entry: entry.into() }, false).await;
            expect_answer!(answer, Answer::Entry { entry } => entry, |trouble| share_error(&map.name, trouble))
        })
    }

    fn put<'a>(
        &'a self,
        map: &'a Key,
        entry: &'a str,
        when: When,
        json: Option<Bytes>,
    ) -> Reply<'a, Put, ShareError> {
        Box::pin(async move {
            let ask = Ask::Put { map: map.clone(), entry: entry.into(), when, json };
            let answer = self.0.ask(ask, false).await;
            expect_answer!(answer, Answer::Put { put } => put, |trouble| share_error(&map.name, trouble))
        })
    }

    fn len<'a>(&'a self, map: &'a Key) -> Reply<'a, usize, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Len { map: map.clone() }, false).await;
            expect_answer!(answer, Answer::Count { count } => count, |trouble| share_error(&map.name, trouble))
        })
    }

    fn entries<'a>(&'a self, map: &'a Key) -> Reply<'a, Vec<(Box<str>, Bytes)>, ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Entries { map: map.clone() }, true).await;
            expect_answer!(answer, Answer::Entries { entries } => entries, |trouble| share_error(&map.name, trouble))
        })
    }

    fn clear<'a>(&'a self, map: &'a Key) -> Reply<'a, (), ShareError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Clear { map: map.clone() }, false).await;
            expect_answer!(answer, Answer::Done => (), |trouble| share_error(&map.name, trouble))
        })
    }
}

impl FarQueues for AgentBackend {
    fn publish<'a>(
        &'a self,
        queue: &'a Key,
        options: QueueOptions,
        event: Option<&'a str>,
        json: Bytes,
    ) -> Reply<'a, EventId, QueueError> {
        Box::pin(async move {
            let message = Message { queue: queue.clone(), options, event: event.map(Into::into), json };
            self.0.publish(message).await.map_err(|trouble| queue_error(&queue.name, trouble))
        })
    }

    fn follow(&self, mirror: &Arc<Channel>, last: Option<EventId>) {
        self.0.follow(mirror, last);
    }

    fn changed(&self, mirror: &Arc<Channel>) {
        self.0.changed(mirror);
    }

    fn stop<'a>(&'a self, queue: &'a Key) -> Reply<'a, (), QueueError> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Stop { queue: queue.clone() }, false).await;
            expect_answer!(answer, Answer::Done => (), |trouble| queue_error(&queue.name, trouble))
        })
    }

    fn subscribers<'a>(&'a self, queue: &'a Key) -> Reply<'a, usize, QueueError> {
        Box::pin(async move {
            self.0.report();
            let answer = self.0.ask(Ask::Subscribers { queue: queue.clone() }, false).await;
            expect_answer!(answer, Answer::Count { count } => count, |trouble| queue_error(&queue.name, trouble))
        })
    }

    fn present<'a>(&'a self, queue: &'a Key) -> Reply<'a, Vec<(Arc<str>, usize)>, QueueError> {
        Box::pin(async move {
            self.0.report();
            let answer = self.0.ask(Ask::Present { queue: queue.clone() }, false).await;
            expect_answer!(answer, Answer::Present { names } => names, |trouble| queue_error(&queue.name, trouble))
        })
    }
}

impl FarMessenger for AgentBackend {
    fn listening(&self, action: &Key, count: usize) {
        self.0.say(&Up::Listening { action: action.clone(), count });
    }

    fn tell<'a>(&'a self, action: &'a Key, to: To, json: Bytes) -> Reply<'a, usize> {
        Box::pin(async move {
            let answer = self.0.ask(Ask::Tell { action: action.clone(), to, json }, false).await;
            expect_answer!(answer, Answer::Count { count } => count, backend_error)
        })
    }
}

fn backend_error(trouble: Trouble) -> BackendError {
    match trouble {
        Trouble::Backend(error) => error,
        Trouble::Fault(Fault::TooLong { most }) => BackendError::TooLong(most),
        Trouble::Fault(Fault::Busy) => BackendError::Busy,
        Trouble::Fault(Fault::Refused { why }) => BackendError::Refused(why),
        Trouble::Fault(fault) => BackendError::Refused(format!("{fault:?}").into()),
    }
}

fn share_error(share: &Arc<str>, trouble: Trouble) -> ShareError {
    let share = Arc::clone(share);
    match trouble {
        Trouble::Fault(Fault::TooManyNames { most }) => NameError::TooMany(most).into(),
        Trouble::Fault(Fault::Timeout { holder }) => ShareError::Timeout { share, holder },
        Trouble::Fault(Fault::Deadlock { waits }) => {
            let waits = waits.into_iter().map(|(party, share)| Wait { party, share });
            ShareError::Deadlock(Cycle::new(waits.collect()))
        }
        Trouble::Fault(Fault::TooManyWaiting) => ShareError::TooManyWaiting(share),
        Trouble::Fault(Fault::LockLost) => ShareError::LockLost(share),
        Trouble::Fault(Fault::Full) => ShareError::Full(share),
        trouble => backend_error(trouble).into(),
    }
}

fn queue_error(queue: &Arc<str>, trouble: Trouble) -> QueueError {
    match trouble {
        Trouble::Fault(Fault::TooManyNames { most }) => NameError::TooMany(most).into(),
        Trouble::Fault(Fault::TooLong { most }) => {
            QueueError::TooLong { queue: Arc::clone(queue), limit: most }
        }
        Trouble::Fault(Fault::EventType) => QueueError::EventType,
        trouble => backend_error(trouble).into(),
    }
}
