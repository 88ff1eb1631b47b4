//! The end of a server, in stages that only go forward.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::moved::Heir;

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Accepting and serving.
    Serving,
    /// No longer accepting; open connections finish, idle ones are closed.
    Draining,
    /// Whatever is still open is cut.
    Cut,
}

/// Ends a server. Clones end the same server.
#[derive(Clone, Debug)]
pub struct Stopper {
    stage: Arc<watch::Sender<Stage>>,
    heir: Arc<OnceLock<Heir>>,
}

/// Where a worker thread sees how far the end has come.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    stage: watch::Receiver<Stage>,
    heir: Arc<OnceLock<Heir>>,
}

impl Stopper {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::channel(Stage::Serving).0), heir: Arc::default() }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch { stage: self.stage.subscribe(), heir: Arc::clone(&self.heir) }
    }

    /// Stops accepting, lets open connections finish for `limits.drain`, then cuts them.
    pub fn drain(&self) {
        self.advance(Stage::Draining);
    }

    /// [Drains](Self::drain) a server whose place another one has taken, which accepts from the same sockets:
    /// connections that are idle, or become so, go to it, if they are such as can [move](crate::moved). Those that wait
    /// to be accepted are left to it. If the other end of `heir` goes away, they are closed, and what waits is ended.
    ///
    /// Without effect on a server that drains already.
    pub fn drain_into(&self, heir: impl Into<Heir>) {
        if *self.stage.borrow() == Stage::Serving {
            // Whoever is first decides; both drain.
            let _ = self.heir.set(heir.into());
        }
        self.advance(Stage::Draining);
    }

    /// Cuts everything now.
    pub fn cut(&self) {
        self.advance(Stage::Cut);
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = *stage < to;
            *stage = to.max(*stage);
            later
        });
    }
}

impl Watch {
    /// Waits until the server is past a stage.
    pub(crate) async fn past(&mut self, than: Stage) {
        // The sender lives as long as the server; should it be gone, the server is over as well.
        let _ = self.stage.wait_for(|stage| *stage > than).await;
    }

    /// Who takes the place of this server; not before it drains.
    pub(crate) fn heir(&self) -> Option<&Heir> {
        self.heir.get()
    }
}
