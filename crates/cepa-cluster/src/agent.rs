//! The agent: owns what must exist once on the machine.

use std::{io, os::unix::net, time::Duration};

use cepa_log::Log;
use tokio::{
    net::UnixListener,
    runtime::{Builder, LocalOptions},
    signal::unix::{SignalKind, signal},
    task::spawn_local,
    time::{interval, timeout},
};
use tracing::{error, info};

use crate::{
    ipc::{self, FORMAT, Order, Report, Vitals},
    memory,
    seat::{self, Seat},
    worker::{self, WorkerError, reopen},
};

/// How often the agent says that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// This process as the agent.
#[derive(Debug)]
pub struct Agent {
    line: net::UnixStream,
}

impl Agent {
    /// The agent that this process is.
    pub fn new(seat: Seat) -> Self {
        Self { line: seat.line }
    }

    /// Tells the master why there is nothing to do; says whether it has heard, and will tell others.
    pub fn fail(&self, reason: &str) -> bool {
        worker::fail(&self.line, reason)
    }

    /// Does the work of the agent until the master says otherwise, or is gone: `work`, which is given the socket on which
    /// the bus is to be served. It is dropped at the end, on the one thread that it runs on; it need not return before.
    ///
    /// # Errors
    /// Why it does not. The master knows of it.
    pub fn serve<W>(&self, log: Option<&Log>, work: impl FnOnce(UnixListener) -> W) -> Result<(), WorkerError>
    where
        W: Future<Output = ()> + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let line = self.line.try_clone()?;
        runtime.block_on(async move {
            let (mut reader, writer) = ipc::open(line)?;
            // From now on the line says so.
            seat::outlive_master()?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut hangup = signal(SignalKind::hangup())?;
            let mut user1 = signal(SignalKind::user_defined1())?;
            let mut beats = interval(BEAT);
            let mut work = Some(work);
            loop {
                tokio::select! {
                    order = reader.receive::<Order>() => match order? {
                        Some((Order::Bus, descriptors)) => {
                            let bus = descriptors.into_iter().next().map(net::UnixListener::from);
                            if let (Some(bus), Some(work)) = (bus, work.take()) {
                                spawn_local(work(UnixListener::from_std(bus)?));
                            }
                        }
                        Some((Order::Begin(begin), _)) => {
                            if begin.format != FORMAT {
                                let reason = WorkerError::Format.to_string();
                                writer.send(&Report::Failed { reason }, Vec::new())?;
                                let _ = timeout(BEAT, writer.flush()).await;
                                return Err(WorkerError::Format);
                            }
                            writer.send(&Report::Ready, Vec::new())?;
                        }
                        Some((Order::Reopen, _)) => reopen(log),
                        Some((Order::Drain | Order::Cut, _)) => return Ok(()),
                        Some(_) => {}
                        None => {
                            error!(target: "cepa::agent", "the master is gone, and so is the agent");
                            return Ok(());
                        }
                    },
                    _ = beats.tick() => {
                        let vitals = Vitals { memory: memory::resident(), ..Vitals::default() };
                        // A master that does not listen has not gone on for long.
                        let _ = writer.send(&Report::Beat(vitals), Vec::new());
                    }
                    _ = terminate.recv() => return ended("SIGTERM"),
                    _ = interrupt.recv() => return ended("SIGINT"),
                    _ = hangup.recv() => reopen(log),
                    _ = user1.recv() => reopen(log),
                }
            }
        })
    }
}

fn ended(signal: &str) -> Result<(), WorkerError> {
    info!(target: "cepa::agent", signal, "the agent ends");
    Ok(())
}

/// Says to the master that is to be upgraded whether this program can go on in its place.
///
/// # Errors
/// It cannot, or the master is gone.
pub fn probe(seat: Seat, plan: Result<(), String>) -> Result<(), WorkerError> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let (mut reader, writer) = ipc::open(seat.line)?;
        let report = loop {
            match (reader.receive::<Order>().await?, &plan) {
                (Some((Order::Begin(_), _)), Err(reason)) => break Report::Failed { reason: reason.clone() },
                (Some((Order::Begin(begin), _)), Ok(())) if begin.format == FORMAT => break Report::Ready,
                (Some((Order::Begin(_), _)), Ok(())) => {
                    let reason =
                        "the program on disk is of a version that cannot go on from this one: restart";
                    break Report::Failed { reason: reason.to_owned() };
                }
                (Some(_), _) => {}
                (None, _) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            }
        };
        writer.send(&report, Vec::new())?;
        let _ = timeout(BEAT, writer.flush()).await;
        Ok(())
    })
}
