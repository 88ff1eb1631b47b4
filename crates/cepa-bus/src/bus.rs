//! Where names are: one bus for the process, with a namespace for each app.

use std::{path::Path, sync::Arc};

use bytes::Bytes;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Backend, BackendError, BusConfig, BusLimits, ConnectError, Counter, Messenger, NameError, Queue,
    QueueInfo, QueueOptions, Role, Share, ShareError, ShareInfo, ShareMap, Value,
    agent::AgentBackend,
    hub::Hub,
    names,
    share::{Disk, MapCell, Slot},
};

/// The names that the workers of an app have in common.
///
/// It is in the memory of the process, or is [connected](Self::connect) to what keeps it for many processes.
///
/// An app [provides](cepa_core::App::provide) it, so that each handler finds the same one. Clones are the same bus.
/// What is made under a name lives until it is freed or the process ends, not only as long as a handle to it.
///
/// ```
/// use cepa_bus::Bus;
/// use cepa_core::{App, Ctx, Result};
///
/// let app = App::new().provide(Bus::new()).get("/", async |ctx: &mut Ctx| -> Result<String> {
///     let visits = ctx.provided::<Bus>()?.counter("visits")?;
///     Ok(format!("visit {}", visits.add(1).await?))
/// });
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// client.get("/").await;
/// assert_eq!(client.get("/").await.text(), "visit 2");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Bus {
    hub: Arc<Hub>,
    app: Arc<str>,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus {
    /// A bus with the default limits, in the namespace `app`.
    pub fn new() -> Self {
        Self::with_limits(BusLimits::default())
    }

    /// A bus with limits of its own.
    pub fn with_limits(limits: BusLimits) -> Self {
        Self { hub: Arc::new(Hub::near(&limits, None)), app: "app".into() }
    }

    /// A bus as the configuration says: in memory, or kept elsewhere.
    ///
    /// A connection is made by a thread of its own, and made again whenever it is lost; [`ready`](Self::ready) waits for
    /// it. It ends when the last clone of the bus and the last handle of it is dropped.
    ///
    /// # Errors
    /// A configuration that cannot be used, a thread that cannot be made.
    pub fn connect(config: &BusConfig) -> Result<Self, ConnectError> {
        Self::connect_as(Role::Worker, config)
    }

    /// [`connect`](Self::connect) for a process that is not a worker, which only a [`Messenger`] asks for.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_as(role: Role, config: &BusConfig) -> Result<Self, ConnectError> {
        let hub = match &config.backend {
            Backend::Memory => {
                let disk = config.store.as_deref().map(|path| open(path, &config.limits)).transpose()?;
                Hub::near(&config.limits, disk)
            }
            #[cfg(feature = "redis")]
            Backend::Redis(url) => Hub::far(&config.limits, |switch| {
                let redis = crate::redis::Redis::connect(config, url, role, switch);
                redis.map(|redis| redis as _)
            })?,
            Backend::Agent(path) => Hub::far(&config.limits, |switch| {
                let agent = AgentBackend::connect(path.clone(), config, role, switch);
                agent.map(|agent| Arc::new(agent) as _).map_err(ConnectError::Thread)
            })?,
            #[cfg(not(feature = "redis"))]
            Backend::Redis(_) => return Err(ConnectError::NotBuilt(config.backend.clone())),
        };
        Ok(Self { hub: Arc::new(hub), app: "app".into() })
    }

    /// Waits until what keeps the bus is within reach, which memory always is.
    ///
    /// # Errors
    /// What the last attempt has met, after the time that [`BusConfig::wait`] says.
    pub async fn ready(&self) -> Result<(), BackendError> {
        match &self.hub.shares.far {
            None => Ok(()),
            Some(far) => far.ready().await,
        }
    }

    /// Asks the agent that keeps this bus for something of the [service](crate::AgentService) that it has beside it.
    ///
    /// Dropped, it is given up there too. It waits for as long as the agent is there and takes for its answer.
    ///
    /// # Errors
    /// No agent keeps this bus, or it is out of reach; what the service says.
    pub async fn ask_agent(&self, question: Bytes) -> Result<Bytes, BackendError> {
        match &self.hub.shares.far {
            Some(far) => far.serve(question).await,
            None => Err(BackendError::Refused("no agent keeps this bus".into())),
        }
    }

    /// The same bus in the namespace of another app: its names are apart.
    ///
    /// # Errors
    /// A name that is none.
    pub fn namespace(&self, app: &str) -> Result<Self, NameError> {
        names::check(app)?;
        Ok(Self { hub: Arc::clone(&self.hub), app: app.into() })
    }

    /// The namespace this bus is in.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// A share; the value is made by `make` when it is first used.
    ///
    /// `make` may run on several threads at once; the first value to be there is everybody's. It may use the bus.
    ///
    /// # Errors
    /// A name that is none or one too many; a share of this name that has another type.
    pub fn share<T: Value>(
        &self,
        name: &str,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Share<T>, ShareError> {
        let slot = self.hub.shares.slots.open(&self.app, name, Slot::new::<T>)?;
        Share::new(Arc::clone(&self.hub.shares), slot, Arc::new(make))
    }

    /// A number that is counted up and down; zero at first.
    ///
    /// # Errors
    /// A name that is none or one too many.
    pub fn counter(&self, name: &str) -> Result<Counter, ShareError> {
        Ok(Counter::open(&self.hub.shares, &self.app, name)?)
    }

    /// Values by key, each read and changed by itself.
    ///
    /// # Errors
    /// A name that is none or one too many; a map of this name whose values have another type.
    pub fn map<V: Value>(&self, name: &str) -> Result<ShareMap<V>, ShareError> {
        let shares = &self.hub.shares;
        let cell = shares.maps.open(&self.app, name, |key| MapCell::new::<V>(key, shares.map_entries))?;
        ShareMap::new(cell, shares.far.clone())
    }

    /// A queue with the default options.
    ///
    /// # Errors
    /// A name that is none, has a `#`, or is one too many.
    pub fn queue<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<Queue<T>, NameError> {
        self.queue_with(name, QueueOptions::default())
    }

    /// A queue; the options are those of whoever opens the name first.
    ///
    /// # Errors
    /// As [`queue`](Self::queue).
    pub fn queue_with<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        options: QueueOptions,
    ) -> Result<Queue<T>, NameError> {
        if name.contains('#') {
            return Err(NameError::Room);
        }
        Queue::open(&self.hub.queues, &self.app, name, options)
    }

    /// A queue or room by its whole name, with messages of any type.
    pub(crate) fn any_queue(
        &self,
        name: &str,
        options: QueueOptions,
    ) -> Result<Queue<serde_json::Value>, NameError> {
        Queue::open(&self.hub.queues, &self.app, name, options)
    }

    pub(crate) fn into_hub(self) -> Arc<Hub> {
        self.hub
    }

    /// Messages to listeners by the name of an action.
    pub fn messenger(&self) -> Messenger {
        Messenger::new(Arc::clone(&self.hub.switch), Arc::clone(&self.app))
    }

    /// All shares of all apps, in the order of names, for whoever looks after the server. Where the bus is kept elsewhere,
    /// the copies that this process has.
    ///
    /// Sizes are those of the values written as JSON, which is done here: it takes time when they are large.
    pub fn shares(&self) -> Vec<ShareInfo> {
        self.hub.shares.slots.all().iter().map(|slot| slot.info()).collect()
    }

    /// All queues of all apps, in the order of names. Where the bus is kept elsewhere, those that this process has used.
    pub fn queues(&self) -> Vec<QueueInfo> {
        self.hub.queues.names.all().iter().map(|channel| channel.info()).collect()
    }
}

/// Opens the file for durable shares.
#[cfg(feature = "durable")]
fn open(path: &Path, limits: &BusLimits) -> Result<Arc<dyn Disk>, ConnectError> {
    let (file, last) = crate::durable::File::open(path, limits.names)?;
    crate::version::follow(last);
    Ok(Arc::new(file))
}

#[cfg(not(feature = "durable"))]
fn open(_: &Path, _: &BusLimits) -> Result<Arc<dyn Disk>, ConnectError> {
    Err(ConnectError::NotDurable)
}
