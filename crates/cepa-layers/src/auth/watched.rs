//! A file whose content is read again when it has changed.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::AuthError;

/// How long the file is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// What was read from a file, which is looked at once a second while somebody asks.
///
/// While a changed file cannot be read, or is wrong, what it held before stays; that is logged as an error.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    path: PathBuf,
    read: Box<Read<T>>,
    state: RwLock<State<T>>,
}

type Read<T> = dyn Fn(&std::path::Path) -> Result<T, AuthError> + Send + Sync;

struct State<T> {
    value: Arc<T>,
    stamp: Stamp,
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
        // Taken before the file is read: a change in between is then seen later.
        let stamp = stamp(&path);
        let state = State { value: Arc::new(read(&path)?), stamp, looked: Instant::now() };
        Ok(Self(Arc::new(Inner { path, read: Box::new(read), state: RwLock::new(state) })))
    }

    /// What the file holds.
    pub(crate) async fn current(&self) -> Arc<T> {
        let value = {
            let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.looked.elapsed() < FRESH {
                return Arc::clone(&state.value);
            }
            Arc::clone(&state.value)
        };
        let inner = Arc::clone(&self.0);
        // It fails where the runtime ends, or the file was read by code that panics.
        tokio::task::spawn_blocking(move || inner.look()).await.unwrap_or(value)
    }
}

impl<T> Inner<T> {
    /// Looks at the file, and reads it if it has changed.
    fn look(&self) -> Arc<T> {
        let stamp = stamp(&self.path);
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.looked = Instant::now();
            if state.stamp == stamp {
                return Arc::clone(&state.value);
            }
            state.stamp = stamp;
        }
        let read = (self.read)(&self.path);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(value) => state.value = Arc::new(value),
            Err(error) => tracing::error!(target: "cepa", "the users stay as they were: {error}"),
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
