//! Named values common to all workers.

mod cell;
mod counter;
mod deadlock;
mod disk;
mod error;
mod json;
mod map;
mod near;
mod shares;
mod slot;
#[cfg(test)]
mod tests;

use std::{any::Any, fmt, ops::Deref, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use self::cell::{Hold, Outcome, ShareCell};
pub use self::{
    counter::Counter,
    deadlock::{Cycle, Party, Wait},
    error::ShareError,
    map::ShareMap,
    slot::ShareInfo,
};
pub(crate) use self::{
    counter::CounterCell,
    disk::{Disk, Kept},
    json::Json,
    map::{Entry, MapCell},
    shares::Shares,
    slot::{Hold as NearHold, Slot, Stored},
};
use crate::{BackendError, far::When};

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
    cell: ShareCell<T>,
    make: Arc<dyn Fn() -> T + Send + Sync>,
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
    cell: ShareCell<T>,
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
        Ok(Self { cell: ShareCell::new(shares, slot)?, make })
    }

    /// Values written through this handle are gone so long after they were written; the next use makes a new one.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.cell.ttl = Some(ttl);
        self
    }

    /// Values written through this handle are on disk before the write is answered, and there again after whatever
    /// process was killed.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.cell.durable = true;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.cell.name()
    }

    /// The value as it is now. Waits for nobody.
    ///
    /// # Errors
    /// [`Backend`](ShareError::Backend) and [`Json`](ShareError::Json) where the bus is kept elsewhere; in memory none.
    pub async fn read(&self) -> Result<Snapshot<T>, ShareError> {
        if let Some(present) = self.cell.load().await? {
            return Ok(present);
        }
        // Made outside of all locks, so that `make` may use other shares.
        let value = Arc::new((self.make)());
        Ok(match self.cell.write(When::Absent, Some(Arc::clone(&value)), WRITE_WAIT).await? {
            Outcome::Done(version) => Snapshot { value, version },
            Outcome::Other(present) => present,
            Outcome::Not(_) => {
                return Err(BackendError::Refused("it has no value, and takes none".into()).into());
            }
        })
    }

    /// Changes the value, and answers what the closure does.
    ///
    /// A write through the share itself waits while *this* request holds its [`Guard`] too: use the guard's.
    ///
    /// # Errors
    /// [`Timeout`](ShareError::Timeout) if the share was locked for ten seconds, [`TooManyWaiting`](ShareError::TooManyWaiting);
    /// as [`read`](Self::read).
    pub async fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, ShareError> {
        let (hold, present) = self.cell.hold_to_write(WRITE_WAIT).await?;
        let mut value = present.map_or_else(|| (self.make)(), |present| T::clone(&present.value));
        let answer = change(&mut value);
        self.cell.finish(hold, Some(Arc::new(value))).await?;
        Ok(answer)
    }

    /// Replaces the value, and answers its version.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set(&self, value: T) -> Result<u64, ShareError> {
        self.replace(When::Always, value).await
    }

    /// Replaces the value if its version is still this one, and answers the new version.
    ///
    /// # Errors
    /// [`Conflict`](ShareError::Conflict) with the version that is there, 0 if there is no value; as
    /// [`update`](Self::update).
    pub async fn compare_and_set(&self, version: u64, value: T) -> Result<u64, ShareError> {
        self.replace(When::Version(version), value).await
    }

    async fn replace(&self, when: When, value: T) -> Result<u64, ShareError> {
        match self.cell.write(when, Some(Arc::new(value)), WRITE_WAIT).await? {
            Outcome::Done(version) => Ok(version),
            Outcome::Other(Snapshot { version: current, .. }) | Outcome::Not(current) => {
                let expected = if let When::Version(version) = when { version } else { 0 };
                Err(ShareError::Conflict { share: Arc::clone(self.cell.name()), expected, current })
            }
        }
    }

    /// Forgets the value; the next use makes a new one.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn free(&self) -> Result<(), ShareError> {
        self.cell.write(When::Always, None, WRITE_WAIT).await.map(drop)
    }

    /// Locks the share for a party, waiting until all that asked before are done.
    ///
    /// A party holds as many locks as it likes and waits for one at a time. A wait that could never end, because those
    /// waited for wait in their turn for what this party holds, however many they are, fails at once.
    ///
    /// # Errors
    /// [`Deadlock`](ShareError::Deadlock) naming the cycle, [`Timeout`](ShareError::Timeout) naming the holder,
    /// [`TooManyWaiting`](ShareError::TooManyWaiting); as [`read`](Self::read).
    pub async fn lock(&self, party: &mut Party, timeout: Duration) -> Result<Guard<T>, ShareError> {
        let (hold, present) = self.cell.hold(party, timeout).await?;
        let snapshot = match present {
            Some(present) => present,
            None => {
                let value = Arc::new((self.make)());
                let version = self.cell.store(&hold, Some(Arc::clone(&value))).await?;
                Snapshot { value, version }
            }
        };
        Ok(Guard { cell: self.cell.clone(), hold, snapshot })
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
    /// [`LockLost`](ShareError::LockLost) where the bus is kept elsewhere and the connection was lost meanwhile; as
    /// [`Share::read`].
    pub async fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R, ShareError> {
        let mut value = T::clone(&self.snapshot.value);
        let answer = change(&mut value);
        self.set(value).await?;
        Ok(answer)
    }

    /// Replaces the value, and answers its version.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set(&mut self, value: T) -> Result<u64, ShareError> {
        let value = Arc::new(value);
        let version = self.cell.store(&self.hold, Some(Arc::clone(&value))).await?;
        self.snapshot = Snapshot { value, version };
        Ok(version)
    }

    /// Forgets the value and gives the lock back.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn free(self) -> Result<(), ShareError> {
        self.cell.finish(self.hold, None).await.map(drop)
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
        Self { cell: self.cell.clone(), make: Arc::clone(&self.make) }
    }
}

impl<T: Value> fmt::Debug for Share<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({:?})", self.name())
    }
}

impl<T: Value> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({:?}, version {})", self.cell.name(), self.version())
    }
}
