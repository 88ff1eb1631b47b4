//! The agent's half: files of jobs, and who works on what in them.

use std::{
    collections::HashMap,
    fmt, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cepa_bus::{AgentClient, AgentService, ServiceAnswer};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use tracing::warn;

use super::{Question, Said, Wish};
use crate::{
    jobs::{
        keeper::{Keeper, Lost},
        queue::millis,
        store::{Answer, Ask},
    },
    locked,
};

/// Most files.
const FILES: usize = 64;
/// How long workers have to renew their leases after an agent has opened the file: they do it more often.
const GRACE: Duration = Duration::from_secs(30);
/// How long somebody waits for news; asked for again, it is not forgotten by one that hangs.
const NEWS: Duration = Duration::from_secs(60);

/// Keeps the jobs of all workers of a machine, in the agent, see [`AgentServer::serve_with`](cepa_bus::AgentServer::serve_with).
///
/// A file is opened when it is first asked for. What a worker has taken is given to others when its connection ends, which
/// it does with the process.
#[derive(Clone, Default)]
pub struct JobService(Arc<Files>);

#[derive(Default)]
struct Files(Mutex<HashMap<PathBuf, Arc<OnceCell<Keeper>>>>);

impl JobService {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes all files at the end of the process, for which it waits so long at most. A file that was not closed is
    /// whole, but looked through when it is next opened.
    pub async fn close(&self, at_most: Duration) {
        let files = mem::take(&mut *locked(&self.0.0));
        let close = async {
            for keeper in files.values().filter_map(|file| file.get()) {
                keeper.close().await;
            }
        };
        if timeout(at_most, close).await.is_err() {
            warn!(target: "cepa::jobs", "files of jobs were not closed in time");
        }
    }
}

impl AgentService for JobService {
    fn connected(&self) -> Box<dyn AgentClient> {
        Box::new(Client { files: Arc::clone(&self.0), held: Arc::default() })
    }
}

impl Files {
    async fn open(&self, file: &Path) -> Result<Keeper, Lost> {
        let cell = {
            let mut files = locked(&self.0);
            if files.len() >= FILES && !files.contains_key(file) {
                return Err(Lost::Broken(format!("there are {FILES} files of jobs already")));
            }
            Arc::clone(files.entry(file.to_owned()).or_default())
        };
        // A large file that was not closed takes its time. One that cannot be opened is tried again by the next.
        let opened = cell.get_or_try_init(|| async {
            let file = file.to_owned();
            let open = move || Keeper::open(&file, millis(SystemTime::now() + GRACE));
            spawn_blocking(open).await.unwrap_or_else(|error| Err(Lost::Broken(error.to_string())))
        });
        opened.await.cloned()
    }
}

/// One worker.
struct Client {
    files: Arc<Files>,
    held: Arc<Mutex<Held>>,
}

/// What a worker works on.
#[derive(Default)]
struct Held {
    is_gone: bool,
    /// The files, and of each the attempts by the numbers of the jobs.
    leases: HashMap<PathBuf, (Keeper, HashMap<u64, u32>)>,
}

impl AgentClient for Client {
    fn ask(&self, question: Bytes) -> ServiceAnswer {
        let (files, held) = (Arc::clone(&self.files), Arc::clone(&self.held));
        Box::pin(async move {
            let Question { file, wish } = serde_json::from_slice(&question)
                .map_err(|error| format!("no question about jobs: {error}"))?;
            drop(question);
            let keeper = files.open(&file).await.map_err(reason)?;
            let said = match wish {
                Wish::News(seen) => {
                    let news = timeout(NEWS, keeper.news(seen)).await.unwrap_or(Ok(seen));
                    Said::News(news.map_err(reason)?)
                }
                Wish::Ask(ask) => {
                    let (reply, answer) = oneshot::channel();
                    tokio::spawn(settle(keeper, file, ask, held, reply));
                    let answer = answer.await.unwrap_or(Err(Lost::Closed));
                    Said::Answer(answer.map_err(reason)?)
                }
            };
            Ok(serde_json::to_vec(&said).map_err(|error| error.to_string())?.into())
        })
    }
}

/// Why there is no answer, for a worker that says about what.
fn reason(lost: Lost) -> Arc<str> {
    match lost {
        Lost::Broken(why) => why.into(),
        other => other.to_string().into(),
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let leases = {
            let mut held = locked(&self.held);
            held.is_gone = true;
            mem::take(&mut held.leases)
        };
        for (keeper, leases) in leases.into_values() {
            release(keeper, leases.into_iter().collect());
        }
    }
}

/// Asks to the end, whoever goes meanwhile: what is taken must be known, to be given back.
async fn settle(
    keeper: Keeper,
    file: PathBuf,
    ask: Ask,
    held: Arc<Mutex<Held>>,
    reply: oneshot::Sender<Result<Answer, Lost>>,
) {
    let change = Change::of(&ask);
    let answer = keeper.ask(ask).await;
    let (taken, dropped) = match &answer {
        Ok(answer) => change.after(answer),
        Err(_) => Default::default(),
    };
    let is_gone = {
        let mut held = locked(&held);
        let has_changed = !taken.is_empty() || !dropped.is_empty();
        if has_changed && !held.is_gone {
            let (_, leases) = held.leases.entry(file).or_insert_with(|| (keeper.clone(), HashMap::new()));
            leases.extend(taken.iter().copied());
            leases.retain(|id, _| !dropped.contains(id));
        }
        held.is_gone
    };
    // One that was cancelled does not know what it was given.
    let unheard = reply.send(answer).err();
    if is_gone || matches!(unheard, Some(Ok(Answer::Taken { .. }))) {
        release(keeper, taken);
    }
}

/// What an answer means for the leases of the one who has asked.
enum Change {
    Nothing,
    Takes,
    Extends(Vec<(u64, u32)>),
    Ends(u64),
}

impl Change {
    fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Take { .. } => Self::Takes,
            Ask::Extend { leases, .. } => Self::Extends(leases.clone()),
            Ask::Done { id, .. } | Ask::Retry { id, .. } | Ask::Bury { id, .. } | Ask::Return { id, .. } => {
                Self::Ends(*id)
            }
            _ => Self::Nothing,
        }
    }

    /// What it has from now on, and what not any more. A worker that has extended what it took from an agent before
    /// this one has it of this one.
    fn after(self, answer: &Answer) -> (Vec<(u64, u32)>, Vec<u64>) {
        match (self, answer) {
            (Self::Takes, Answer::Taken { jobs, .. }) => {
                (jobs.iter().map(|job| (job.id, job.attempt)).collect(), Vec::new())
            }
            (Self::Extends(leases), Answer::Lost(lost)) => {
                let kept = leases.into_iter().filter(|(id, _)| !lost.contains(id));
                (kept.collect(), lost.clone())
            }
            (Self::Ends(id), _) => (Vec::new(), vec![id]),
            _ => Default::default(),
        }
    }
}

/// Gives to others what somebody has who is gone.
fn release(keeper: Keeper, leases: Vec<(u64, u32)>) {
    // At the end of the agent there is nobody to give it to: the next one finds it.
    let Ok(runtime) = Handle::try_current() else { return };
    if leases.is_empty() {
        return;
    }
    let release = async move {
        let jobs = leases.len();
        match keeper.ask(Ask::Release { leases, now: millis(SystemTime::now()) }).await {
            Ok(_) => warn!(target: "cepa::jobs", jobs, "a worker has gone, and its jobs wait again"),
            Err(error) => {
                warn!(target: "cepa::jobs", jobs, %error, "a worker has gone; its jobs wait for the end of their leases");
            }
        }
    };
    drop(runtime.spawn(release));
}

impl fmt::Debug for JobService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(locked(&self.0.0).keys()).finish()
    }
}
