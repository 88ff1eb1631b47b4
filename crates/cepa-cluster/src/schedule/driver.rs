//! The clock of the schedules: sleeps until one is due, and starts it.

use std::{
    fmt,
    future::pending,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cepa_bus::Bus;
use cepa_core::Onion;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    Outcome, Schedule, ScheduleError, Schedules, Task,
    board::{ByHand, Entry},
    run::{Ground, Run},
};
use crate::locked;

/// The longest sleep: the time may be set while it lasts, and a machine may be put to sleep.
const NAP: Duration = Duration::from_secs(30);
/// A clock that was set back by more than this is followed; by less, nothing runs twice.
const BACK: Duration = Duration::from_secs(60);

/// What runs beside other processes.
#[derive(Clone, Debug)]
pub struct Drive {
    /// What the workers of this machine have in common, where there are several: they agree by it who runs a schedule of
    /// the kind `one`. For the kind `cluster` they do so by the [`Bus`] that the app provides.
    pub machine: Option<Bus>,
    /// When the app was started, in all workers: those that run at the start are due then.
    pub started: SystemTime,
    /// How long runs under way have at the end.
    pub grace: Duration,
}

/// Schedules in the making; [`drive`](Self::drive) makes them run.
pub struct Scheduler {
    env: String,
    schedules: Schedules,
    by_hand: mpsc::Receiver<ByHand>,
    now: fn() -> SystemTime,
}

impl Scheduler {
    /// No schedules, in an environment of this name.
    pub fn new(env: impl Into<String>) -> Self {
        let (schedules, by_hand) = Schedules::new();
        Self { env: env.into(), schedules, by_hand, now: SystemTime::now }
    }

    /// What others see of them.
    pub fn schedules(&self) -> Schedules {
        self.schedules.clone()
    }

    /// Adds one.
    ///
    /// # Errors
    /// A name of other than 1 to 64 letters, digits, `-`, `_` and `.`, or one that is taken.
    pub fn add(&mut self, name: &str, schedule: Schedule, task: impl Task) -> Result<(), ScheduleError> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !name.bytes().all(sound) || !(1..=64).contains(&name.len()) {
            return Err(ScheduleError::Name(name.chars().take(64).collect()));
        }
        let name: Arc<str> = name.into();
        let mut entries = locked(&self.schedules.0.entries);
        if entries.contains_key(&name) {
            return Err(ScheduleError::Twice(name.to_string()));
        }
        let is_on = schedule.is_on(&self.env);
        let entry = Entry::new(Arc::clone(&name), schedule, Box::new(task), is_on);
        entries.insert(name, Arc::new(entry));
        Ok(())
    }

    /// Runs one by hand without driving the others.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn run(&self, name: &str, onion: &Arc<Onion>) -> Result<Outcome, ScheduleError> {
        let entry = self.schedules.entry(name)?;
        let (_ended, ending) = watch::channel(false);
        let ground = self.ground(onion, None, &ending);
        Ok(Run { entry, planned: (self.now)(), by_hand: true }.run(Rc::new(ground)).await)
    }

    fn ground(&self, onion: &Arc<Onion>, machine: Option<Bus>, ending: &watch::Receiver<bool>) -> Ground {
        // One of its own is the same to whoever has no other.
        let cluster = onion.provided::<Bus>().cloned().unwrap_or_default();
        Ground { onion: Arc::clone(onion), machine, cluster, ending: ending.clone(), now: self.now }
    }

    /// Runs them until `ending` is true, then waits for those under way, for as long as it is told.
    ///
    /// It is called within a `LocalRuntime` or a `LocalSet` of tokio: tasks run on its thread.
    pub async fn drive(mut self, onion: Arc<Onion>, drive: Drive, mut ending: watch::Receiver<bool>) {
        let Drive { machine, started, grace } = drive;
        let ground = Rc::new(self.ground(&onion, machine, &ending));
        self.schedules.0.is_driven.send_replace(true);
        let entries: Vec<_> = locked(&self.schedules.0.entries).values().cloned().collect();
        let mut clock = Clock::new(entries, started, (self.now)());
        let mut running = JoinSet::new();
        let mut ended = pin!(async move {
            // Should the sender be gone, everything is over.
            let _ = ending.wait_for(|ending| *ending).await;
        });
        loop {
            let now = (self.now)();
            for (entry, planned) in clock.due(now) {
                start(&mut running, &ground, Run { entry, planned, by_hand: false }, None);
            }
            tokio::select! {
                biased;
                () = ended.as_mut() => break,
                Some(ByHand { entry, answer }) = self.by_hand.recv() => {
                    start(&mut running, &ground, Run { entry, planned: now, by_hand: true }, Some(answer));
                }
                Some(_) = running.join_next() => {}
                () = clock.sleep(now) => {}
            }
        }
        clock.stop();
        // Nobody waits for what does not begin any more.
        drop(self.by_hand);
        finish(running, grace).await;
    }
}

fn start(running: &mut JoinSet<()>, ground: &Rc<Ground>, run: Run, answer: Option<oneshot::Sender<Outcome>>) {
    let ground = Rc::clone(ground);
    running.spawn_local(async move {
        let outcome = run.run(ground).await;
        // Whoever asked may have gone.
        let _ = answer.map(|answer| answer.send(outcome));
    });
}

/// Waits for the runs under way, and ends those that take too long.
async fn finish(mut running: JoinSet<()>, grace: Duration) {
    if running.is_empty() {
        return;
    }
    info!(target: "cepa::schedule", runs = running.len(), "waiting for runs under way");
    if timeout(grace, async { while running.join_next().await.is_some() {} }).await.is_err() {
        warn!(target: "cepa::schedule", runs = running.len(), "runs were ended: they took longer than {grace:?}");
        running.shutdown().await;
    }
}

/// When each is due.
struct Clock {
    entries: Vec<(Arc<Entry>, Option<Timestamp>)>,
    seen: SystemTime,
}

impl Clock {
    fn new(entries: Vec<Arc<Entry>>, started: SystemTime, now: SystemTime) -> Self {
        let entries = entries.into_iter().filter(|entry| entry.is_on);
        let entries = entries.map(|entry| {
            let next = if entry.schedule.immediate { Some(timestamp(started)) } else { next(&entry, now) };
            (entry, next)
        });
        Self { entries: entries.collect(), seen: now }
    }

    /// What is due now; each once, however many of its times have passed.
    fn due(&mut self, now: SystemTime) -> Vec<(Arc<Entry>, SystemTime)> {
        if self.seen.checked_sub(BACK).is_some_and(|seen| now < seen) {
            warn!(target: "cepa::schedule", "the clock was set back: schedules follow it");
            for (entry, at) in &mut self.entries {
                *at = next(entry, now);
            }
        }
        self.seen = now;
        let now_at = timestamp(now);
        let mut due = Vec::new();
        for (entry, at) in &mut self.entries {
            if let Some(planned) = at.filter(|at| *at <= now_at) {
                due.push((Arc::clone(entry), planned.into()));
                *at = next(entry, now);
            }
            entry.set_next(at.map(Into::into));
        }
        due
    }

    /// Sleeps until something is due, or a nap's time.
    async fn sleep(&self, now: SystemTime) {
        if self.entries.iter().all(|(_, at)| at.is_none()) {
            return pending().await;
        }
        let first = self.entries.iter().filter_map(|(_, at)| *at).min().map(SystemTime::from);
        let until = first.and_then(|first| first.duration_since(now).ok()).unwrap_or_default();
        sleep(until.min(NAP)).await;
    }

    fn stop(&self) {
        self.entries.iter().for_each(|(entry, _)| entry.set_next(None));
    }
}

fn next(entry: &Entry, now: SystemTime) -> Option<Timestamp> {
    entry.schedule.when.next(timestamp(now))
}

/// A time that is out of range is the end of time.
fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("env", &self.env).field("schedules", &self.schedules).finish()
    }
}

#[cfg(test)]
mod tests;
