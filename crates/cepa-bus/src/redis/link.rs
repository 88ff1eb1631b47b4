//! The thread of a bus in Redis: what it is asked, what comes by itself and what is to be done in time, one after the
//! other.

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Settings,
    connection::{Attempt, Connection},
    jobs::{Call, Event, Job},
    locks::Turns,
    mirrors::Mirrors,
    news::News,
    outbox::Outbox,
    scripts, sessions,
};
use crate::{BackendError, WhileLost, messenger::Switch};

/// The thread's own.
pub(super) struct Link {
    settings: Arc<Settings>,
    news: Arc<News>,
    is_up: Arc<AtomicBool>,
    switch: Weak<Switch>,
    events: UnboundedSender<Event>,
    inbox: UnboundedReceiver<Event>,
    state: State,
    /// Of the connection or the attempt to make it.
    number: u64,
    /// How many connections have failed or were lost soon.
    failures: u32,
    /// The last session.
    before: Option<Arc<str>>,
    /// What waits for a connection, and until when.
    waiting: VecDeque<(Instant, Job)>,
    outbox: Outbox,
    mirrors: Mirrors,
    turns: Rc<Turns>,
    times: Times,
}

enum State {
    Connecting { why: Arc<str> },
    Resting { until: Instant, why: Arc<str> },
    Up { since: Instant, connection: Rc<Connection> },
}

/// When something is to be done that nobody asks for.
struct Times {
    beat: Instant,
    news: Option<Instant>,
    sweep: Instant,
    touch: Instant,
    /// The end, which comes earlier when nothing waits to be published.
    end: Option<Instant>,
}

/// News are told after so long, together.
const TELL_AFTER: Duration = Duration::from_millis(20);
/// Mirrors that nobody reads are looked for so often.
const SWEEP: Duration = Duration::from_secs(5);
/// The first and the longest rest before the next attempt to connect.
const REST: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];
/// A connection that was lost sooner has failed.
const SOON: Duration = Duration::from_secs(5);

impl Link {
    pub(super) fn new(
        settings: Arc<Settings>,
        (news, is_up): (Arc<News>, Arc<AtomicBool>),
        switch: Weak<Switch>,
        (events, inbox): (UnboundedSender<Event>, UnboundedReceiver<Event>),
    ) -> Self {
        let now = Instant::now();
        let state = State::Resting { until: now, why: "not connected yet".into() };
        let times = Times { beat: now, news: None, sweep: now, touch: now, end: None };
        let outbox = Outbox::new(Arc::clone(&settings), events.clone());
        let mirrors = Mirrors::new(Arc::clone(&settings), events.clone());
        Self {
            settings,
            news,
            is_up,
            switch,
            events,
            inbox,
            state,
            number: 0,
            failures: 0,
            before: None,
            waiting: VecDeque::new(),
            outbox,
            mirrors,
            turns: Rc::default(),
            times,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.look_at_the_clock();
            if self.times.end.is_some_and(|end| end <= Instant::now() || self.outbox.is_empty()) {
                break;
            }
            if let Ok(Some(event)) = timeout_at(self.next_time(), self.inbox.recv()).await {
                self.handle(event);
            }
            // All there is, at once: nothing is read from the connections meanwhile, so that no more piles up here than one turn
            // of theirs has read.
            while let Ok(event) = self.inbox.try_recv() {
                self.handle(event);
            }
        }
        if let State::Up { connection, .. } = &self.state {
            let mut end = scripts::call(&scripts::END, &[&self.settings.keys.sessions]);
            end.arg(&*connection.session.name);
            // If it does not hear it, the lease ends.
            let _ = timeout(self.settings.wait, connection.ask(end)).await;
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Job(job) => self.job(job),
            Event::Connected { number, connection } if number == self.number => self.up(*connection),
            Event::Failed { number, why } if number == self.number => self.rest(&why),
            Event::Lost { number, why } if number == self.number => match self.state {
                State::Up { since, .. } => self.lost(&why, since),
                _ => self.rest(&why),
            },
            Event::Message { number, channel, message } if number == self.number => {
                self.message(&channel, &message);
            }
            Event::Mirror(step) => {
                if let State::Up { connection, .. } = &self.state {
                    self.mirrors.step(step, connection);
                }
            }
            Event::Published { batch, answer } => {
                self.outbox.answered(batch, answer, self.connection().as_deref());
            }
            Event::End => self.times.end = Some(Instant::now() + self.settings.wait),
            Event::Connected { .. } | Event::Failed { .. } | Event::Lost { .. } | Event::Message { .. } => {}
        }
    }

    fn connection(&self) -> Option<Rc<Connection>> {
        if let State::Up { connection, .. } = &self.state { Some(Rc::clone(connection)) } else { None }
    }

    fn job(&mut self, job: Job) {
        let connection = self.connection();
        match (job, connection) {
            (Job::Follow(follow), connection) => self.mirrors.follow(follow, connection.as_deref()),
            (Job::Publish(publication), connection) => {
                let is_kept = connection.is_some() || self.settings.while_lost == WhileLost::Buffer;
                if !is_kept {
                    return publication.fail(&self.away());
                }
                self.outbox.push(publication, connection.as_deref());
            }
            (Job::News, connection) => {
                if connection.is_some() {
                    self.times.news.get_or_insert_with(|| Instant::now() + TELL_AFTER);
                }
            }
            (job, None) => self.waiting.push_back((Instant::now() + self.settings.wait, job)),
            (Job::Ready(reply), Some(_)) => drop(reply.send(Ok(()))),
            (Job::Call(call), Some(connection)) => self.call(call, &connection),
            (Job::Lock(locking), Some(connection)) => locking.begin(&connection, &self.settings, &self.turns),
            (Job::Write(writing), Some(connection)) => {
                writing.begin(&connection, &self.settings, &self.turns);
            }
        }
    }

    fn call(&mut self, call: Call, connection: &Connection) {
        if call.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return;
        }
        if call.after_news {
            self.tell_news(connection);
        }
        let answer = connection.ask((call.make)(&connection.session));
        spawn_local(async move {
            let answer = answer.await;
            // Nobody may wait for it any more.
            let _ = call.reply.map(|reply| reply.send(answer));
            drop(call.permit);
        });
    }

    fn away(&self) -> BackendError {
        match &self.state {
            State::Connecting { why } | State::Resting { why, .. } => BackendError::Away(Arc::clone(why)),
            State::Up { .. } => BackendError::Away("the connection was just made".into()),
        }
    }

    fn up(&mut self, connection: Connection) {
        tracing::info!(session = &*connection.session.name, "the bus has reached Redis");
        let connection = Rc::new(connection);
        self.before = Some(Arc::clone(&connection.session.name));
        let now = Instant::now();
        self.state = State::Up { since: now, connection: Rc::clone(&connection) };
        self.is_up.store(true, Relaxed);
        self.times.beat = now + self.settings.silence / 4;
        // What is followed is so before anything is published, and told before anybody asks.
        self.mirrors.find_all(&connection);
        self.note_actions();
        self.tell_news(&connection);
        self.mirrors.report_all(&connection);
        self.outbox.up(&connection);
        for (_, job) in std::mem::take(&mut self.waiting) {
            self.job(job);
        }
    }

    fn lost(&mut self, why: &str, since: Instant) {
        tracing::warn!(why, "the bus has lost Redis");
        if since.elapsed() >= SOON {
            self.failures = 0;
        }
        self.is_up.store(false, Relaxed);
        self.mirrors.lost();
        if self.settings.while_lost == WhileLost::Refuse {
            self.outbox.refuse(&BackendError::Away(why.into()));
        }
        self.rest(why);
    }

    fn rest(&mut self, why: &str) {
        // What is still to be heard of this attempt is of no interest.
        self.number += 1;
        if self.failures == 1 {
            tracing::warn!(why, "the bus does not reach Redis, and goes on trying");
        }
        let rest = REST[0].saturating_mul(1 << self.failures.min(16)).min(REST[1]);
        // Not all processes at the same moment.
        let rest = rest.mul_f64(0.5 + (super::random() % 1024) as f64 / 2048.0);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Resting { until: Instant::now() + rest, why: why.into() };
    }

    fn connect(&mut self, why: Arc<str>) {
        self.number += 1;
        self.state = State::Connecting { why };
        let (number, events) = (self.number, self.events.clone());
        let (settings, before) = (Arc::clone(&self.settings), self.before.clone());
        let attempt = Attempt { number, settings, events: events.clone(), before };
        spawn_local(async move {
            let event = match attempt.connect().await {
                Ok(connection) => Event::Connected { number, connection: Box::new(connection) },
                Err(why) => Event::Failed { number, why: why.into() },
            };
            // Nobody hears it when the bus is dropped.
            let _ = events.send(event);
        });
    }

    fn message(&mut self, channel: &[u8], message: &Bytes) {
        let Some(connection) = self.connection() else { return };
        if self.mirrors.message(channel, message, &connection) {
            return;
        }
        if let Some(party) = message.strip_prefix(b"turn ") {
            let party = std::str::from_utf8(party).ok().and_then(|party| party.parse().ok());
            return party.map(|party| self.turns.wake(party)).unwrap_or_default();
        }
        if let Some(switch) = self.switch.upgrade() {
            sessions::hear(&switch, message);
        }
    }

    /// Makes news of all who listen here.
    fn note_actions(&self) {
        if let Some(switch) = self.switch.upgrade() {
            switch.tell_actions();
        }
    }

    fn tell_news(&mut self, connection: &Connection) {
        self.times.news = None;
        let (queues, actions) = self.news.take();
        for (queue, mirror) in &queues {
            self.mirrors.report(queue, mirror, connection);
        }
        for (action, count) in &actions {
            sessions::tell_ears(&self.settings, connection, action, *count);
        }
    }

    fn next_time(&self) -> Instant {
        let times = &self.times;
        let of_state = match &self.state {
            State::Up { .. } => Some(times.beat.min(times.sweep).min(times.touch)),
            State::Resting { until, .. } => Some(*until),
            State::Connecting { .. } => None,
        };
        let waiting = self.waiting.front().map(|(until, _)| *until);
        let all = [of_state, waiting, times.news, times.end];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + SWEEP)
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, job)) = self.waiting.pop_front() {
                job.fail(&self.away());
            }
        }
        match &self.state {
            State::Resting { until, why } if *until <= now => self.connect(Arc::clone(why)),
            State::Up { connection, .. } => self.look_after(&Rc::clone(connection), now),
            _ => {}
        }
    }

    /// Does what is to be done from time to time.
    fn look_after(&mut self, connection: &Rc<Connection>, now: Instant) {
        if self.times.news.is_some_and(|at| at <= now) {
            self.tell_news(connection);
        }
        if self.times.beat <= now {
            self.times.beat = now + self.settings.silence / 4;
            sessions::beat(&self.settings, connection);
        }
        if self.times.sweep <= now {
            self.times.sweep = now + SWEEP;
            self.mirrors.sweep(connection);
        }
        if self.times.touch <= now {
            self.times.touch = now + self.settings.limits.queue_idle / 4;
            self.note_actions();
            self.mirrors.keep(connection);
            self.mirrors.report_all(connection);
        }
    }
}
