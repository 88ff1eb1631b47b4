//! A worker at work: what it does when the master says so, and what it says of itself.

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::net},
    pin::{Pin, pin},
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cepa_log::Log;
use cepa_server::{
    Gauges, Running, Server, Stopper,
    moved::{Adopter, Heir},
};
use tokio::{
    sync::{
        mpsc::{channel, unbounded_channel},
        oneshot, watch,
    },
    task::{JoinHandle, JoinSet, spawn_local},
    time::{Instant, Sleep, sleep, timeout},
};
use tracing::{error, info, warn};

use super::{LONGEST_REASON, NEVER, Turn, WorkerError, moving, reopen};
use crate::{
    ipc::{Begin, Order, Report, Vitals, Writer},
    memory,
    schedule::{Outcome, ScheduleError, Schedules},
};

/// A worker at work, or about to be.
pub(super) struct Work {
    /// Until it is told to go.
    server: Option<Server>,
    gauges: Arc<Gauges>,
    stopper: Option<Stopper>,
    /// Until it drains.
    adopter: Option<Adopter>,
    pub(super) ended: Ended,
    drain: Duration,
    kill_after: Duration,
    hand_over: bool,
    pub(super) deadline: Pin<Box<Sleep>>,
    /// What gives connections away.
    giving: Option<JoinHandle<()>>,
    retires: bool,
    pub(super) is_alone: bool,
    started: SystemTime,
    turn: watch::Sender<Turn>,
    /// Those of the app, once it has loaded.
    schedules: Option<Schedules>,
    /// Those that are run by hand.
    runs: JoinSet<()>,
}

/// Ready when the server has ended, with how.
pub(super) type Ended = Pin<Box<dyn Future<Output = Result<io::Result<()>, oneshot::error::RecvError>>>>;

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("is_alone", &self.is_alone).finish_non_exhaustive()
    }
}

impl Work {
    pub(super) fn new(
        mut server: Server,
        begin: &Begin,
        drain: Duration,
        turn: watch::Sender<Turn>,
        schedules: Option<Schedules>,
    ) -> Self {
        let (gauges, adopter) = (server.gauges(), server.adopts());
        Self {
            server: Some(server),
            gauges,
            stopper: None,
            adopter: Some(adopter),
            ended: Box::pin(std::future::pending()),
            drain: if drain.is_zero() { NEVER } else { drain },
            kill_after: begin.kill_after,
            hand_over: begin.hand_over,
            deadline: Box::pin(sleep(NEVER)),
            giving: None,
            retires: false,
            is_alone: false,
            started: UNIX_EPOCH + Duration::from_millis(begin.started),
            turn,
            schedules,
            runs: JoinSet::new(),
        }
    }

    /// Does what the master says; whether that was the last thing.
    pub(super) fn obey(
        &mut self,
        order: &Order,
        descriptors: Vec<OwnedFd>,
        log: Option<&Log>,
        writer: &Writer,
    ) -> Result<bool, WorkerError> {
        let line = descriptors.into_iter().next().map(net::UnixStream::from);
        match order {
            Order::Go => {
                if let Some(server) = self.server.take() {
                    self.start(server.start()?)?;
                }
            }
            Order::Adopt => {
                if let (Some(line), Some(adopter)) = (line, &self.adopter) {
                    spawn_local(moving::adopt(line, adopter.clone()));
                }
            }
            Order::Drain => {
                self.leave(line);
                return Ok(self.stopper.is_none());
            }
            Order::Cut => match &self.stopper {
                Some(stopper) => stopper.cut(),
                None => return Ok(true),
            },
            Order::Reopen => reopen(log),
            Order::RunSchedule { run, name } => self.run_schedule(*run, name.clone(), writer),
            Order::Sockets { .. } | Order::Bus | Order::Begin(_) => {}
        }
        Ok(false)
    }

    /// Runs a schedule on the thread where they run, and says what came of it.
    fn run_schedule(&mut self, run: u64, name: String, writer: &Writer) {
        let (schedules, writer) = (self.schedules.clone(), writer.clone());
        // Those that have ended are not kept.
        while self.runs.try_join_next().is_some() {}
        self.runs.spawn_local(async move {
            let ended = match schedules {
                Some(schedules) => schedules.run_soon(&name).await,
                None => Err(ScheduleError::Stopped),
            };
            let ended = match ended {
                Ok(Outcome::Failed(error)) => {
                    Ok(Outcome::Failed(error.chars().take(LONGEST_REASON).collect()))
                }
                Ok(outcome) => Ok(outcome),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = writer.send(&Report::ScheduleRan { run, ended }, Vec::new()) {
                warn!(target: "cepa::worker", schedule = name, %error, "the master does not hear what came of it");
            }
        });
    }

    fn start(&mut self, running: Running) -> io::Result<()> {
        self.stopper = Some(running.stopper());
        let (send, ended) = oneshot::channel();
        // It waits for threads, which cannot be done here.
        thread::Builder::new().name("join".to_owned()).spawn(move || send.send(running.join()))?;
        self.ended = Box::pin(ended);
        self.turn.send_replace(Turn::Serving { started: self.started });
        Ok(())
    }

    /// Finishes what has begun; what is idle goes to an heir, if there is one.
    pub(super) fn leave(&mut self, heir: Option<net::UnixStream>) {
        self.adopter = None;
        self.turn.send_replace(Turn::Leaving);
        self.deadline.as_mut().reset(Instant::now() + self.drain + self.kill_after);
        let Some(stopper) = &self.stopper else { return };
        match heir {
            Some(heir) if self.giving.is_none() => {
                let (idle, idle_moved) = unbounded_channel();
                let (unfinished, unfinished_moved) = channel(moving::WAITING);
                self.giving = Some(spawn_local(moving::give(idle_moved, unfinished_moved, heir)));
                let to = Heir::from(idle);
                stopper.drain_into(if self.hand_over { to.with_unfinished(unfinished) } else { to });
            }
            _ => stopper.drain(),
        }
    }

    /// Goes on without a master, to the end.
    pub(super) fn be_alone(&mut self, reason: &str) {
        error!(target: "cepa::worker", reason, "open connections finish, then this worker ends");
        self.is_alone = true;
        self.leave(None);
        if self.stopper.is_none() {
            self.ended = Box::pin(async { Ok(Ok(())) });
        }
    }

    /// Asks for a replacement; asked for again, or with nobody to ask, ends.
    pub(super) fn retire(&mut self, writer: &Writer) {
        let asked = !self.retires
            && writer.send(&Report::Retire { reason: "it was sent SIGTERM".to_owned() }, Vec::new()).is_ok();
        self.retires = true;
        if asked {
            return info!(target: "cepa::worker", "SIGTERM: the master starts a replacement; a second one cuts");
        }
        warn!(target: "cepa::worker", "open connections are cut");
        match &self.stopper {
            Some(stopper) => stopper.cut(),
            None => self.ended = Box::pin(async { Ok(Ok(())) }),
        }
    }

    /// How this process is; `None` if a thread of it stands still.
    pub(super) fn vitals(&self) -> Option<Vitals> {
        if self.stopper.is_some() && !self.gauges.take_beat() {
            return None;
        }
        let (connections, requests) = (self.gauges.connections(), self.gauges.requests());
        Some(Vitals { connections, requests, memory: memory::resident() })
    }

    /// After the end of the server: waits until everything that was to be given away is, and for what is run by hand,
    /// which has begun to end with it.
    pub(super) async fn part(mut self) -> Result<(), WorkerError> {
        drop((self.stopper, self.ended));
        tokio::select! {
            () = &mut self.deadline => {}
            () = async { while self.runs.join_next().await.is_some() {} } => {}
        }
        match self.giving {
            Some(giving) => {
                timeout(self.kill_after, pin!(giving)).await.map(drop).map_err(|_| WorkerError::Late)
            }
            None => Ok(()),
        }
    }
}
