//! Locks of shares: asked for, waited for in line, and given up by whoever waits no longer.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use ::redis::{Cmd, Value};
use tokio::{
    sync::{Notify, mpsc::UnboundedSender, oneshot},
    task::spawn_local,
    time::{Instant, timeout},
};

use super::{
    Permit, Settings, VALUE_MOST,
    answer::{Answer, nonsense},
    connection::Connection,
    jobs::{Call, Event, Job},
    keys::share_of,
    scripts::{self, Script},
    shares::{self, Write},
};
use crate::{
    BackendError, Cycle, ShareError, Wait,
    far::{FarHold, Written},
    names::Key,
};

/// A wish to lock a share.
pub(super) struct Locking {
    pub(super) place: Wish,
    pub(super) known: Option<u64>,
    pub(super) reply: oneshot::Sender<Result<Granted, ShareError>>,
    pub(super) permit: Permit,
}

/// A wish to write a share as soon as nobody holds its lock.
pub(super) struct Writing {
    pub(super) place: Wish,
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<Written, ShareError>>,
    pub(super) permit: Permit,
}

/// Who wants which lock, and how long.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) share: Key,
    pub(super) party: u64,
    pub(super) label: Box<str>,
    pub(super) wait: Duration,
}

/// A lock on its way to whoever asked for it; given back if it does not get there.
pub(super) struct Granted {
    pub(super) hold: Option<FarHold>,
    share: Key,
    settings: Arc<Settings>,
    events: UnboundedSender<Event>,
}

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            // When the bus is dropped, its session ends.
            let _ = self.events.send(Event::Job(release(&self.settings, &self.share, hold.token)));
        }
    }
}

/// Gives a lock back.
pub(super) fn release(settings: &Settings, share: &Key, token: u64) -> Job {
    let mut call = settings.keys.lock(&scripts::RELEASE, share);
    call.arg(token).arg(settings.keys.sessions_channel());
    unanswered(call)
}

/// A call that nobody waits for. There are no more of these than there are locks and waits.
fn unanswered(call: Cmd) -> Job {
    let make = Box::new(move |_: &_| call);
    Job::Call(Call { make, after_news: false, reply: None, permit: Permit::none() })
}

/// Those of this process who wait for locks, by party.
#[derive(Default)]
pub(super) struct Turns {
    waiting: RefCell<HashMap<u64, Rc<Notify>>>,
    attempts: Cell<u64>,
}

impl Turns {
    /// It may be this party's turn.
    pub(super) fn wake(&self, party: u64) {
        if let Some(waiting) = self.waiting.borrow().get(&party) {
            waiting.notify_one();
        }
    }
}

/// One who waits no longer than so for a message, which may be lost, that it is its turn.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Locking {
    /// Asks for the lock, now and then as often as it takes.
    pub(super) fn begin(self, connection: &Rc<Connection>, settings: &Arc<Settings>, turns: &Rc<Turns>) {
        let Self { place, known, reply, permit } = self;
        let waiting = Waiting::new(place, known, connection, settings, turns);
        let first = waiting.ask();
        spawn_local(until_closed(reply, permit, async move {
            let (token, mut answer) = waiting.granted(first).await?;
            let value = shares::read(&mut answer)?;
            let hold = Some(FarHold { token, value });
            let (settings, events) = (Arc::clone(&waiting.settings), waiting.connection.events().clone());
            let granted = Granted { hold, share: waiting.wish.share.clone(), settings, events };
            waiting.is_over.set(true);
            Ok(granted)
        }));
    }

    pub(super) fn fail(self, error: &BackendError) {
        // Nobody may wait for it any more.
        let _ = self.reply.send(Err(error.clone().into()));
    }
}

impl Writing {
    /// Writes at once if the lock is free, else waits for it.
    pub(super) fn begin(self, connection: &Rc<Connection>, settings: &Arc<Settings>, turns: &Rc<Turns>) {
        let Self { place, write, reply, permit } = self;
        let mut call = settings.keys.lock(&scripts::WRITE, &place.share);
        write.add_to(&mut call).arg(VALUE_MOST).arg(settings.limits.names);
        let first = connection.ask(call);
        let (connection, settings, turns) = (Rc::clone(connection), Arc::clone(settings), Rc::clone(turns));
        spawn_local(until_closed(reply, permit, async move {
            let mut answer = Answer::new(first.await?);
            let what = answer.text()?;
            if what != "held" {
                return shares::written(&what, &mut answer, write.when, &settings);
            }
            let waiting = Waiting::new(place, None, &connection, &settings, &turns);
            let (token, _) = waiting.granted(waiting.ask()).await?;
            let share = &waiting.wish.share;
            let mut store = settings.keys.lock(&scripts::STORE, share);
            write.add_to(store.arg(token)).arg(VALUE_MOST).arg(settings.limits.names);
            store.arg(1).arg(settings.keys.sessions_channel());
            let mut answer = Answer::new(connection.ask(store).await?);
            match answer.text()?.as_str() {
                "lost" => Err(ShareError::LockLost(Arc::clone(&share.name))),
                what => {
                    let written = shares::written(what, &mut answer, write.when, &settings);
                    // It has given the lock back, unless there was no room for the name.
                    waiting.is_over.set(written.is_ok());
                    written
                }
            }
        }));
    }

    pub(super) fn fail(self, error: &BackendError) {
        // Nobody may wait for it any more.
        let _ = self.reply.send(Err(error.clone().into()));
    }
}

/// A wish that is under way. Dropped before it is over, it is given up.
struct Waiting {
    wish: Wish,
    attempt: u64,
    known: Option<u64>,
    connection: Rc<Connection>,
    settings: Arc<Settings>,
    turns: Rc<Turns>,
    turn: Rc<Notify>,
    is_over: Cell<bool>,
}

impl Waiting {
    fn new(
        wish: Wish,
        known: Option<u64>,
        connection: &Rc<Connection>,
        settings: &Arc<Settings>,
        turns: &Rc<Turns>,
    ) -> Self {
        let turn = Rc::new(Notify::new());
        turns.waiting.borrow_mut().insert(wish.party, Rc::clone(&turn));
        let attempt = turns.attempts.get() + 1;
        turns.attempts.set(attempt);
        let (connection, settings, turns) = (Rc::clone(connection), Arc::clone(settings), Rc::clone(turns));
        Self { wish, attempt, known, connection, settings, turns, turn, is_over: Cell::new(false) }
    }

    fn call(&self, script: &Script) -> Cmd {
        let mut call = self.settings.keys.lock(script, &self.wish.share);
        call.arg(&*self.connection.session.name).arg(self.wish.party).arg(self.attempt);
        call
    }

    /// Asks for the lock, or whether it is there now.
    fn ask(&self) -> impl Future<Output = Result<Value, BackendError>> + use<> {
        let mut call = self.call(&scripts::HOLD);
        call.arg(&*self.wish.label).arg(self.settings.limits.lock_waiters);
        call.arg(self.known.map_or(String::new(), |known| known.to_string())).arg(VALUE_MOST);
        self.connection.ask(call)
    }

    /// Waits for the lock: its token, and what is there.
    async fn granted(
        &self,
        first: impl Future<Output = Result<Value, BackendError>>,
    ) -> Result<(u64, Answer), ShareError> {
        let until = Instant::now().checked_add(self.wish.wait);
        let mut answer = Answer::new(first.await?);
        loop {
            let holder: Arc<str> = match answer.text()?.as_str() {
                "lock" => return Ok((answer.number()?, answer)),
                "wait" => answer.text()?.into(),
                "dead" => {
                    self.is_over.set(true);
                    return Err(BackendError::Away("the connection was lost meanwhile".into()).into());
                }
                "full" => {
                    self.is_over.set(true);
                    return Err(ShareError::TooManyWaiting(Arc::clone(&self.wish.share.name)));
                }
                "circle" => {
                    self.is_over.set(true);
                    return Err(ShareError::Deadlock(read_circle(&mut answer)?));
                }
                _ => return Err(nonsense().into()),
            };
            let left = until.map_or(LOOK_AGAIN, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(ShareError::Timeout { share: Arc::clone(&self.wish.share.name), holder });
            }
            // Whether it was woken or has waited long enough, it looks.
            let _ = timeout(left.min(LOOK_AGAIN), self.turn.notified()).await;
            answer = Answer::new(self.ask().await?);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.turns.waiting.borrow_mut().remove(&self.wish.party);
        if !self.is_over.get() {
            let mut call = self.call(&scripts::GIVE_UP);
            call.arg(self.settings.keys.sessions_channel());
            // When the bus is dropped, its session ends.
            let _ = self.connection.events().send(Event::Job(unanswered(call)));
        }
    }
}

fn read_circle(answer: &mut Answer) -> Result<Cycle, BackendError> {
    let mut waits = Vec::new();
    while !answer.is_empty() {
        let (party, lock) = (answer.text()?, answer.text()?);
        waits.push(Wait { party: party.into(), share: share_of(&lock).into() });
    }
    Ok(Cycle::new(waits))
}

/// Does something for one who waits, and drops it when nobody does.
async fn until_closed<T>(
    mut reply: oneshot::Sender<Result<T, ShareError>>,
    permit: Permit,
    work: impl Future<Output = Result<T, ShareError>>,
) {
    let mut work = Box::pin(work);
    let answer = std::future::poll_fn(|cx| {
        if reply.poll_closed(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    });
    if let Some(answer) = answer.await {
        // Nobody may wait for it any more: what it holds is dropped then.
        let _ = reply.send(answer);
    }
    drop(permit);
}
