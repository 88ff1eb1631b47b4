//! The world of the master: its processes, its sockets, and who has asked it for something.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    num::NonZeroUsize,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cepa_log::Log;
use cepa_server::{ServerConfig, limits::Limits};
use rustix::process::{Pid, WaitOptions, WaitStatus, kill_process, wait};
use tokio::{sync::mpsc, task::spawn_local};
use tracing::{error, info, warn};

use super::{
    Plan, PlanFn,
    core::Facts,
    ground::Ground,
    outside::Outside,
    takeover,
    world::{Course, Id, Kind, Rules, Signal, Spec, Tell, Ticket, World},
};
use crate::{
    config::ClusterConfig,
    control::{Answer, server::Asker},
    folder::PidFile,
    ipc::{self, Begin, FORMAT, MOST_DESCRIPTORS, Order, Reader, Report, Writer},
    program::Program,
    seat::Part,
};

/// How long the last lines of the log of a program that leaves may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What a process has said, or that its line is closed.
pub(crate) type Said = (Id, Option<Report>);

/// Everything that the core of the master acts on.
pub(crate) struct Machine {
    pub(crate) program: Program,
    pub(crate) plan: PlanFn,
    pub(crate) ground: Ground,
    pub(crate) cluster: ClusterConfig,
    slots: u32,
    /// What a reload has planned, until it is settled.
    planned: Option<(Ground, ClusterConfig, u32)>,
    pub(crate) pid_file: PidFile,
    pub(crate) control: UnixListener,
    pub(crate) bus: UnixListener,
    pub(crate) processes: BTreeMap<Id, Process>,
    said: mpsc::Sender<Said>,
    pub(crate) askers: HashMap<Ticket, Asker>,
    pub(crate) outside: Outside,
    /// When each of the last generations began, in milliseconds since 1970.
    began: BTreeMap<u64, u64>,
    log: Option<Log>,
}

/// A process as the system sees it.
pub(crate) struct Process {
    pid: u32,
    writer: Writer,
    /// The tick in which its line was closed.
    pub(crate) closed: Option<u64>,
    /// How it has ended.
    exit: Option<String>,
}

/// What a plan means for the core.
pub(crate) fn rules(plan: &Plan) -> Rules {
    let Plan { server, cluster, close } = plan;
    let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
    let workers =
        if cluster.workers == 0 { processors().min(crate::config::MOST_WORKERS) } else { cluster.workers };
    Rules { workers, drain: drain(&server.limits, *close), cluster: cluster.clone() }
}

fn drain(limits: &Limits, close: Option<Duration>) -> Option<u64> {
    let drain = Some(limits.drain).filter(|drain| !drain.is_zero());
    let time = drain?.saturating_add(close?);
    Some(time.as_secs_f64().ceil() as u64)
}

/// How many threads of all workers accept from the sockets.
pub(crate) fn threads(server: &ServerConfig, slots: u32) -> usize {
    server.workers.max(1).saturating_mul(slots as usize)
}

/// What a machine is made of.
pub(crate) struct Parts {
    pub(crate) program: Program,
    pub(crate) plan: PlanFn,
    pub(crate) ground: Ground,
    pub(crate) rules: Rules,
    pub(crate) pid_file: PidFile,
    pub(crate) control: UnixListener,
    pub(crate) bus: UnixListener,
    pub(crate) outside: Outside,
    pub(crate) log: Option<Log>,
}

impl Machine {
    pub(crate) fn new(parts: Parts, said: mpsc::Sender<Said>) -> Self {
        let Parts { program, plan, ground, rules, pid_file, control, bus, outside, log } = parts;
        let (processes, askers, planned) = (BTreeMap::new(), HashMap::new(), None);
        let (cluster, slots) = (rules.cluster, rules.workers);
        Self {
            program,
            plan,
            ground,
            cluster,
            slots,
            planned,
            pid_file,
            control,
            bus,
            processes,
            said,
            askers,
            outside,
            began: BTreeMap::new(),
            log,
        }
    }

    /// Speaks with a process by its line.
    pub(crate) fn attach(&mut self, id: Id, pid: u32, line: UnixStream) -> io::Result<()> {
        let (reader, writer) = ipc::open(line)?;
        spawn_local(listen(id, reader, self.said.clone()));
        self.processes.insert(id, Process { pid, writer, closed: None, exit: None });
        Ok(())
    }

    /// Takes note of processes that have ended.
    pub(crate) fn reap(&mut self) {
        // Also those that are not ours: a master that is the first process of a container inherits orphans.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            if let Some(process) = self.processes.values_mut().find(|process| process.pid == pid) {
                process.exit = Some(told(status));
            }
        }
    }

    /// Those that have ended and have nothing more to say, and how.
    pub(crate) fn take_ended(&mut self) -> Vec<(Id, String)> {
        let ended = |process: &Process| process.closed.is_some() && process.exit.is_some();
        let ids: Vec<Id> =
            self.processes.iter().filter(|(_, process)| ended(process)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .filter_map(|id| Some((id, self.processes.remove(&id)?.exit.unwrap_or_default())))
            .collect()
    }

    /// Ends those that have closed their line and stay, and takes those as closed that have ended.
    pub(crate) fn sweep(&mut self, now: u64) {
        let patience = self.cluster.kill_after.as_secs_f64().ceil() as u64;
        for process in self.processes.values_mut() {
            match process.closed {
                // Somebody else holds the other end.
                None if process.exit.is_some() => process.closed = Some(now),
                Some(since) if process.exit.is_none() && now > since + patience => {
                    signal(process.pid, Signal::Kill);
                }
                _ => {}
            }
        }
    }

    /// Whether nothing is on its way that the next program would not get.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.processes.values().all(|process| process.writer.is_at_rest())
    }

    fn send(&mut self, id: Id, order: &Order, descriptors: Vec<OwnedFd>) {
        let Some(process) = self.processes.get(&id) else { return };
        if let Err(error) = process.writer.send(order, descriptors) {
            // Most likely it has just ended.
            warn!(target: "cepa::master", pid = process.pid, %error, "a process does not listen");
            if matches!(error, ipc::IpcError::Full) {
                signal(process.pid, Signal::Kill);
            }
        }
    }

    /// When a generation began, which is now for one that is new.
    fn began(&mut self, generation: u64) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = *self.began.entry(generation).or_insert(since.as_millis() as u64);
        // There are two while one takes over from the other.
        while self.began.len() > 2 {
            self.began.pop_first();
        }
        began
    }

    /// What belongs to a process that is being made.
    fn equip(&mut self, id: Id, spec: Spec) -> io::Result<()> {
        let started = self.began(spec.generation);
        let (ground, slots) = match &self.planned {
            Some((ground, _, slots)) if spec.is_new => (ground, *slots),
            _ => (&self.ground, self.slots),
        };
        let mut sockets = Vec::new();
        match spec.kind {
            Kind::Worker => sockets = ground.deal(spec.slot, slots)?,
            Kind::Agent => {
                let bus = self.bus.try_clone()?;
                self.send(id, &Order::Bus, vec![bus.into()]);
            }
            Kind::Probe => {}
        }
        for (address, descriptors) in sockets {
            let mut descriptors = descriptors.into_iter().peekable();
            while descriptors.peek().is_some() {
                let some = descriptors.by_ref().take(MOST_DESCRIPTORS).collect();
                self.send(id, &Order::Sockets { address: address.clone() }, some);
            }
        }
        let begin = Begin {
            format: FORMAT,
            slot: spec.slot,
            generation: spec.generation,
            started,
            workers: slots,
            bus: Some(self.pid_file.folder().bus()),
            kill_after: self.cluster.kill_after,
            hand_over: self.cluster.hand_over,
        };
        self.send(id, &Order::Begin(begin), Vec::new());
        Ok(())
    }
}

impl World for Machine {
    fn spawn(&mut self, id: Id, spec: Spec) -> io::Result<u32> {
        let (ours, theirs) = UnixStream::pair()?;
        let part = match spec.kind {
            Kind::Agent => Part::Agent,
            Kind::Worker => Part::Worker,
            Kind::Probe => Part::Probe,
        };
        let pid = self.program.spawn(part.name(), theirs, self.cluster.env.as_deref())?;
        let equipped = self.attach(id, pid, ours).and_then(|()| self.equip(id, spec));
        if let Err(error) = equipped {
            // Nobody will hear of it again.
            signal(pid, Signal::Kill);
            self.processes.remove(&id);
            return Err(error);
        }
        Ok(pid)
    }

    fn tell(&mut self, id: Id, what: Tell) {
        let order = match what {
            Tell::Go => Order::Go,
            Tell::Drain => Order::Drain,
            Tell::Cut => Order::Cut,
            Tell::Reopen => Order::Reopen,
        };
        self.send(id, &order, Vec::new());
    }

    fn run_schedule(&mut self, id: Id, run: u64, name: &str) {
        self.send(id, &Order::RunSchedule { run, name: name.to_owned() }, Vec::new());
    }

    fn hand_over(&mut self, from: Id, to: Id) {
        match UnixStream::pair() {
            Ok((source, drain)) => {
                self.send(to, &Order::Adopt, vec![source.into()]);
                self.send(from, &Order::Drain, vec![drain.into()]);
            }
            Err(error) => {
                error!(target: "cepa::master", %error, "connections are closed, because they cannot be handed over");
                self.send(from, &Order::Drain, Vec::new());
            }
        }
    }

    fn kill(&mut self, id: Id, what: Signal) {
        if let Some(process) = self.processes.get(&id).filter(|process| process.exit.is_none()) {
            signal(process.pid, what);
        }
    }

    fn plan(&mut self) -> Result<Rules, String> {
        let plan = (self.plan)()?;
        let rules = rules(&plan);
        let ground = Ground::bind(&plan.server.listen, threads(&plan.server, rules.workers), &self.ground);
        let ground = ground.map_err(|error| error.to_string())?;
        self.planned = Some((ground, rules.cluster.clone(), rules.workers));
        Ok(rules)
    }

    fn settle(&mut self, kept: bool) {
        if let Some((ground, cluster, slots)) = self.planned.take().filter(|_| kept) {
            (self.ground, self.cluster, self.slots) = (ground, cluster, slots);
        }
    }

    fn ready(&mut self) {
        let endpoints: Vec<_> = self.ground.endpoints().map(ToString::to_string).collect();
        info!(target: "cepa::master", workers = self.slots, "listening on {}", endpoints.join(", "));
        self.outside.ready();
    }

    fn tell_supervisor(&mut self, course: &Course) {
        self.outside.tell(course);
    }

    fn stop_listening(&mut self) {
        self.planned = None;
        self.ground = Ground::default();
    }

    fn reopen(&mut self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if matches!(answer, Answer::Progress(_)) {
            if let Some(asker) = self.askers.get(&ticket) {
                asker.answer(answer);
            }
        } else if let Some(asker) = self.askers.remove(&ticket) {
            asker.answer(answer);
        }
    }

    fn upgrade(&mut self, facts: &Facts, ticket: Option<Ticket>) -> String {
        if let Some(log) = &self.log {
            log.flush(LAST_LINES);
        }
        takeover::leave(self, facts, ticket).to_string()
    }
}

impl Process {
    pub(crate) fn line(&self) -> io::Result<OwnedFd> {
        self.writer.socket()
    }
}

/// Hands on what a process says, and that it says nothing more.
async fn listen(id: Id, mut reader: Reader, said: mpsc::Sender<Said>) {
    loop {
        let report = match reader.receive::<Report>().await {
            Ok(Some((report, _))) => Some(report),
            Ok(None) => None,
            Err(error) => {
                error!(target: "cepa::master", %error, "a process cannot be understood");
                None
            }
        };
        let ends = report.is_none();
        if said.send((id, report)).await.is_err() || ends {
            return;
        }
    }
}

fn signal(pid: u32, what: Signal) {
    let signal = match what {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // It fails if the process has just ended, which is what is wanted: nobody else has waited for it, so that the
    // number is still its own.
    let _ = kill_process(pid, signal);
}

fn told(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (_, Some(signal)) => format!("was killed by signal {signal}"),
        _ => "ended".to_owned(),
    }
}
