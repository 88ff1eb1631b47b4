//! The command `start`: this process as the part of a cluster that it is.

use std::{io, path::PathBuf, process::ExitCode, sync::Arc, time::SystemTime};

use cepa_bus::{AgentServer, Backend, Bus, BusConfig};
use cepa_cluster::{
    Agent, Launch, Master, Part, Plan, Program as OnDisk, RunFolder, Seat, Turn, Worker, daemon::Starter,
    jobs::JobService, probe,
};
use cepa_core::{App, Onion, Result};
use cepa_server::ServerConfig;
use tokio::{
    runtime::LocalRuntime,
    sync::watch,
    task::{spawn_blocking, spawn_local},
};

use crate::{
    acme::{Certificates, cluster},
    boot::{Boot, Lifecycle, LifecycleConfig, Surroundings},
    operate::OperateError,
    program::{Failure, LAST_WORK, Logging, Own, Program, SoundLog},
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
fn plan(surroundings: &Surroundings) -> Result<(Plan, SoundLog), Failure> {
    let boot = Boot::new(surroundings.clone())?;
    let Own { log, server, cluster } = Own::of(&boot)?;
    let life: LifecycleConfig = boot.settings().section("lifecycle")?;
    Ok((Plan { server, cluster, close: life.last() }, log))
}

fn lead(
    program: &Program,
    on_disk: OnDisk,
    surroundings: Surroundings,
    seat: Option<Seat>,
    starter: Starter,
) -> Result<(), Failure> {
    let (first, log) = plan(&surroundings)?;
    let mut first = Some(first);
    let plan = move || match first.take() {
        Some(plan) => Ok(plan),
        None => plan(&surroundings).map(|(plan, _)| plan).map_err(|failure| failure.to_string()),
    };
    let (name, version) = (program.name.clone(), program.version.clone());
    let launch = Launch { name, version, program: on_disk, plan: Box::new(plan), starter };
    let master = match seat {
        Some(seat) => Master::resume(launch, seat)?,
        None => Master::open(launch)?,
    };
    // Its files belong to the user that the master is from now on.
    let log = Logging::start(&log.0)?;
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
    let (mut life, own, agent) = configure(boot).await.map_err(told)?;
    // To the end: what closes has something to say, too.
    let log = Logging::start(&own.log.0).map_err(Failure::from).map_err(told)?;
    let opened = open(&mut life, agent, app, &own.server).await.map_err(told);
    let served = match opened {
        Ok((onion, bus)) => serve(&mut life, &worker, own.server, &log, onion, bus).await,
        Err(failure) => Err(failure),
    };
    worker.closing(life.close()).await;
    served
}

/// Settles the configuration, in which the bus of this machine is the agent's unless it says otherwise; gives where
/// the agent is, too.
async fn configure(mut boot: Boot) -> Result<(Lifecycle, Own, PathBuf), Failure> {
    // Before the hooks: they run in the workers only, and the agent is where the master has put it.
    let cluster = Own::of(&boot)?.cluster;
    let agent = RunFolder::new(&cluster.run_dir, boot.name()).map_err(OperateError::from)?.bus();
    let backend = toml::Value::String(format!("agent:{}", agent.display()));
    boot.put_below("the cluster", &format!("[bus]\nbackend = {backend}"))?;
    let life = Lifecycle::configure(boot).await?;
    let own = Own::of(life.boot())?;
    Ok((life, own, agent))
}

async fn open(
    life: &mut Lifecycle,
    agent: PathBuf,
    app: impl FnOnce(&mut Boot) -> Result<App>,
    server: &ServerConfig,
) -> Result<(Arc<Onion>, Bus), Failure> {
    // The agent is to get them, and can no longer refuse.
    Certificates::of(life.boot(), server)?;
    let onion = life.build(app)?;
    let bus = Bus::connect(&BusConfig { backend: Backend::Agent(agent), ..BusConfig::default() })?;
    life.has_agent(bus.clone());
    life.load().await?;
    life.ready().await?;
    Ok((onion, bus))
}

async fn serve(
    life: &mut Lifecycle,
    worker: &Arc<Worker>,
    server: ServerConfig,
    log: &Logging,
    onion: Arc<Onion>,
    bus: Bus,
) -> Result<(), Failure> {
    worker.has_opened().map_err(Failure::Cluster)?;
    let (turn, mut turns) = watch::channel(Turn::Waiting);
    let serving = {
        let (worker, onion, log) = (Arc::clone(worker), Arc::clone(&onion), log.0.clone());
        spawn_blocking(move || worker.serve(onion, server, log.as_ref(), turn))
    };
    let mut failed = false;
    if let Some(started) = begun(&mut turns).await {
        let agent = bus.clone();
        spawn_local(async move { cluster::tell(&agent).await });
        let ready = tokio::select! {
            biased;
            () = left(&mut turns) => None,
            ready = life.server_ready() => Some(ready),
        };
        match ready {
            Some(Ok(())) => {
                life.is_one_of(bus, started);
                life.begin(&onion);
            }
            Some(Err(error)) => {
                failed = true;
                worker.give_up(error.to_string());
            }
            // Nobody waits for a hook that has not ended by then.
            None => {}
        }
    }
    left(&mut turns).await;
    life.end();
    let served = serving.await.map_err(io::Error::other).map_err(Failure::Worker)?;
    if served.is_err() || failed { Err(Failure::Told) } else { Ok(()) }
}

/// Waits until the worker serves, and gives since when its generation does; `None` if it has left before.
async fn begun(turns: &mut watch::Receiver<Turn>) -> Option<SystemTime> {
    match *turns.wait_for(|turn| *turn != Turn::Waiting).await.ok()? {
        Turn::Serving { started } => Some(started),
        Turn::Waiting | Turn::Leaving => None,
    }
}

/// Waits until the worker takes nothing new any more.
async fn left(turns: &mut watch::Receiver<Turn>) {
    // If it lets go of the other end it has ended.
    let _ = turns.wait_for(|turn| *turn == Turn::Leaving).await;
}

fn be_agent(agent: &Agent, surroundings: Surroundings) -> Result<(), Failure> {
    let ready = || -> Result<_, Failure> {
        let boot = Boot::new(surroundings.clone())?;
        let own = Own::of(&boot)?;
        let log = Logging::start(&own.log.0)?;
        let written: BusConfig = boot.settings().section("bus")?;
        let bus = Bus::connect(&BusConfig { backend: Backend::Memory, ..written })?;
        let certificates = cluster::Keeping::new(surroundings, &bus)?;
        Ok((log, bus, certificates))
    };
    match ready() {
        Ok((log, bus, certificates)) => {
            let jobs = JobService::new();
            let service = Arc::new(jobs.clone());
            let keep = async |listener| {
                let serve = async { match AgentServer::serve_with(listener, bus, service).await {} };
                tokio::join!(serve, certificates.keep());
            };
            let served = agent.serve(log.0.as_ref(), keep).map_err(|_| Failure::Told);
            LocalRuntime::new().map_err(Failure::Runtime)?.block_on(jobs.close(LAST_WORK));
            served
        }
        Err(failure) if agent.fail(&failure.to_string()) => Err(Failure::Told),
        Err(failure) => Err(failure),
    }
}
