//! What happens with every tick: processes that are silent or late are killed, those that have done enough replaced.

use tracing::info;

use super::{Child, Core, Id, Phase, Waits, World};
use crate::control::{Role, State};

impl<W: World> Core<W> {
    /// A second has passed.
    pub(crate) fn tick(&mut self) {
        self.facts.now += 1;
        for (id, reason) in self.late() {
            self.kill(id, reason);
        }
        self.watch_probe();
        self.retry();
        self.recycle();
    }

    /// Those whose time is over, and why.
    fn late(&mut self) -> Vec<(Id, String)> {
        let now = self.facts.now;
        let cluster = &self.limits().cluster;
        let (ready_timeout, beat_timeout) = (cluster.ready_timeout, cluster.beat_timeout);
        let mut late = Vec::new();
        for (id, child) in &mut self.facts.children {
            let speaks = matches!(child.state, State::Ready | State::Serving | State::Draining);
            child.silent = if speaks { child.silent + 1 } else { 0 };
            if child.deadline.is_some_and(|deadline| deadline <= now) {
                let reason = if child.state == State::Starting {
                    format!("it was not ready within {ready_timeout:?} (cluster.ready_timeout)")
                } else {
                    "it had not ended in time (server.limits.drain, lifecycle.* and cluster.kill_after)"
                        .to_owned()
                };
                late.push((*id, reason));
            } else if !beat_timeout.is_zero() && child.silent as f64 > beat_timeout.as_secs_f64() {
                child.silent = 0;
                let reason = format!("an event loop stood still for {beat_timeout:?} (cluster.beat_timeout)");
                late.push((*id, reason));
            }
        }
        late
    }

    /// Starts a replacement for a worker that has done enough, if none is under way.
    fn recycle(&mut self) {
        if self.phase != Phase::Serving || self.reload.is_some() || self.upgrade.is_some() {
            return;
        }
        let is_new = |child: &Child| matches!(child.state, State::Starting | State::Ready);
        if self.facts.children.values().any(|child| child.role == Role::Worker && is_new(child)) {
            return;
        }
        let now = self.facts.now;
        let rests =
            |slot| self.facts.slots.get(slot as usize).is_some_and(|slot: &super::Slot| slot.rest > now);
        let serving = self.facts.children.values().filter(|child| {
            child.role == Role::Worker && child.state == State::Serving && !rests(child.slot)
        });
        let mut tired =
            serving.filter_map(|child| Some((child.slot, child.pid, self.has_done_enough(child)?)));
        if let Some((slot, pid, reason)) = tired.next() {
            info!(target: "cepa::master", slot, pid, reason, "a worker is replaced");
            drop(tired);
            self.spawn(Role::Worker, slot, Waits::Alone);
        }
    }

    fn has_done_enough(&self, child: &Child) -> Option<String> {
        let recycle = &self.rules.cluster.recycle;
        let (requests, memory) = (child.vitals.requests, child.vitals.memory);
        let age = self.facts.now - child.born;
        if let Some(reason) = &child.retires {
            Some(reason.clone())
        } else if recycle.requests > 0 && requests >= recycle.requests {
            Some(format!("it has begun {requests} requests (cluster.recycle.requests)"))
        } else if !recycle.age.is_zero() && age as f64 >= recycle.age.as_secs_f64() {
            Some(format!("it is {age} s old (cluster.recycle.age)"))
        } else if recycle.memory > 0 && memory >= recycle.memory {
            Some(format!("it takes {memory} bytes of memory (cluster.recycle.memory)"))
        } else {
            None
        }
    }
}
