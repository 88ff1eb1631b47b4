//! A worker: serves the app over the sockets of its slot, says that it is alive, and leaves when it is told to.

mod moving;

use std::{
    collections::HashMap,
    fmt, io,
    os::{fd::OwnedFd, unix::net},
    pin::{Pin, pin},
    sync::Arc,
    thread,
    time::Duration,
};

use cepa_core::Onion;
use cepa_log::Log;
use cepa_server::{
    Gauges, Running, Server, ServerConfig, ServerError, Stopper,
    listen::{ListenError, Socket},
    moved::Adopter,
};
use tokio::{
    runtime::{Builder, LocalOptions},
    signal::unix::{SignalKind, signal},
    sync::{mpsc::unbounded_channel, oneshot},
    task::{JoinHandle, spawn_local},
    time::{Instant, Sleep, interval, sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    ipc::{self, Begin, FORMAT, IpcError, Order, Reader, Report, Vitals, Writer},
    memory,
    seat::Seat,
};

/// How often a worker says that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// The most bytes of a reason.
const LONGEST_REASON: usize = 16 * 1024;

/// For a time that has no end.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// This process as a worker that does not serve yet.
#[derive(Debug)]
pub struct Worker {
    line: net::UnixStream,
}

/// Why a worker does not serve, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The server cannot be made.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A socket of the master cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The master is one of another version.
    #[error("the master that runs is of another version of this program: upgrade it, or restart")]
    Format,
    /// The master is gone, or cannot be understood.
    #[error("the line to the master: {0}")]
    Line(String),
    /// The process cannot be set up, or a thread of the server has failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something has not ended in its time.
    #[error("what was at work at the end of server.limits.drain could not be ended")]
    Late,
}

impl From<IpcError> for WorkerError {
    fn from(error: IpcError) -> Self {
        Self::Line(error.to_string())
    }
}

/// Tells the master why this process does not become ready; says whether it has heard.
pub(crate) fn fail(line: &net::UnixStream, reason: &str) -> bool {
    let reason = reason.chars().take(LONGEST_REASON).collect();
    ipc::send_now(line, &Report::Failed { reason }, Vec::new()).is_ok()
}

impl Worker {
    /// The worker that this process is.
    pub fn new(seat: Seat) -> Self {
        Self { line: seat.line }
    }

    /// Tells the master why there is nothing to serve; says whether it has heard, and will tell others.
    pub fn fail(&self, reason: &str) -> bool {
        fail(&self.line, reason)
    }

    /// Serves until the master says otherwise, or is gone.
    ///
    /// The first SIGTERM or SIGINT asks the master for a replacement, to which this worker leaves everything; the
    /// second cuts it. SIGHUP and SIGUSR1 open the files of the log anew.
    ///
    /// # Errors
    /// Why it has not served, or not to the end. The master knows of it.
    pub fn serve(
        &self,
        onion: Arc<Onion>,
        config: ServerConfig,
        log: Option<&Log>,
    ) -> Result<(), WorkerError> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let line = self.line.try_clone()?;
        let served = runtime.block_on(async move {
            let (reader, writer) = ipc::open(line)?;
            let served = run(reader, &writer, onion, config, log).await;
            if let Err(error) = &served {
                let reason = error.to_string().chars().take(LONGEST_REASON).collect();
                // The master may be the one who is gone.
                let _ = writer.send(&Report::Failed { reason }, Vec::new());
            }
            let _ = timeout(BEAT, writer.flush()).await;
            served
        });
        // What is left, of a master that is gone, is not waited for.
        runtime.shutdown_background();
        served
    }
}

async fn run(
    mut reader: Reader,
    writer: &Writer,
    onion: Arc<Onion>,
    mut config: ServerConfig,
    log: Option<&Log>,
) -> Result<(), WorkerError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let Some((begin, mut sockets)) = equipped(&mut reader).await? else { return Ok(()) };
    // In a cluster more processes, and not more threads, are what uses more processors.
    config.workers = config.workers.max(1);
    let drain = config.limits.drain;
    let server = Server::with_sockets(config, onion, |listen| {
        sockets.remove(&listen.address.to_string()).unwrap_or_default()
    });
    let mut work = Work::new(server?, &begin, drain);
    writer.send(&Report::Ready, Vec::new())?;
    let mut beats = interval(BEAT);
    loop {
        tokio::select! {
            order = reader.receive::<Order>(), if !work.is_alone => match order {
                Ok(Some((order, descriptors))) => {
                    if work.obey(&order, descriptors, log)? {
                        return Ok(());
                    }
                }
                // Whoever starts it again wants the sockets.
                Ok(None) => work.be_alone("the master is gone"),
                Err(error) => work.be_alone(&error.to_string()),
            },
            _ = beats.tick() => if let Some(vitals) = work.vitals() {
                // A master that does not listen has not gone on for long.
                let _ = writer.send(&Report::Beat(vitals), Vec::new());
            },
            _ = terminate.recv() => work.retire(writer),
            _ = interrupt.recv() => work.retire(writer),
            _ = hangup.recv() => reopen(log),
            _ = user1.recv() => reopen(log),
            ended = &mut work.ended => {
                ended.unwrap_or_else(|_| Err(io::Error::other("the server panicked")))?;
                return work.part().await;
            }
            () = &mut work.deadline => return Err(WorkerError::Late),
        }
    }
}

/// Opens the files of the log anew, if there are any.
pub(crate) fn reopen(log: Option<&Log>) {
    if let Some(log) = log {
        log.reopen();
    }
}

/// What the master gives a worker: what it is to be, and the sockets of each address.
type Equipment = (Begin, HashMap<String, Vec<Socket>>);

/// Waits for everything that a worker needs; `None` if it is not wanted any more.
async fn equipped(reader: &mut Reader) -> Result<Option<Equipment>, WorkerError> {
    let mut sockets: HashMap<String, Vec<Socket>> = HashMap::new();
    loop {
        match reader.receive::<Order>().await? {
            Some((Order::Sockets { address }, descriptors)) => {
                let some = descriptors.into_iter().map(Socket::from_fd).collect::<Result<Vec<_>, _>>()?;
                sockets.entry(address).or_default().extend(some);
            }
            Some((Order::Begin(begin), _)) if begin.format == FORMAT => return Ok(Some((begin, sockets))),
            Some((Order::Begin(_), _)) => return Err(WorkerError::Format),
            Some((Order::Cut | Order::Drain, _)) | None => return Ok(None),
            Some(_) => {}
        }
    }
}

/// A worker at work, or about to be.
struct Work {
    /// Until it is told to go.
    server: Option<Server>,
    gauges: Arc<Gauges>,
    stopper: Option<Stopper>,
    /// Until it drains.
    adopter: Option<Adopter>,
    ended: Ended,
    drain: Duration,
    kill_after: Duration,
    deadline: Pin<Box<Sleep>>,
    /// What gives connections away.
    giving: Option<JoinHandle<()>>,
    retires: bool,
    is_alone: bool,
}

/// Ready when the server has ended, with how.
type Ended = Pin<Box<dyn Future<Output = Result<io::Result<()>, oneshot::error::RecvError>>>>;

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("is_alone", &self.is_alone).finish_non_exhaustive()
    }
}

impl Work {
    fn new(mut server: Server, begin: &Begin, drain: Duration) -> Self {
        let (gauges, adopter) = (server.gauges(), server.adopts());
        Self {
            server: Some(server),
            gauges,
            stopper: None,
            adopter: Some(adopter),
            ended: Box::pin(std::future::pending()),
            drain: if drain.is_zero() { NEVER } else { drain },
            kill_after: begin.kill_after,
            deadline: Box::pin(sleep(NEVER)),
            giving: None,
            retires: false,
            is_alone: false,
        }
    }

    /// Does what the master says; whether that was the last thing.
    fn obey(
        &mut self,
        order: &Order,
        descriptors: Vec<OwnedFd>,
        log: Option<&Log>,
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
            Order::Sockets { .. } | Order::Bus | Order::Begin(_) => {}
        }
        Ok(false)
    }

    fn start(&mut self, running: Running) -> io::Result<()> {
        self.stopper = Some(running.stopper());
        let (send, ended) = oneshot::channel();
        // It waits for threads, which cannot be done here.
        thread::Builder::new().name("join".to_owned()).spawn(move || send.send(running.join()))?;
        self.ended = Box::pin(ended);
        Ok(())
    }

    /// Finishes what has begun; what is idle goes to an heir, if there is one.
    fn leave(&mut self, heir: Option<net::UnixStream>) {
        self.adopter = None;
        self.deadline.as_mut().reset(Instant::now() + self.drain + self.kill_after);
        let Some(stopper) = &self.stopper else { return };
        match heir {
            Some(heir) if self.giving.is_none() => {
                let (send, moved) = unbounded_channel();
                self.giving = Some(spawn_local(moving::give(moved, heir)));
                stopper.drain_into(send);
            }
            _ => stopper.drain(),
        }
    }

    /// Goes on without a master, to the end.
    fn be_alone(&mut self, reason: &str) {
        error!(target: "cepa::worker", reason, "open connections finish, then this worker ends");
        self.is_alone = true;
        self.leave(None);
        if self.stopper.is_none() {
            self.ended = Box::pin(async { Ok(Ok(())) });
        }
    }

    /// Asks for a replacement; asked for again, or with nobody to ask, ends.
    fn retire(&mut self, writer: &Writer) {
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
    fn vitals(&self) -> Option<Vitals> {
        if self.stopper.is_some() && !self.gauges.take_beat() {
            return None;
        }
        let (connections, requests) = (self.gauges.connections(), self.gauges.requests());
        Some(Vitals { connections, requests, memory: memory::resident() })
    }

    /// After the end of the server: waits until everything that was to be given away is.
    async fn part(self) -> Result<(), WorkerError> {
        drop((self.stopper, self.ended));
        match self.giving {
            Some(giving) => {
                timeout(self.kill_after, pin!(giving)).await.map(drop).map_err(|_| WorkerError::Late)
            }
            None => Ok(()),
        }
    }
}
