//! Named values common to all workers.

mod counter;
mod deadlock;
mod error;
mod map;
mod shares;
mod slot;
#[cfg(test)]
mod tests;

use std::{any::Any, fmt, ops::Deref, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use self::slot::{Hold, Stored};
pub use self::{
    counter::Counter,
    deadlock::{Cycle, Party, Wait},
    error::ShareError,
    map::ShareMap,
    slot::ShareInfo,
};
pub(crate) use self::{counter::CounterCell, map::MapCell, shares::Shares, slot::Slot};

/// A value that can be shared: it can be copied, sent between threads, and written down.
///
/// Every type that has these is one.
pub trait Value: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// A value as a backend keeps it. What is in a share of `T` is always a `T`.
type Held = Arc<dyn Any + Send + Sync>;

/// A named value common to all workers, see [`Bus::share`](crate::Bus::share).
///
/// - A **read** is a [`Snapshot`]: it costs no copy and never changes, whoever writes afterwards.
/// - A **write** works on a copy and replaces the value when it is done. One that panics or fails changes nothing.
/// - Writes happen one at a time, in the order in which they asked, and none while somebody holds the
///   [`lock`](Self::lock).
/// - Each write gives the value a new **version**, greater than all before it.
///
/// ```
/// use cepa_bus::Bus;
///
/// # cepa_core::test::block_on(async {
/// let names = Bus::new().share("names", Vec::<String>::new)?;
/// names.update(|names| names.push("Ada".into())).await?;
/// assert_eq!(*names.read().await?, ["Ada"]);
/// # Ok::<(), cepa_bus::ShareError>(())
/// # }).unwrap();
/// ```
pub struct Share<T> {
    shares: Arc<Shares>,
    slot: Arc<Slot>,
    make: Arc<dyn Fn() -> T + Send + Sync>,
    ttl: Option<Duration>,
}

/// A value as it was when it was read.
#[derive(Clone, Debug)]
pub struct Snapshot<T> {
    value: Arc<T>,
    version: u64,
}

/// The lock of a share, and its value: nobody else writes until this is dropped.
///
/// It is also released when the request that holds it is cancelled, since its handler is dropped then.
pub struct Guard<T: Value> {
    share: Share<T>,
    hold: Hold,
    snapshot: Snapshot<T>,
}

/// How long a write waits for others before it is given up.
const WRITE_WAIT: Duration = Duration::from_secs(10);

impl<T: Value> Share<T> {
    pub(crate) fn new(
        shares: Arc<Shares>,
        slot: Arc<Slot>,
        make: Arc<dyn Fn() -> T + Send + Sync>,
    ) -> Result<Self, ShareError> {
        slot.check_type::<T>()?;
        Ok(Self { shares, slot, make, ttl: None })
    }

    /// Values written through this handle are gone so long after they were written; the next use makes a new one.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.slot.name()
    }

    /// The value as it is now.
    ///
    /// # Errors
    /// None in memory; a backend elsewhere may be out of reach.
    pub async fn read(&self) -> Result<Snapshot<T>, ShareError> {
        Ok(self.load())
    }

    /// Changes the value, and answers what the closure does.
    ///
    /// A write through the share itself waits while *this* request holds its [`Guard`] too: use the guard's.
    ///
    /// # Errors
    /// [`Timeout`](ShareError::Timeout) if the share was locked for ten seconds, [`TooManyWaiting`](ShareError::TooManyWaiting).
    pub async fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, ShareError> {
        let hold = self.hold_to_write().await?;
        Ok(self.change(&hold, change))
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set(&self, value: T) -> Result<u64, ShareError> {
        let hold = self.hold_to_write().await?;
        Ok(self.store(&hold, value))
    }

    /// Replaces the value if its version is still this one, and answers the new version.
    ///
    /// # Errors
    /// [`Conflict`](ShareError::Conflict) with the version that is there; as [`update`](Self::update).
    pub async fn compare_and_set(&self, version: u64, value: T) -> Result<u64, ShareError> {
        let hold = self.hold_to_write().await?;
        match self.load().version {
            current if current == version => Ok(self.store(&hold, value)),
            current => Err(ShareError::Conflict { share: self.name().into(), expected: version, current }),
        }
    }

    /// Forgets the value; the next use makes a new one.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn free(&self) -> Result<(), ShareError> {
        let hold = self.hold_to_write().await?;
        self.slot.clear(&hold);
        Ok(())
    }

    /// Locks the share for a party, waiting until all that asked before are done.
    ///
    /// A party holds as many locks as it likes and waits for one at a time. A wait that could never end, because those
    /// waited for wait in their turn for what this party holds, however many they are, fails at once.
    ///
    /// # Errors
    /// [`Deadlock`](ShareError::Deadlock) naming the cycle, [`Timeout`](ShareError::Timeout) naming the holder,
    /// [`TooManyWaiting`](ShareError::TooManyWaiting).
    pub async fn lock(&self, party: &mut Party, timeout: Duration) -> Result<Guard<T>, ShareError> {
        let hold = self.hold(party, timeout).await?;
        Ok(Guard { snapshot: self.load(), share: self.clone(), hold })
    }

    async fn hold_to_write(&self) -> Result<Hold, ShareError> {
        if let Some(hold) = self.slot.try_hold(&Party::WRITER) {
            return Ok(hold);
        }
        self.hold(&mut Party::new("a write"), WRITE_WAIT).await
    }

    async fn hold(&self, party: &mut Party, timeout: Duration) -> Result<Hold, ShareError> {
        if let Some(hold) = self.slot.try_hold(party) {
            return Ok(hold);
        }
        let waiting = match self.shares.graph.wait(&self.slot, party, self.shares.lock_waiters)? {
            deadlock::Turn::Now(hold) => return Ok(hold),
            deadlock::Turn::Later(waiting) => waiting,
        };
        match tokio::time::timeout(timeout, waiting.granted()).await {
            Ok(hold) => Ok(hold),
            Err(_) => {
                Err(ShareError::Timeout { share: self.name().into(), holder: self.slot.holder_label() })
            }
        }
    }

    /// The value; made outside of all locks, so that `make` may use other shares.
    fn load(&self) -> Snapshot<T> {
        let stored = self.slot.load().unwrap_or_else(|| {
            let made = self.stored((self.make)());
            self.slot.store_if_absent(made)
        });
        let value = stored.value.downcast().expect("the type was checked when the share was opened");
        Snapshot { value, version: stored.version }
    }

    fn change<R>(&self, hold: &Hold, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = T::clone(&self.load().value);
        let answer = change(&mut value);
        self.store(hold, value);
        answer
    }

    fn store(&self, hold: &Hold, value: T) -> u64 {
        let stored = self.stored(value);
        let version = stored.version;
        self.slot.store(hold, stored);
        version
    }

    fn stored(&self, value: T) -> Stored {
        Stored::new(Arc::new(value), self.shares.next_version(), self.ttl)
    }
}

impl<T: Value> Guard<T> {
    /// The version of the value.
    pub fn version(&self) -> u64 {
        self.snapshot.version
    }

    /// Changes the value, as [`Share::update`].
    ///
    /// # Errors
    /// None in memory; elsewhere a lock may be lost.
    pub async fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R, ShareError> {
        let answer = self.share.change(&self.hold, change);
        self.snapshot = self.share.load();
        Ok(answer)
    }

    /// Replaces the value, and answers its version.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set(&mut self, value: T) -> Result<u64, ShareError> {
        let version = self.share.store(&self.hold, value);
        self.snapshot = self.share.load();
        Ok(version)
    }

    /// Forgets the value and gives the lock back.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn free(self) -> Result<(), ShareError> {
        self.share.slot.clear(&self.hold);
        Ok(())
    }
}

impl<T: Value> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.snapshot.value
    }
}

impl<T> Snapshot<T> {
    /// The version, for [`Share::compare_and_set`].
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Share<T> {
    fn clone(&self) -> Self {
        let (shares, slot) = (Arc::clone(&self.shares), Arc::clone(&self.slot));
        Self { shares, slot, make: Arc::clone(&self.make), ttl: self.ttl }
    }
}

impl<T> fmt::Debug for Share<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({:?})", self.slot.name())
    }
}

impl<T: Value> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({:?}, version {})", self.share.name(), self.version())
    }
}
