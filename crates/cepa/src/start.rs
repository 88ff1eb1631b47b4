//! The command `start`: this process as the part of a cluster that it is.

use std::process::ExitCode;

use cepa_cluster::{
    Agent, Launch, Master, Part, Plan, Program as OnDisk, Seat, Worker, daemon::Starter, probe,
};
use cepa_core::{App, Result};
use tokio::net::UnixListener;

use crate::{
    boot::{Boot, Surroundings},
    program::{Failure, Logging, Own, Program, build},
};

/// Is the master, or what a master has made of this process.
pub(crate) fn start(
    program: &Program,
    mut surroundings: Surroundings,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> ExitCode {
    // Before the current directory changes, to which its path may be relative.
    let on_disk = OnDisk::of_process().map_err(Failure::Cluster);
    let starter = match Starter::of_process() {
        Ok(starter) => starter,
        Err(error) => return program.end(Err(Failure::Cluster(error))),
    };
    let seat = Seat::of_process().map_err(Failure::Cluster);
    let entered = surroundings.enter_package().map_err(Failure::from);
    let ended = entered.and(seat).and_then(|seat| match seat {
        Some(seat) if seat.part() == Part::Worker => work(&Worker::new(seat), surroundings, app),
        Some(seat) if seat.part() == Part::Agent => be_agent(&Agent::new(seat), surroundings),
        Some(seat) if seat.part() == Part::Probe => {
            let plan = plan(&surroundings).map(drop).map_err(|failure| failure.to_string());
            Ok(probe(seat, plan)?)
        }
        seat => lead(program, on_disk?, surroundings, seat, starter.clone()),
    });
    if let Err(failure) = &ended {
        starter.failed(&failure.to_string());
    }
    match ended {
        // The master has heard, and says it.
        Err(Failure::Told) => ExitCode::FAILURE,
        ended => program.end(ended.map(|()| String::new())),
    }
}

/// What the configuration says to the master.
fn plan(surroundings: &Surroundings) -> Result<(Plan, Own), Failure> {
    let own = Own::of(&Boot::new(surroundings.clone())?)?;
    Ok((Plan { server: own.server.clone(), cluster: own.cluster.clone() }, own))
}

fn lead(
    program: &Program,
    on_disk: OnDisk,
    surroundings: Surroundings,
    seat: Option<Seat>,
    starter: Starter,
) -> Result<(), Failure> {
    let (_, own) = plan(&surroundings)?;
    let plan = move || plan(&surroundings).map(|(plan, _)| plan).map_err(|failure| failure.to_string());
    let (name, version) = (program.name.clone(), program.version.clone());
    let launch = Launch { name, version, program: on_disk, plan: Box::new(plan), starter };
    let master = match seat {
        Some(seat) => Master::resume(launch, seat)?,
        None => Master::open(launch)?,
    };
    // Its files belong to the user that the master is from now on.
    let log = Logging::start(&own.log.0)?;
    Ok(master.run(log.0.clone())?)
}

fn work(
    worker: &Worker,
    surroundings: Surroundings,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<(), Failure> {
    let ready = || -> Result<_, Failure> {
        let boot = Boot::new(surroundings)?;
        let own = Own::of(&boot)?;
        let log = Logging::start(&own.log.0)?;
        let (_, onion) = build(boot, app)?;
        Ok((own.server, log, onion))
    };
    match ready() {
        Ok((server, log, onion)) => worker.serve(onion, server, log.0.as_ref()).map_err(|_| Failure::Told),
        Err(failure) if worker.fail(&failure.to_string()) => Err(Failure::Told),
        Err(failure) => Err(failure),
    }
}

async fn keep(bus: UnixListener) {
    std::future::pending::<()>().await;
    drop(bus);
}

fn be_agent(agent: &Agent, surroundings: Surroundings) -> Result<(), Failure> {
    let ready = || -> Result<_, Failure> {
        let own = Own::of(&Boot::new(surroundings)?)?;
        Ok(Logging::start(&own.log.0)?)
    };
    match ready() {
        // Whoever connects to the bus waits, until there is one.
        Ok(log) => agent.serve(log.0.as_ref(), keep).map_err(|_| Failure::Told),
        Err(failure) if agent.fail(&failure.to_string()) => Err(Failure::Told),
        Err(failure) => Err(failure),
    }
}
