//! The connection of a process to the agent: one for all its threads, made again whenever it is lost.

mod mirrors;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::timeout,
};

use super::{
    outbox::Outbox,
    publishing::{Message, Outcome, Publishing, Settled},
    trouble::Trouble,
    wire::{Answer, Ask, Fault, Up, VERSION},
};
use crate::{
    BackendError, BusConfig, EventId, QueueOptions, Role, locked, messenger::Switch, names::Key,
    queue::Channel,
};

/// The connection of a process to the agent. Where two locks are taken, that of a mirror or of the switch comes before this one.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) silence: Duration,
    pub(super) is_worker: bool,
    pub(super) switch: Weak<Switch>,
    pub(super) outbox: Outbox,
    wait: Duration,
    /// Random: who the agent knows this process as.
    publisher: u64,
    state: Mutex<State>,
    /// Whether the agent is there.
    is_there: watch::Sender<bool>,
    /// An answer has made room for another message.
    has_room: Notify,
    /// Subscribers have come or gone.
    pub(super) has_changed: Notify,
    /// The last handle was dropped.
    pub(super) ended: Notify,
}

#[derive(Debug)]
struct State {
    is_there: bool,
    /// What the last attempt has met.
    why: Arc<str>,
    /// The life of the agent that was there last.
    life: Option<u64>,
    last_id: u64,
    asked: HashMap<u64, Asked>,
    publishing: Publishing,
    follows: HashMap<Key, Follow>,
    /// The same by the number that the agent says.
    mirrors: HashMap<u64, Weak<Channel>>,
    /// Of whose subscribers something is to be reported.
    changed: Vec<Weak<Channel>>,
}

#[derive(Debug)]
struct Asked {
    reply: oneshot::Sender<Result<Answer, Trouble>>,
    parts: Vec<(Box<str>, Bytes)>,
}

#[derive(Debug)]
struct Follow {
    number: u64,
    mirror: Weak<Channel>,
    options: QueueOptions,
}

impl Link {
    /// Bytes that wait to be sent, and asks that are not answered: more are refused.
    const WAITING: usize = 32 << 20;
    const ASKS: usize = 65_536;
    /// How often what changes nothing is asked when the connection breaks meanwhile.
    const TRIES: u32 = 3;

    pub(super) fn new(path: PathBuf, config: &BusConfig, role: Role, switch: Weak<Switch>) -> Self {
        let state = State {
            is_there: false,
            why: "it was not tried yet".into(),
            life: None,
            last_id: 0,
            asked: HashMap::new(),
            publishing: Publishing::new(config),
            follows: HashMap::new(),
            mirrors: HashMap::new(),
            changed: Vec::new(),
        };
        Self {
            path,
            silence: config.silence.max(Duration::from_secs(1)),
            is_worker: role == Role::Worker,
            switch,
            outbox: Outbox::new(Self::WAITING),
            wait: config.wait,
            publisher: RandomState::new().hash_one(std::process::id()),
            state: Mutex::new(state),
            is_there: watch::Sender::new(false),
            has_room: Notify::new(),
            has_changed: Notify::new(),
            ended: Notify::new(),
        }
    }

    pub(super) fn hello(&self) -> Up {
        Up::Hello {
            version: VERSION,
            pid: std::process::id(),
            is_worker: self.is_worker,
            silence: self.silence,
            publisher: self.publisher,
            window: locked(&self.state).publishing.most(),
        }
    }

    /// Waits until the agent is there, for as long as the configuration says.
    pub(super) async fn ready(&self) -> Result<(), BackendError> {
        if *self.is_there.borrow() {
            return Ok(());
        }
        let mut is_there = self.is_there.subscribe();
        match timeout(self.wait, is_there.wait_for(|is_there| *is_there)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(BackendError::Away(Arc::clone(&locked(&self.state).why))),
        }
    }

    /// Asks, and waits for the answer. What has `cancels` is given up by the agent when this is dropped.
    pub(super) async fn ask(self: &Arc<Self>, ask: Ask, cancels: bool) -> Result<Answer, Trouble> {
        let mut tries = if ask.is_read() { Self::TRIES } else { 1 };
        loop {
            let Some((id, answer)) = self.send(&ask)? else {
                self.ready().await?;
                continue;
            };
            tries -= 1;
            let mut waiting = WaitingFor { link: self, id, answer, cancels };
            match (&mut waiting.answer).await.unwrap_or(Err(BackendError::Unanswered.into())) {
                Err(Trouble::Backend(BackendError::Unanswered)) if tries > 0 => {}
                answer => return answer,
            }
        }
    }

    /// Sends what is asked; `None` while the agent is away.
    #[expect(clippy::type_complexity, reason = "it is used once")]
    fn send(&self, ask: &Ask) -> Result<Option<(u64, oneshot::Receiver<Result<Answer, Trouble>>)>, Trouble> {
        let mut state = locked(&self.state);
        if !state.is_there {
            return Ok(None);
        }
        if state.asked.len() >= Self::ASKS || !self.outbox.has_room() {
            return Err(BackendError::Busy.into());
        }
        let id = state.next_id();
        self.outbox.push(&Up::Ask { id, ask: ask.clone() })?;
        let (reply, answer) = oneshot::channel();
        state.asked.insert(id, Asked { reply, parts: Vec::new() });
        Ok(Some((id, answer)))
    }

    /// Says something that is not answered, if the agent is there.
    pub(super) fn say(&self, up: &Up) {
        let state = locked(&self.state);
        if state.is_there && self.outbox.push(up).is_err() {
            tracing::error!("what the agent is to be told is longer than it may be");
        }
    }

    pub(super) async fn publish(&self, message: Message) -> Outcome {
        let mut message = Some(message);
        let outcome = loop {
            let mut has_room = std::pin::pin!(self.has_room.notified());
            has_room.as_mut().enable();
            if let Some(outcome) = self.try_publish(&mut message)? {
                break outcome;
            }
            // The agent is there and answers: it is a matter of moments.
            if timeout(self.wait, has_room).await.is_err() {
                return Err(BackendError::Busy.into());
            }
        };
        outcome.await.unwrap_or(Err(BackendError::Unanswered.into()))
    }

    fn try_publish(
        &self,
        message: &mut Option<Message>,
    ) -> Result<Option<oneshot::Receiver<Outcome>>, Trouble> {
        let mut state = locked(&self.state);
        let State { is_there, publishing, why, .. } = &mut *state;
        if !*is_there && publishing.is_refused() {
            return Err(BackendError::Away(Arc::clone(why)).into());
        }
        let Some(taken) = message.take_if(|message| publishing.has_room(message)) else {
            return if *is_there { Ok(None) } else { Err(BackendError::Busy.into()) };
        };
        let length = taken.json.len();
        if length > super::wire::FRAME - 4096 {
            return Err(BackendError::TooLong(super::wire::FRAME - 4096).into());
        }
        let (publish, outcome) = publishing.take(taken, *is_there);
        if *is_there {
            self.outbox.push(publish)?;
        }
        Ok(Some(outcome))
    }

    /// A frame that is known to be short enough.
    fn push(&self, up: &Up) {
        self.outbox.push(up).expect("names and numbers fit into a frame");
    }

    /// The agent is there: all that it does not know is said again, in order.
    pub(super) fn connected(&self, life: u64) {
        let mirrors: HashMap<u64, Weak<Channel>> = locked(&self.state).mirrors.clone();
        // Not under the lock: the one of a mirror comes before it.
        let last: HashMap<u64, EventId> = mirrors
            .iter()
            .filter_map(|(number, mirror)| Some((*number, mirror.upgrade()?.last_known()?)))
            .collect();
        let settled = {
            let mut state = locked(&self.state);
            state.is_there = true;
            state.changed.clear();
            for (queue, follow) in &state.follows {
                let last = last.get(&follow.number).copied();
                let (queue, options) = (queue.clone(), follow.options);
                self.push(&Up::Follow { follow: follow.number, queue, options, last });
            }
            let is_same = state.life.replace(life) == Some(life);
            let (settled, unsent) = state.publishing.connected(is_same);
            unsent.for_each(|publish| self.push(publish));
            settled
        };
        settled.into_iter().for_each(Settled::tell);
        if let Some(switch) = self.switch.upgrade() {
            switch.tell_actions();
        }
        for mirror in mirrors.values().filter_map(Weak::upgrade) {
            self.send_report(&mirror, true);
        }
        self.is_there.send_replace(true);
        self.has_room.notify_waiters();
    }

    /// The agent is out of reach.
    pub(super) fn lost(&self, error: &io::Error) {
        let why: Arc<str> = format!("{}: {error}", self.path.display()).into();
        self.is_there.send_replace(false);
        let (asked, settled, mirrors) = {
            let mut state = locked(&self.state);
            state.is_there = false;
            self.outbox.clear();
            state.why = Arc::clone(&why);
            let settled = state.publishing.lost(&why);
            (std::mem::take(&mut state.asked), settled, state.mirrors.clone())
        };
        for asked in asked.into_values() {
            let _ = asked.reply.send(Err(BackendError::Unanswered.into()));
        }
        settled.into_iter().for_each(Settled::tell);
        mirrors.values().filter_map(Weak::upgrade).for_each(|mirror| mirror.lost());
        self.has_room.notify_waiters();
    }

    pub(super) fn answered(&self, id: u64, answer: Result<Answer, Fault>) {
        let asked = locked(&self.state).asked.remove(&id);
        let unheard = match asked {
            None => answer.map_err(Trouble::Fault),
            Some(Asked { reply, parts }) => {
                let answer = answer.map(|answer| match answer {
                    Answer::Entries { entries } => {
                        Answer::Entries { entries: parts.into_iter().chain(entries).collect() }
                    }
                    answer => answer,
                });
                match reply.send(answer.map_err(Trouble::Fault)) {
                    Ok(()) => return,
                    Err(unheard) => unheard,
                }
            }
        };
        self.give_back(&unheard);
    }

    /// A lock that was given to somebody who has gone.
    fn give_back(&self, unheard: &Result<Answer, Trouble>) {
        if let Ok(Answer::Held { hold }) = unheard {
            self.say(&Up::Release { token: hold.token });
        }
    }

    pub(super) fn part(&self, id: u64, entries: Vec<(Box<str>, Bytes)>) {
        if let Some(asked) = locked(&self.state).asked.get_mut(&id) {
            asked.parts.extend(entries);
        }
    }

    pub(super) fn published(&self, number: u64, id: Result<EventId, Fault>) {
        let settled = locked(&self.state).publishing.answered(number, id);
        settled.into_iter().for_each(Settled::tell);
        self.has_room.notify_waiters();
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// An answer that is waited for. When the wait is given up, so is what was asked for, and a lock that was given.
struct WaitingFor<'a> {
    link: &'a Link,
    id: u64,
    answer: oneshot::Receiver<Result<Answer, Trouble>>,
    cancels: bool,
}

impl Drop for WaitingFor<'_> {
    fn drop(&mut self) {
        if !self.cancels {
            return;
        }
        let asked = locked(&self.link.state).asked.remove(&self.id);
        if asked.is_some() {
            return self.link.say(&Up::Cancel { id: self.id });
        }
        self.answer.close();
        if let Ok(answer) = self.answer.try_recv() {
            self.link.give_back(&answer);
        }
    }
}
