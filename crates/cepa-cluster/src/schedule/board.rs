//! What is known of all schedules: when they are due, and how their last runs went.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{Kind, Schedule, ScheduleError, Task};
use crate::locked;

/// Runs of one schedule that are remembered.
const REMEMBERED: usize = 50;
/// How long a process that serves may take until its schedules run: hooks of the app come before.
const SOON: Duration = Duration::from_secs(10);
/// Runs by hand that wait to begin.
const WAITING: usize = 64;

/// All schedules of a process, to look at and to run by hand. Clones are the same.
#[derive(Clone)]
pub struct Schedules(pub(super) Arc<Board>);

pub(super) struct Board {
    pub(super) entries: Mutex<BTreeMap<Arc<str>, Arc<Entry>>>,
    by_hand: mpsc::Sender<ByHand>,
    /// Whether somebody takes what is asked for by hand.
    pub(super) is_driven: watch::Sender<bool>,
}

/// A run that somebody asks for.
pub(super) struct ByHand {
    pub(super) entry: Arc<Entry>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// One schedule.
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) schedule: Schedule,
    pub(super) task: Box<dyn Task>,
    /// Whether it runs by itself in this environment.
    pub(super) is_on: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: Option<SystemTime>,
    running: usize,
    begun: u64,
    runs: VecDeque<(u64, RunRecord)>,
}

/// One run of a schedule, over or under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// When it was due, or asked for.
    #[serde(with = "millis")]
    pub planned: SystemTime,
    /// When it began.
    #[serde(with = "millis")]
    pub started: SystemTime,
    /// How long it took; `None` while it is under way.
    pub took: Option<Duration>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is under way.
    Running,
    /// It has ended well.
    Done,
    /// It has failed, or panicked; what the error says.
    Failed(String),
    /// It took longer than it may.
    TimedOut,
    /// It did not begin, because the run before was still under way.
    Overlapped,
    /// It did not begin, because another worker has taken this time.
    Elsewhere,
    /// The process has ended before it.
    Ended,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "under way",
            Self::Done => "done",
            Self::Failed(error) => return write!(f, "failed: {error}"),
            Self::TimedOut => "timed out",
            Self::Overlapped => "left out: the run before is still under way",
            Self::Elsewhere => "another worker runs it",
            Self::Ended => "the process ended before it",
        })
    }
}

/// What whoever looks after the server may know of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleInfo {
    /// The name.
    pub name: String,
    /// When it is due, for people.
    pub when: String,
    /// Who runs it.
    pub kind: Kind,
    /// Whether it runs by itself here.
    pub is_on: bool,
    /// When it is due next, in milliseconds since 1970.
    pub next: Option<u64>,
    /// How many runs are under way.
    pub running: usize,
    /// The last run.
    pub last: Option<RunRecord>,
}

impl Schedules {
    pub(super) fn new() -> (Self, mpsc::Receiver<ByHand>) {
        let (by_hand, asked) = mpsc::channel(WAITING);
        (
            Self(Arc::new(Board {
                entries: Mutex::default(),
                by_hand,
                is_driven: watch::Sender::new(false),
            })),
            asked,
        )
    }

    /// All of them, in the order of names.
    pub fn list(&self) -> Vec<ScheduleInfo> {
        locked(&self.0.entries).values().map(|entry| entry.info()).collect()
    }

    /// The last runs of one, the latest first: 50 at most.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn runs(&self, name: &str) -> Result<Vec<RunRecord>, ScheduleError> {
        let entry = self.entry(name)?;
        let state = locked(&entry.state);
        Ok(state.runs.iter().rev().map(|(_, run)| run.clone()).collect())
    }

    /// Runs one by hand, whether or not it is on, and waits for the outcome.
    ///
    /// # Errors
    /// There is none of this name, or schedules do not run in this process now.
    pub async fn run(&self, name: &str) -> Result<Outcome, ScheduleError> {
        let entry = self.entry(name)?;
        if !*self.0.is_driven.borrow() {
            return Err(ScheduleError::Stopped);
        }
        let (answer, outcome) = oneshot::channel();
        self.0.by_hand.try_send(ByHand { entry, answer }).map_err(|_| ScheduleError::Stopped)?;
        outcome.await.map_err(|_| ScheduleError::Stopped)
    }

    /// As [`run`](Self::run), in a process that has just begun to serve: its schedules are about to run.
    pub(crate) async fn run_soon(&self, name: &str) -> Result<Outcome, ScheduleError> {
        self.entry(name)?;
        let mut driven = self.0.is_driven.subscribe();
        // What has not begun by then is told by the next line.
        let _ = timeout(SOON, driven.wait_for(|is_driven| *is_driven)).await;
        self.run(name).await
    }

    pub(super) fn entry(&self, name: &str) -> Result<Arc<Entry>, ScheduleError> {
        let entries = locked(&self.0.entries);
        entries.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = entries.keys().take(24).map(|name| format!("`{name}`")).collect();
            let others =
                if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
            ScheduleError::Unknown(name.chars().take(64).collect(), others)
        })
    }
}

impl Entry {
    pub(super) fn new(name: Arc<str>, schedule: Schedule, task: Box<dyn Task>, is_on: bool) -> Self {
        Self { name, schedule, task, is_on, state: Mutex::default() }
    }

    pub(super) fn set_next(&self, next: Option<SystemTime>) {
        locked(&self.state).next = next;
    }

    /// Notes that a run begins, unless one is under way that it must not overlap with.
    pub(super) fn begin(&self, planned: SystemTime, now: SystemTime) -> Result<u64, Outcome> {
        let mut state = locked(&self.state);
        let may_begin = state.running == 0 || self.schedule.overlapping;
        if may_begin {
            state.running += 1;
        }
        let outcome = if may_begin { Outcome::Running } else { Outcome::Overlapped };
        let took = (!may_begin).then_some(Duration::ZERO);
        state.begun += 1;
        let id = state.begun;
        state.runs.push_back((id, RunRecord { planned, started: now, took, outcome }));
        if state.runs.len() > REMEMBERED {
            state.runs.pop_front();
        }
        if may_begin { Ok(id) } else { Err(Outcome::Overlapped) }
    }

    /// Notes that a run has ended.
    pub(super) fn end(&self, id: u64, took: Duration, outcome: &Outcome) {
        let mut state = locked(&self.state);
        state.running -= 1;
        if *outcome == Outcome::Elsewhere {
            // It did not happen here.
            state.runs.retain(|(run, _)| *run != id);
        } else if let Some((_, run)) = state.runs.iter_mut().find(|(run, _)| *run == id) {
            (run.took, run.outcome) = (Some(took), outcome.clone());
        }
    }

    fn info(&self) -> ScheduleInfo {
        let state = locked(&self.state);
        ScheduleInfo {
            name: self.name.to_string(),
            when: self.schedule.when.to_string(),
            kind: self.schedule.kind,
            is_on: self.is_on,
            next: state.next.map(millis::since_1970),
            running: state.running,
            last: state.runs.back().map(|(_, run)| run.clone()),
        }
    }
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(locked(&self.0.entries).keys()).finish()
    }
}

/// Times as milliseconds since 1970.
mod millis {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn since_1970(time: SystemTime) -> u64 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(since_1970(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let millis = Duration::from_millis(u64::deserialize(deserializer)?);
        UNIX_EPOCH.checked_add(millis).ok_or_else(|| serde::de::Error::custom("no such time"))
    }
}
