//! Signals: the first SIGTERM or SIGINT drains the server, the second cuts it.
//!
//! SIGHUP opens the files of the log anew. It is taken also where there are none, so that a supervisor's reload does
//! not end the server; if its terminal has been closed it drains.

use std::{
    io::{self, IsTerminal},
    thread,
};

use cepa_log::Log;
use cepa_server::Stopper;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::{info, warn};

/// The signals that end a server, no longer at their defaults.
pub(crate) struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals; they wait until [`stop`](Self::stop) says what to end.
    pub(crate) fn take() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, interrupt, terminate, hangup })
    }

    /// Ends a server when told to, from a thread that lasts as long as the process.
    pub(crate) fn stop(self, stopper: Stopper, log: Option<Log>) -> io::Result<()> {
        let Self { runtime, mut interrupt, mut terminate, mut hangup } = self;
        let at_terminal = io::stderr().is_terminal();
        let watch = async move {
            let mut draining = false;
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                    _ = hangup.recv() => "SIGHUP",
                };
                match (name, draining) {
                    ("SIGHUP", _) if !at_terminal => reopen(log.as_ref()),
                    ("SIGHUP", true) => {}
                    (_, false) => {
                        info!(target: "cepa", "{name}: open connections finish; a second signal cuts them");
                        stopper.drain();
                        draining = true;
                    }
                    (_, true) => {
                        warn!(target: "cepa", "{name}: open connections are cut");
                        stopper.cut();
                    }
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(watch)).map(drop)
    }
}

/// Opens the files of the log anew, if there are any.
fn reopen(log: Option<&Log>) {
    let Some(log) = log else {
        return warn!(target: "cepa", "SIGHUP: nothing is read anew; restart to apply changes");
    };
    log.reopen();
    info!(target: "cepa", "SIGHUP: log files are opened anew; restart to apply changes");
}
