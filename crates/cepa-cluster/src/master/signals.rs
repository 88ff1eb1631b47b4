//! The signals of the master.

use std::io::{self, IsTerminal};

use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::control::Request;

/// What a signal means.
pub(super) enum Taken {
    /// A process of ours may have ended.
    Child,
    /// SIGTERM or SIGINT.
    Stop,
    /// What can also be asked for by the control socket.
    Ask(Request),
}

/// The signals, no longer at their defaults.
#[derive(Debug)]
pub(crate) struct Signals {
    child: Signal,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    at_terminal: bool,
}

impl Signals {
    /// Takes the signals before anything else is done, with the runtime that they come to.
    ///
    /// Between two programs of a process there is a moment, up to here, in which a signal does what it does by
    /// default. The control socket has none.
    pub(crate) fn take_early() -> io::Result<(LocalRuntime, Self)> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let entered = runtime.enter();
        let signals = Self::take()?;
        drop(entered);
        Ok((runtime, signals))
    }

    fn take() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            at_terminal: io::stderr().is_terminal(),
        })
    }

    pub(super) async fn next(&mut self) -> Taken {
        tokio::select! {
            _ = self.child.recv() => Taken::Child,
            _ = self.interrupt.recv() => Taken::Stop,
            _ = self.terminate.recv() => Taken::Stop,
            // At a terminal it means that the terminal has been closed.
            _ = self.hangup.recv() => if self.at_terminal { Taken::Stop } else { Taken::Ask(Request::Reload) },
            _ = self.user1.recv() => Taken::Ask(Request::Reopen),
            _ = self.user2.recv() => Taken::Ask(Request::Upgrade),
        }
    }
}
