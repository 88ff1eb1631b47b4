//! The end of a server, in stages that only go forward.

use std::sync::Arc;

use tokio::sync::watch;

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
}

impl Stopper {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::channel(Stage::Serving).0) }
    }

    /// Where workers see how far the end has come.
    pub(crate) fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Stops accepting, lets open connections finish for `limits.drain`, then cuts them.
    pub fn drain(&self) {
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
