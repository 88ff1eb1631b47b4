//! What is counted of a server while it runs, for whoever watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What each worker thread says of itself, once a second.
#[derive(Debug)]
pub struct Gauges {
    threads: Box<[Gauge]>,
}

/// What one thread says. Nobody else writes there, so that saying it costs nothing.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Gauge {
    alive: AtomicBool,
    connections: AtomicU64,
    requests: AtomicU64,
}

impl Gauges {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: (0..threads).map(|_| Gauge::default()).collect() }
    }

    pub(crate) fn say(&self, thread: usize, connections: usize, requests: u64) {
        let Some(gauge) = self.threads.get(thread) else { return };
        gauge.connections.store(connections as u64, Relaxed);
        gauge.requests.store(requests, Relaxed);
        gauge.alive.store(true, Relaxed);
    }

    /// Connections that were open a second ago.
    pub fn connections(&self) -> u64 {
        self.threads.iter().map(|gauge| gauge.connections.load(Relaxed)).sum()
    }

    /// Requests that had begun a second ago.
    pub fn requests(&self) -> u64 {
        self.threads.iter().map(|gauge| gauge.requests.load(Relaxed)).sum()
    }

    /// Whether the event loop of every worker thread has turned since this last said so: `false` for longer than a
    /// second or two means that one of them is stuck.
    pub fn take_beat(&self) -> bool {
        let all = self.threads.iter().all(|gauge| gauge.alive.load(Relaxed));
        if all {
            self.threads.iter().for_each(|gauge| gauge.alive.store(false, Relaxed));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_that_is_stuck_stops_the_beat() {
        let gauges = Gauges::new(2);
        assert!(!gauges.take_beat());
        gauges.say(0, 1, 10);
        assert!(!gauges.take_beat());
        gauges.say(1, 2, 20);
        assert!(gauges.take_beat());
        assert_eq!((gauges.connections(), gauges.requests()), (3, 30));
        gauges.say(1, 3, 21);
        gauges.say(1, 3, 22);
        assert!(!gauges.take_beat());
    }
}
