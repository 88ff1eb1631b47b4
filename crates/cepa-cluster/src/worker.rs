//! A worker: serves the app over the sockets of its slot, says that it is alive, and leaves when it is told to.

mod figures;
mod moving;
mod work;

use std::{
    collections::HashMap,
    io,
    os::unix::net,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cepa_core::Onion;
use cepa_log::Log;
use cepa_server::{
    Server, ServerConfig, ServerError,
    listen::{ListenError, Socket},
};
use tokio::{
    runtime::{Builder, LocalOptions},
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{interval, timeout},
};

use self::{figures::Told, work::Work};
use crate::{
    ipc::{self, Begin, FORMAT, IpcError, Order, Reader, Report, Vitals, Writer},
    memory,
    schedule::Schedules,
    seat::{self, Seat},
};

/// How often a worker says that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// The most bytes of a reason.
const LONGEST_REASON: usize = 16 * 1024;

/// For a time that has no end.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How far a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It waits to be told to serve.
    Waiting,
    /// It accepts connections.
    Serving {
        /// When the first worker of its generation was started.
        started: SystemTime,
    },
    /// It finishes what has begun.
    Leaving,
}

/// This process as a worker that does not serve yet.
#[derive(Debug)]
pub struct Worker {
    line: net::UnixStream,
    /// Why it does not go on, once that is so.
    fault: watch::Sender<Option<String>>,
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
    ipc::send_now(line, &failed(reason), Vec::new()).is_ok()
}

/// Tells the master why this process does not go on.
fn say_failed(writer: &Writer, reason: &str) {
    // The master may be the one who is gone.
    let _ = writer.send(&failed(reason), Vec::new());
}

fn failed(reason: &str) -> Report {
    Report::Failed { reason: reason.chars().take(LONGEST_REASON).collect() }
}

impl Worker {
    /// The worker that this process is.
    pub fn new(seat: Seat) -> Self {
        Self { line: seat.line, fault: watch::Sender::new(None) }
    }

    /// Tells the master why there is nothing to serve; says whether it has heard, and will tell others. Once it
    /// serves, [`give_up`](Self::give_up) is the way.
    pub fn fail(&self, reason: &str) -> bool {
        fail(&self.line, reason)
    }

    /// Says that what the app needs is open, on the thread that made this: until then the process ends with its master,
    /// whatever it is at; from then on [`serve`](Self::serve) says what that means.
    ///
    /// # Errors
    /// The system does not know of such a thing.
    pub fn has_opened(&self) -> io::Result<()> {
        seat::outlive_master()
    }

    /// Has a worker that serves finish what it has begun, and leave: its master hears why, and replaces it at once.
    pub fn give_up(&self, reason: String) {
        self.fault.send_replace(Some(reason));
    }

    /// Serves until the master says otherwise, or is gone.
    ///
    /// `turn` is told how far it is, for what happens beside requests.
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
        turn: watch::Sender<Turn>,
    ) -> Result<(), WorkerError> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let line = self.line.try_clone()?;
        let fault = self.fault.subscribe();
        let served = runtime.block_on(async move {
            let (reader, writer) = ipc::open(line)?;
            let served = run(reader, &writer, onion, config, log, turn, fault).await;
            if let Err(error) = &served {
                say_failed(&writer, &error.to_string());
            }
            let _ = timeout(BEAT, writer.flush()).await;
            served
        });
        // What is left, of a master that is gone, is not waited for.
        runtime.shutdown_background();
        served
    }

    /// Waits for what closes the app, before or after [`serve`](Self::serve), and tells the master meanwhile that this
    /// process is alive.
    pub async fn closing<T>(&self, close: impl Future<Output = T>) -> T {
        let (mut close, mut beats) = (pin!(close), interval(BEAT));
        loop {
            tokio::select! {
                biased;
                closed = &mut close => return closed,
                _ = beats.tick() => {
                    let vitals = Vitals { memory: memory::resident(), ..Vitals::default() };
                    // A master that does not listen has not gone on for long.
                    let _ = ipc::send_now(&self.line, &Report::Beat(vitals), Vec::new());
                }
            }
        }
    }
}

async fn run(
    mut reader: Reader,
    writer: &Writer,
    onion: Arc<Onion>,
    mut config: ServerConfig,
    log: Option<&Log>,
    turn: watch::Sender<Turn>,
    mut fault: watch::Receiver<Option<String>>,
) -> Result<(), WorkerError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let Some((begin, mut sockets)) = equipped(&mut reader).await? else { return Ok(()) };
    // In a cluster more processes, and not more threads, are what uses more processors.
    config.workers = config.workers.max(1);
    let drain = config.limits.drain;
    let schedules = onion.provided::<Schedules>().cloned();
    let mut told = Told::new(Arc::clone(&onion));
    let server = Server::with_sockets(config, onion, |listen| {
        sockets.remove(&listen.address.to_string()).unwrap_or_default()
    });
    let mut work = Work::new(server?, &begin, drain, turn, schedules);
    writer.send(&Report::Ready, Vec::new())?;
    let mut beats = interval(BEAT);
    loop {
        tokio::select! {
            order = reader.receive::<Order>(), if !work.is_alone => match order {
                Ok(Some((order, descriptors))) => {
                    if work.obey(&order, descriptors, log, writer)? {
                        return Ok(());
                    }
                }
                // Whoever starts it again wants the sockets.
                Ok(None) => work.be_alone("the master is gone"),
                Err(error) => work.be_alone(&error.to_string()),
            },
            _ = beats.tick() => if let Some(vitals) = work.vitals() {
                for report in [Report::Beat(vitals)].into_iter().chain(told.news()) {
                    // A master that does not listen has not gone on for long.
                    let _ = writer.send(&report, Vec::new());
                }
            },
            _ = terminate.recv() => work.retire(writer),
            _ = interrupt.recv() => work.retire(writer),
            _ = hangup.recv() => reopen(log),
            _ = user1.recv() => reopen(log),
            Ok(()) = fault.changed() => {
                say_failed(writer, fault.borrow().as_deref().unwrap_or_default());
                work.leave(None);
            }
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
