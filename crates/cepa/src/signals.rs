//! Signals: the first SIGTERM or SIGINT drains the server, the second cuts it.
//!
//! SIGHUP opens the files of the log anew. It is taken also where there are none, so that a supervisor's reload does
//! not end the server; if its terminal has been closed it drains.

use std::{
    io::{self, IsTerminal},
    sync::{Arc, OnceLock},
    thread,
};

use cepa_log::Log;
use cepa_server::Stopper;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

/// The signals that end a server, no longer at their defaults. Clones are the same.
#[derive(Clone)]
pub(crate) struct Signals(Arc<State>);

struct State {
    /// Whether the program was told to end.
    told: watch::Sender<bool>,
    /// What to end, once there is something.
    stopper: OnceLock<Stopper>,
}

impl Signals {
    /// Takes the signals, on a thread that lasts as long as the process.
    pub(crate) fn take(log: Option<Log>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let ends = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let hangup = signal(SignalKind::hangup())?;
        drop(entered);
        let this = Self(Arc::new(State { told: watch::channel(false).0, stopper: OnceLock::new() }));
        let watching = this.clone();
        let watch = move || runtime.block_on(watching.watch(ends, hangup, log));
        thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
        Ok(this)
    }

    /// Waits until the program is told to end.
    pub(crate) async fn told(&self) {
        // The sender lives as long as this.
        let _ = self.0.told.subscribe().wait_for(|told| *told).await;
    }

    /// Says what to end: now, if the program was told so already.
    pub(crate) fn stop(&self, stopper: Stopper) {
        let stopper = self.0.stopper.get_or_init(|| stopper);
        // The other thread says that it was told before it looks for a stopper: one of the two sees the other.
        if *self.0.told.borrow() {
            stopper.drain();
        }
    }

    async fn watch(&self, ends: [Signal; 2], mut hangup: Signal, log: Option<Log>) {
        let [mut interrupt, mut terminate] = ends;
        let at_terminal = io::stderr().is_terminal();
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            let was_told = *self.0.told.borrow();
            match name {
                "SIGHUP" if !at_terminal => reopen(log.as_ref()),
                "SIGHUP" if was_told => {}
                _ => self.end(name, was_told),
            }
        }
    }

    fn end(&self, name: &str, was_told: bool) {
        self.0.told.send_replace(true);
        match (self.0.stopper.get(), was_told) {
            (None, _) => info!(target: "cepa", "{name}: the start is given up"),
            (Some(stopper), false) => {
                info!(target: "cepa", "{name}: open connections finish; a second signal cuts them");
                stopper.drain();
            }
            (Some(stopper), true) => {
                warn!(target: "cepa", "{name}: open connections are cut");
                stopper.cut();
            }
        }
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
