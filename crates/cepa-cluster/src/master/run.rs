//! The loop of the master: brings the core what happens.

use std::{io, process, time::Duration};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use super::{
    Before,
    core::{Core, Exit},
    machine::{Machine, Parts, Said},
    signals::{Signals, Taken},
    world::Ticket,
};
use crate::{
    control::{
        Answer, MasterStatus, Request, Status,
        server::{Asker, Desk},
    },
    memory,
};

/// A tick, in which the core counts time.
const TICK: Duration = Duration::from_secs(1);

/// How long the last answers may take to be sent.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs the cluster until it ends.
pub(super) async fn run(
    parts: Parts,
    version: &str,
    before: Option<Before>,
    mut signals: Signals,
) -> io::Result<Exit> {
    let (desk, mut asked) = Desk::open(parts.control.try_clone()?)?;
    let (send, mut said) = mpsc::channel(1024);
    let rules = parts.rules.clone();
    let mut machine = Machine::new(parts, send);
    let mut tickets = 0..;
    let mut core = match before {
        None => {
            let mut core = Core::new(machine, rules);
            core.start();
            core
        }
        Some((facts, lines, asker)) => {
            let ticket = tickets.next().filter(|_| asker.is_some());
            if let (Some(asker), Some(ticket)) = (asker, ticket) {
                machine.askers.insert(ticket, desk.resume(asker)?);
            }
            let mut core = Core::resume(machine, rules, facts);
            for (id, line) in lines {
                // The line of the probe is of no use any more.
                if let Some(pid) = core.pid(id) {
                    core.world.attach(id, pid, line)?;
                }
            }
            info!(target: "cepa::master", version, "upgrade: this program goes on");
            core.reload(ticket);
            core
        }
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut watchdog = core.world.outside.watchdog();
    // Children may have ended between two programs.
    core.world.reap();
    loop {
        settle(&mut core, said.is_empty() && asked.is_empty());
        if let Some(exit) = core.exit().cloned() {
            asked.close();
            drop(asked);
            desk.close(LAST_ANSWERS).await;
            return Ok(exit);
        }
        tokio::select! {
            Some(heard) = said.recv() => hear(&mut core, heard),
            Some((request, asker)) = asked.recv() => {
                let ticket = tickets.next().unwrap_or_default();
                answer(&mut core, ticket, &request, asker, version);
            }
            taken = signals.next() => match taken {
                Taken::Child => core.world.reap(),
                Taken::Stop => core.stop(None),
                Taken::Ask(request) => core.request(None, &request),
            },
            () = watchdog.turn() => core.world.outside.beat(),
            _ = ticks.tick() => {
                core.world.reap();
                let now = core.now();
                core.world.sweep(now);
                core.tick();
            }
        }
    }
}

/// Tells the core of what has come of processes, and lets the next program go on if that can be.
fn settle(core: &mut Core<Machine>, is_quiet: bool) {
    for (id, how) in core.world.take_ended() {
        core.ended(id, &how);
    }
    if core.is_upgrade_due() && is_quiet && core.world.is_at_rest() {
        core.leave_to_next();
    }
}

fn hear(core: &mut Core<Machine>, (id, report): Said) {
    match report {
        Some(report) => core.report(id, report),
        None => {
            let now = core.now();
            if let Some(process) = core.world.processes.get_mut(&id) {
                process.closed = Some(now);
            }
            core.world.reap();
        }
    }
}

fn answer(core: &mut Core<Machine>, ticket: Ticket, request: &Request, asker: Asker, version: &str) {
    if *request != Request::Status {
        core.world.askers.insert(ticket, asker);
        return core.request(Some(ticket), request);
    }
    let master = MasterStatus {
        pid: process::id(),
        uptime_s: core.now(),
        version: version.to_owned(),
        listen: core.world.ground.endpoints().map(ToString::to_string).collect(),
        memory_bytes: memory::resident(),
    };
    let status =
        Status { master, generation: core.generation(), processes: core.processes(), apps: core.apps() };
    let status = serde_json::to_value(status);
    asker.answer(status.map_or_else(|error| Answer::Error(error.to_string()), Answer::Ok));
}
