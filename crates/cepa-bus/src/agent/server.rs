//! The server half: keeps a bus for the processes that connect to it.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::net::UnixListener;

use super::{outbox::Outbox, publishers::Publishers, service::AgentService, session, wire::Down};
use crate::{Bus, far::To, hub::Hub, locked, names::Key};

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

/// What all sessions have in common.
pub(super) struct Agent {
    pub(super) hub: Arc<Hub>,
    /// Random for each start: processes know by it that what was not on disk is gone.
    pub(super) life: u64,
    pub(super) publishers: Publishers,
    pub(super) peers: Peers,
    pub(super) service: Option<Arc<dyn AgentService>>,
}

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

/// The processes that are connected, for messages between them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    last: AtomicU64,
    /// Who listens for an action, with the number of listeners.
    listening: Mutex<HashMap<Key, Vec<(Peer, usize)>>>,
}

/// A process that is connected.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    number: u64,
    pid: u32,
    is_worker: bool,
    outbox: Arc<Outbox>,
}

impl Peers {
    pub(super) fn come(&self, pid: u32, is_worker: bool, outbox: &Arc<Outbox>) -> Peer {
        Peer { number: self.last.fetch_add(1, Relaxed), pid, is_worker, outbox: Arc::clone(outbox) }
    }

    /// So many listen for an action in a process now.
    pub(super) fn listening(&self, peer: &Peer, action: &Key, count: usize) {
        let mut listening = locked(&self.listening);
        let peers = listening.entry(action.clone()).or_default();
        match peers.iter().position(|(other, _)| other.number == peer.number) {
            Some(at) if count == 0 => drop(peers.swap_remove(at)),
            Some(at) => peers[at].1 = count,
            None if count == 0 => {}
            None => peers.push((peer.clone(), count)),
        }
        if peers.is_empty() {
            listening.remove(action);
        }
    }

    /// Passes a message on, and answers to how many listeners. A process that does not read what it was sent is passed
    /// over.
    pub(super) fn tell(&self, from: &Peer, action: &Key, to: To, json: Bytes) -> usize {
        let is_meant = |peer: &Peer| match to {
            To::Others => peer.number != from.number,
            To::OtherWorkers => peer.number != from.number && peer.is_worker,
            To::Agent => !peer.is_worker,
            To::Random => peer.is_worker,
            To::Process(pid) => peer.pid == pid,
        };
        let mut peers: Vec<_> = locked(&self.listening).get(action).map_or_else(Vec::new, |peers| {
            peers.iter().filter(|(peer, _)| is_meant(peer)).cloned().collect()
        });
        let one = to == To::Random;
        if one && !peers.is_empty() {
            let chosen = RandomState::new().hash_one(()) as usize % peers.len();
            peers = vec![(peers.swap_remove(chosen).0, 1)];
        }
        let told = Down::Told { action: action.clone(), one, json };
        peers.iter().filter(|(peer, _)| peer.outbox.offer(&told)).map(|(_, count)| count).sum()
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({:016x})", self.life)
    }
}
