//! A file whose content is read again when it has changed.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::{sync::Mutex, time::Instant};

use super::AuthError;

/// How long the file is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// What was read from a file, which is looked at once a second while somebody asks.
///
/// One looks at a time, and those who ask meanwhile wait for it: nobody is answered what the file held before the last
/// second. While a changed file cannot be read, or is wrong, what it held before stays; that is logged as an error.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    path: PathBuf,
    read: Box<Read<T>>,
    state: RwLock<State<T>>,
    /// Held by the one who looks.
    turn: Arc<Mutex<()>>,
}

type Read<T> = dyn Fn(&std::path::Path) -> Result<T, AuthError> + Send + Sync;

struct State<T> {
    value: Arc<T>,
    /// Of the file that the value was read from.
    stamp: Stamp,
    /// Of a file that could not be used: it is read again, and not logged again.
    refused: Option<Stamp>,
    looked: Instant,
}

/// What tells a file from what it was: when it was changed, and its length. `None` where there is none.
type Stamp = Option<(Option<SystemTime>, u64)>;

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the file for the first time.
    pub(crate) fn open(
        path: PathBuf,
        read: impl Fn(&std::path::Path) -> Result<T, AuthError> + Send + Sync + 'static,
    ) -> Result<Self, AuthError> {
        let looked = Instant::now();
        // Taken before the file is read: a change in between is then seen later.
        let stamp = stamp(&path);
        let state = State { value: Arc::new(read(&path)?), stamp, refused: None, looked };
        let (read, state) = (Box::new(read), RwLock::new(state));
        Ok(Self(Arc::new(Inner { path, read, state, turn: Arc::default() })))
    }

    /// What the file holds.
    pub(crate) async fn current(&self) -> Arc<T> {
        let asked = Instant::now();
        if let Some(value) = self.0.fresh(asked) {
            return value;
        }
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        // Somebody may have looked in the meantime.
        if let Some(value) = self.0.fresh(asked) {
            return value;
        }
        let inner = Arc::clone(&self.0);
        let job = move || {
            // Kept until the file was read, also where nobody waits for it any more.
            let _turn = turn;
            inner.look()
        };
        // It fails where the runtime ends, or the file was read by code that panics.
        tokio::task::spawn_blocking(job).await.unwrap_or_else(|_| self.0.value())
    }
}

impl<T> Inner<T> {
    /// The value, if the file was looked at less than a second before it was asked for, or since.
    fn fresh(&self, asked: Instant) -> Option<Arc<T>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (asked.saturating_duration_since(state.looked) < FRESH).then(|| Arc::clone(&state.value))
    }

    fn value(&self) -> Arc<T> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    /// Looks at the file, and reads it if it has changed. For one at a time.
    fn look(&self) -> Arc<T> {
        let looked = Instant::now();
        let stamp = stamp(&self.path);
        let is_known = self.state.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp;
        let read = (!is_known).then(|| (self.read)(&self.path));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.looked = looked;
        match read {
            None => state.refused = None,
            Some(Ok(value)) => (state.value, state.stamp, state.refused) = (Arc::new(value), stamp, None),
            Some(Err(error)) => {
                if state.refused != Some(stamp) {
                    tracing::error!(target: "cepa", "the users stay as they were: {error}");
                }
                state.refused = Some(stamp);
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok(), file.len()))
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future as _,
        path::Path,
        pin::pin,
        sync::{atomic, mpsc},
        task::{Context, Waker},
    };

    fn text(path: &Path) -> Result<String, AuthError> {
        fs::read_to_string(path).map_err(|error| AuthError::Read { path: path.to_owned(), error })
    }

    #[tokio::test(start_paused = true)]
    async fn one_looks_at_a_time_and_nobody_is_answered_what_was() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "alice bob").unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel::<()>();
        let (wait, reads) = (std::sync::Mutex::new(wait), Arc::new(atomic::AtomicU32::new(0)));
        let counted = Arc::clone(&reads);
        let watched = Watched::open(file.path().to_owned(), move |path| {
            let text = text(path);
            // The first of all waits for nothing.
            if counted.fetch_add(1, atomic::Ordering::Relaxed) > 0 {
                began.send(()).unwrap();
                wait.lock().unwrap().recv().unwrap();
            }
            text
        })
        .unwrap();
        tokio::time::advance(FRESH).await;
        fs::write(file.path(), "alice bob carol").unwrap();
        let mut ctx = Context::from_waker(Waker::noop());
        {
            let mut given_up = pin!(watched.current());
            assert!(given_up.as_mut().poll(&mut ctx).is_pending());
            begun.recv().unwrap();
        }
        // Bob is removed while somebody still reads, for longer than a second.
        fs::write(file.path(), "alice").unwrap();
        tokio::time::advance(FRESH).await;
        let mut askers: Vec<_> = (0..9).map(|_| Box::pin(watched.current())).collect();
        assert!(askers.iter_mut().all(|asker| asker.as_mut().poll(&mut ctx).is_pending()));
        assert_eq!(reads.load(atomic::Ordering::Relaxed), 2);
        go.send(()).unwrap();
        go.send(()).unwrap();
        for asker in askers {
            assert_eq!(*asker.await, "alice");
        }
        assert_eq!(reads.load(atomic::Ordering::Relaxed), 3, "one for the nine of them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_could_not_be_read_for_a_moment_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "alice bob").unwrap();
        let fails = Arc::new(atomic::AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let watched = Watched::open(file.path().to_owned(), move |path| {
            let path = if failing.load(atomic::Ordering::Relaxed) { Path::new("/nowhere") } else { path };
            text(path)
        })
        .unwrap();
        fs::write(file.path(), "alice").unwrap();
        for (is_failing, expected) in [(true, "alice bob"), (false, "alice")] {
            fails.store(is_failing, atomic::Ordering::Relaxed);
            tokio::time::advance(FRESH).await;
            assert_eq!(*watched.current().await, expected);
        }
    }
}
