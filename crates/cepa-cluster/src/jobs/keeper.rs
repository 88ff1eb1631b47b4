//! The thread that has the file: takes what is asked as it comes, and writes all that has come at once.
//!
//! A disk takes milliseconds to say that something is written, whether it is one job or a hundred.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    path::Path,
    thread,
};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::store::{self, Answer, Ask, Store};

/// What may wait to be written; more wait to ask.
const WAITING: usize = 1_024;
/// What is written at once.
const BATCH: usize = 256;

/// Asks the thread that keeps jobs. Clones ask the same; it ends with the last of them.
#[derive(Clone)]
pub(super) struct Keeper {
    letters: mpsc::Sender<Letter>,
    /// Another number whenever something may be due that was not before.
    news: watch::Receiver<u64>,
}

/// What such a thread has of it.
pub(super) struct Kept {
    pub(super) letters: mpsc::Receiver<Letter>,
    pub(super) news: watch::Sender<u64>,
}

pub(super) enum Letter {
    Ask(Ask, oneshot::Sender<Result<Answer, Lost>>),
    /// Lets go of the file.
    Close(oneshot::Sender<()>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("jobs are closed: the process is ending")]
    Closed,
    #[error("the jobs cannot be used: {0}")]
    Broken(String),
    /// Nothing was done.
    #[error("the jobs are out of reach: {0}")]
    Away(String),
    #[error("the jobs were out of reach before they answered: nobody knows whether it was done")]
    Unanswered,
}

impl Keeper {
    /// Opens the file, on the thread that calls. What is leased there is so until this time at most.
    pub(super) fn open(path: &Path, until: u64) -> Result<Self, Lost> {
        let broken = |why: String| Lost::Broken(format!("{}: {why}", path.display()));
        let store = Store::open(path, until).map_err(|error| broken(store::reason(&error)))?;
        let keep = move |kept| {
            let closing = keep(&store, kept);
            drop(store);
            // Whoever asked may have gone.
            let _ = closing.map(|sender| sender.send(()));
        };
        Self::start("jobs", keep).map_err(|error| broken(error.to_string()))
    }

    /// Makes a thread that answers.
    pub(super) fn start(name: &str, keep: impl FnOnce(Kept) + Send + 'static) -> io::Result<Self> {
        let (sender, letters) = mpsc::channel(WAITING);
        // Whoever has seen the number of a keeper before this one has not seen this one.
        let (changed, news) = watch::channel(RandomState::new().hash_one(()));
        let kept = Kept { letters, news: changed };
        thread::Builder::new().name(name.to_owned()).spawn(move || keep(kept))?;
        Ok(Self { letters: sender, news })
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Lost> {
        let (sender, answer) = oneshot::channel();
        self.letters.send(Letter::Ask(ask, sender)).await.map_err(|_| Lost::Closed)?;
        answer.await.map_err(|_| Lost::Closed)?
    }

    /// Waits until something may be due that was not when this number was the one; answers with the number now.
    pub(super) async fn news(&self, seen: u64) -> Result<u64, Lost> {
        let mut news = self.news.clone();
        news.wait_for(|number| *number != seen).await.map(|number| *number).map_err(|_| Lost::Closed)
    }

    /// Lets go of the file; whoever asks afterwards is told so.
    pub(super) async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        if self.letters.send(Letter::Close(sender)).await.is_ok() {
            // It may have been closed just before.
            let _ = closed.await;
        }
    }
}

/// Answers until nobody asks any more, or somebody closes it and waits to hear so.
fn keep(store: &Store, Kept { mut letters, news }: Kept) -> Option<oneshot::Sender<()>> {
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
        let makes_due = asks.iter().any(Ask::makes_due);
        answer(store, asks, senders);
        if makes_due {
            news.send_modify(|number| *number = number.wrapping_add(1));
        }
        if let Some(sender) = closing {
            return Some(sender);
        }
    }
    None
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
