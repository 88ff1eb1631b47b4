//! Jobs in a cluster: the file is the agent's, and workers ask it by the connection of the bus.
//!
//! [`service`] is the agent, [`FarKeeper`] a worker. What is asked is the same as in one process, as JSON, and names the
//! file: the agent runs nothing of the app, and knows of jobs what workers tell it.

mod service;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use cepa_bus::{BackendError, Bus};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

pub use self::service::JobService;
use super::{
    keeper::Lost,
    store::{Answer, Ask},
};

/// How long the agent has to answer; one that was killed is replaced meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a process asks at once; more wait to ask.
const WAITING: usize = 1_024;

/// What a worker says to the agent.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    /// The file of the jobs, by a path that is the same for both.
    file: PathBuf,
    wish: Wish,
}

#[derive(Debug, Serialize, Deserialize)]
enum Wish {
    Ask(Ask),
    /// To hear when something may be due that was not when this number was the one.
    News(u64),
}

/// What the agent says to a worker.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Answer(Answer),
    News(u64),
}

/// The jobs in a file of the agent's, asked for from another process.
pub(super) struct FarKeeper {
    bus: Bus,
    file: PathBuf,
    room: Semaphore,
}

impl FarKeeper {
    /// Jobs in this file, kept by the agent that keeps this bus.
    pub(super) fn new(bus: Bus, file: &Path) -> Result<Self, Lost> {
        let broken = |error| Lost::Broken(format!("{}: {error}", file.display()));
        let file = std::path::absolute(file).map_err(broken)?;
        Ok(Self { bus, file, room: Semaphore::new(WAITING) })
    }

    /// Asks; while the agent is away for a moment, until it is back.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Lost> {
        let deadline = Instant::now() + PATIENCE;
        let may_be_repeated = ask.may_be_repeated();
        let question = self.question(Wish::Ask(ask))?;
        let Ok(room) = timeout_at(deadline, self.room.acquire()).await else {
            return Err(Lost::Away("too much waits to be asked".to_owned()));
        };
        let _room = room.map_err(|_| Lost::Closed)?;
        loop {
            let asked = timeout_at(deadline, self.bus.ask_agent(question.clone())).await;
            let lost = match asked.unwrap_or(Err(BackendError::Unanswered)) {
                Ok(answer) => return said(&answer),
                Err(error @ (BackendError::Away(_) | BackendError::Busy)) => Lost::Away(error.to_string()),
                Err(BackendError::Unanswered) => Lost::Unanswered,
                Err(BackendError::Refused(why)) => return Err(Lost::Broken(why.to_string())),
                Err(error @ BackendError::TooLong(_)) => return Err(Lost::Broken(error.to_string())),
            };
            let may_go_on = lost != Lost::Unanswered || may_be_repeated;
            if !may_go_on || Instant::now() >= deadline {
                return Err(lost);
            }
        }
    }

    /// As [`Place::news`](super::place::Place::news).
    pub(super) async fn news(&self, seen: u64) -> Result<u64, Lost> {
        let question = self.question(Wish::News(seen))?;
        let answer = self.bus.ask_agent(question).await.map_err(|error| Lost::Away(error.to_string()))?;
        match serde_json::from_slice(&answer) {
            Ok(Said::News(number)) => Ok(number),
            _ => Err(strange()),
        }
    }

    fn question(&self, wish: Wish) -> Result<Bytes, Lost> {
        let question = Question { file: self.file.clone(), wish };
        let json = serde_json::to_vec(&question).map_err(|error| Lost::Broken(error.to_string()))?;
        Ok(json.into())
    }
}

fn said(answer: &[u8]) -> Result<Answer, Lost> {
    match serde_json::from_slice(answer) {
        Ok(Said::Answer(answer)) => Ok(answer),
        _ => Err(strange()),
    }
}

fn strange() -> Lost {
    Lost::Broken("the agent answers what was not asked: it may be of another version".to_owned())
}

impl fmt::Debug for FarKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarKeeper").field("file", &self.file).finish_non_exhaustive()
    }
}
