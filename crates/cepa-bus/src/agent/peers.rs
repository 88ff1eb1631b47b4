//! What all sessions of an agent have in common, and how one reaches the others.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

use super::{outbox::Outbox, publishers::Publishers, service::AgentService, wire::Down};
use crate::{far::To, hub::Hub, locked, names::Key};

/// What all sessions have in common.
pub(super) struct Agent {
    pub(super) hub: Arc<Hub>,
    /// Random for each start: processes know by it that what was not on disk is gone.
    pub(super) life: u64,
    pub(super) publishers: Publishers,
    pub(super) peers: Peers,
    pub(super) service: Option<Arc<dyn AgentService>>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({:016x})", self.life)
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
