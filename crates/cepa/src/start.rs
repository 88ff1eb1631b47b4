//! The command `start`: this process as the part of a cluster that it is.

use std::{io, process::ExitCode, sync::Arc};

use cepa_bus::{AgentServer, Backend, Bus, BusConfig};
use cepa_cluster::{
    Agent, Launch, Master, Part, Plan, Program as OnDisk, RunFolder, Seat, Turn, Worker, daemon::Starter,
    probe,
};
use cepa_core::{App, Onion, Result};
use cepa_server::ServerConfig;
use tokio::{runtime::LocalRuntime, sync::watch, task::spawn_blocking};

use crate::{
    boot::{Boot, Lifecycle, Surroundings},
    operate::OperateError,
    program::{Failure, LAST_WORK, Logging, Own, Program},
};

/// Is the master, or what a master has made of this process.
pub(crate) fn start(
    mut program: Program,
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
    let entered = seat.and_then(|seat| match seat {
        // Who made it part of a cluster was there already.
        Some(_) if surroundings.folder.is_some() => Ok(seat),
        _ => surroundings.enter().map(|()| seat).map_err(Failure::from),
    });
    let ended = entered.and_then(|seat| match seat {
        Some(seat) if seat.part() == Part::Worker => {
            let worker = Worker::new(seat);
            match Boot::new(surroundings) {
                Ok(boot) => work(worker, boot.with_plugins(program.take_plugins()), app),
                Err(error) if worker.fail(&error.to_string()) => Err(Failure::Told),
                Err(error) => Err(error.into()),
            }
        }
        Some(seat) if seat.part() == Part::Agent => be_agent(&Agent::new(seat), surroundings),
        Some(seat) if seat.part() == Part::Probe => {
            let plan = plan(&surroundings).map(drop).map_err(|failure| failure.to_string());
            Ok(probe(seat, plan)?)
        }
        seat => lead(&program, on_disk?, surroundings, seat, starter.clone()),
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

fn work(worker: Worker, boot: Boot, app: impl FnOnce(&mut Boot) -> Result<App>) -> Result<(), Failure> {
    // What the hooks begin lives on this thread, as long as the process; the server is on others.
    let runtime = LocalRuntime::new().map_err(Failure::Runtime)?;
    let worked = runtime.block_on(live(Arc::new(worker), boot, app));
    runtime.shutdown_timeout(LAST_WORK);
    worked
}

/// Opens what the app needs, serves until the master says otherwise, and closes.
async fn live(
    worker: Arc<Worker>,
    boot: Boot,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<(), Failure> {
    let told = |failure: Failure| match worker.fail(&failure.to_string()) {
        true => Failure::Told,
        false => failure,
    };
    let (mut life, own) = configure(boot).await.map_err(told)?;
    let opened = open(&mut life, &own, app).await.map_err(told);
    let served = match opened {
        Ok((log, onion, bus)) => serve(&mut life, &worker, own.server, &log, onion, bus).await,
        Err(failure) => Err(failure),
    };
    life.close().await;
    served
}

/// Settles the configuration, in which the bus of this machine is the agent's unless it says otherwise.
async fn configure(mut boot: Boot) -> Result<(Lifecycle, Own), Failure> {
    let own = Own::of(&boot)?;
    let agent = RunFolder::new(&own.cluster.run_dir, boot.name()).map_err(OperateError::from)?.bus();
    let backend = toml::Value::String(format!("agent:{}", agent.display()));
    boot.put_below("the cluster", &format!("[bus]\nbackend = {backend}"))?;
    let life = Lifecycle::configure(boot).await?;
    let own = Own::of(life.boot())?;
    Ok((life, own))
}

async fn open(
    life: &mut Lifecycle,
    own: &Own,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<(Logging, Arc<Onion>, Bus), Failure> {
    let log = Logging::start(&own.log.0)?;
    let onion = life.build(app)?;
    let folder = RunFolder::new(&own.cluster.run_dir, life.boot().name()).map_err(OperateError::from)?;
    let agent = BusConfig { backend: Backend::Agent(folder.bus()), ..BusConfig::default() };
    let bus = Bus::connect(&agent)?;
    life.load().await?;
    life.ready().await?;
    Ok((log, onion, bus))
}

async fn serve(
    life: &mut Lifecycle,
    worker: &Arc<Worker>,
    server: ServerConfig,
    log: &Logging,
    onion: Arc<Onion>,
    bus: Bus,
) -> Result<(), Failure> {
    let (turn, mut turns) = watch::channel(Turn::Waiting);
    let serving = {
        let (worker, onion, log) = (Arc::clone(worker), Arc::clone(&onion), log.0.clone());
        spawn_blocking(move || worker.serve(onion, server, log.as_ref(), turn))
    };
    let mut bus = Some(bus);
    let mut ready = Ok(());
    // Ends when the worker lets go of it.
    while turns.changed().await.is_ok() {
        let now = *turns.borrow_and_update();
        match (now, bus.take()) {
            (Turn::Serving { started }, Some(bus)) => {
                ready = life.server_ready().await;
                life.is_one_of(bus, started);
                if ready.is_ok() {
                    life.begin(&onion);
                }
            }
            (Turn::Leaving, _) => life.end(),
            (_, kept) => bus = kept,
        }
        if let Err(error) = &ready {
            // The master hears that this process has ended, and why by its log.
            tracing::error!(target: "cepa", %error, "the worker ends");
            return Err(Failure::Told);
        }
    }
    serving.await.map_err(io::Error::other).map_err(Failure::Worker)?.map_err(|_| Failure::Told)
}

fn be_agent(agent: &Agent, surroundings: Surroundings) -> Result<(), Failure> {
    let ready = || -> Result<_, Failure> {
        let boot = Boot::new(surroundings)?;
        let own = Own::of(&boot)?;
        let log = Logging::start(&own.log.0)?;
        let written: BusConfig = boot.settings().section("bus")?;
        let bus = Bus::connect(&BusConfig { backend: Backend::Memory, ..written })?;
        Ok((log, bus))
    };
    match ready() {
        Ok((log, bus)) => {
            let keep = async |listener| match AgentServer::serve(listener, bus).await {};
            agent.serve(log.0.as_ref(), keep).map_err(|_| Failure::Told)
        }
        Err(failure) if agent.fail(&failure.to_string()) => Err(Failure::Told),
        Err(failure) => Err(failure),
    }
}
