//! The thread that has the file: takes what is asked as it comes, and writes all that has come at once.
//!
//! A disk takes milliseconds to say that something is written, whether it is one job or a hundred.

use std::{fmt, io, path::Path, thread};

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::store::{self, Answer, Ask, Room, Store};

/// What may wait to be written; more wait to ask.
const WAITING: usize = 1_024;
/// What is written at once.
const BATCH: usize = 256;

/// Asks the thread. Clones ask the same; it ends with the last of them.
#[derive(Clone)]
pub(super) struct Keeper(mpsc::Sender<Letter>);

enum Letter {
    Ask(Ask, oneshot::Sender<Result<Answer, Lost>>),
    /// Lets go of the file.
    Close(oneshot::Sender<()>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("jobs are closed: the process is ending")]
    Closed,
    #[error("the file of the jobs cannot be used: {0}")]
    Broken(String),
}

impl Keeper {
    /// Opens the file, on the thread that calls.
    pub(super) fn open(path: &Path, room: Room, now: u64) -> Result<Self, Lost> {
        let broken = |why: String| Lost::Broken(format!("{}: {why}", path.display()));
        let store = Store::open(path, room, now).map_err(|error| broken(store::reason(&error)))?;
        Self::start(store).map_err(|error| broken(error.to_string()))
    }

    fn start(store: Store) -> io::Result<Self> {
        let (sender, letters) = mpsc::channel(WAITING);
        thread::Builder::new().name("jobs".to_owned()).spawn(move || keep(store, letters))?;
        Ok(Self(sender))
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Lost> {
        let (sender, answer) = oneshot::channel();
        self.0.send(Letter::Ask(ask, sender)).await.map_err(|_| Lost::Closed)?;
        answer.await.map_err(|_| Lost::Closed)?
    }

    /// Lets go of the file; whoever asks afterwards is told so.
    pub(super) async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        if self.0.send(Letter::Close(sender)).await.is_ok() {
            // It may have been closed just before.
            let _ = closed.await;
        }
    }
}

fn keep(store: Store, mut letters: mpsc::Receiver<Letter>) {
    let mut all = Vec::with_capacity(BATCH);
    while letters.blocking_recv_many(&mut all, BATCH) > 0 {
        let (mut asks, mut senders, mut closing) = (Vec::new(), Vec::new(), None);
        for letter in all.drain(..) {
            match letter {
                Letter::Ask(ask, sender) => {
                    asks.push(ask);
                    senders.push(sender);
                }
                Letter::Close(sender) => closing = Some(sender),
            }
        }
        answer(&store, asks, senders);
        if let Some(sender) = closing {
            drop((letters, store));
            // Whoever asked may have gone.
            let _ = sender.send(());
            return;
        }
    }
}

fn answer(store: &Store, asks: Vec<Ask>, senders: Vec<oneshot::Sender<Result<Answer, Lost>>>) {
    if asks.is_empty() {
        return;
    }
    match store.apply(asks) {
        Ok(answers) => {
            for (sender, answer) in senders.into_iter().zip(answers) {
                // Whoever asked may have gone; it is written all the same.
                let _ = sender.send(Ok(answer));
            }
        }
        Err(error) => {
            error!(target: "cepa::jobs", %error, "jobs cannot be written");
            let lost = Lost::Broken(error.to_string());
            for sender in senders {
                // As above.
                let _ = sender.send(Err(lost.clone()));
            }
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}
