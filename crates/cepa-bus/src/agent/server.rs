//! The server half: keeps a bus for the processes that connect to it.

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::net::UnixListener;

use super::{
    peers::{Agent, Peers},
    publishers::Publishers,
    service::AgentService,
    session,
};
use crate::Bus;

/// Keeps a bus for the processes of a machine, which connect to it by
/// [`BusConfig::backend`](crate::BusConfig::backend) `agent:/path`.
///
/// What the processes see is the bus it is given: its limits hold for all of them together, its
/// [`shares`](Bus::shares) and [`queues`](Bus::queues) are theirs. A process, also the one that the agent is in, uses
/// them by a bus of its own that connects here. When a connection ends, the locks of that process are free at once, and its
/// subscribers and listeners are gone.
///
/// ```no_run
/// use cepa_bus::{AgentServer, Bus};
///
/// # async fn example() -> std::io::Result<()> {
/// let listener = tokio::net::UnixListener::bind("/run/app/bus")?;
/// match AgentServer::serve(listener, Bus::new()).await {}
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct AgentServer;

impl AgentServer {
    /// Most processes at once. Further ones are closed.
    const PROCESSES: usize = 4096;
    /// After an error that has to do with this machine, not with who connects.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Serves whoever connects, until this is dropped.
    ///
    /// It belongs on a runtime that does little else. Who may connect is a matter of the socket's place and mode. What
    /// cannot be accepted now is tried again.
    pub async fn serve(listener: UnixListener, bus: Bus) -> Infallible {
        Self::run(listener, bus, None).await
    }

    /// [`serve`](Self::serve) with something that is done for the same processes beside the bus.
    pub async fn serve_with(listener: UnixListener, bus: Bus, service: Arc<dyn AgentService>) -> Infallible {
        Self::run(listener, bus, Some(service)).await
    }

    async fn run(listener: UnixListener, bus: Bus, service: Option<Arc<dyn AgentService>>) -> Infallible {
        let agent = Arc::new(Agent {
            service,
            hub: bus.into_hub(),
            life: RandomState::new().hash_one(()),
            publishers: Publishers::default(),
            peers: Peers::default(),
        });
        // Dropped with this future: all sessions end with it.
        let mut sessions = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = sessions.join_next() => continue,
            };
            match accepted {
                Ok((socket, _)) if sessions.len() < Self::PROCESSES => {
                    sessions.spawn(session::run(Arc::clone(&agent), socket));
                }
                Ok(_) => tracing::warn!("too many processes connect to the agent"),
                Err(error) => {
                    tracing::warn!(%error, "the agent cannot accept a connection");
                    tokio::time::sleep(Self::PAUSE).await;
                }
            }
        }
    }
}
