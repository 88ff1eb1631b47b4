//! Where the jobs of a process are kept: by a thread of its own, or by the agent.

use super::{
    agent::FarKeeper,
    keeper::{Keeper, Lost},
    store::{Answer, Ask},
};

/// Where jobs are kept.
#[derive(Debug)]
pub(super) enum Place {
    /// By a thread of this process, in a file or in Redis.
    Near(Keeper),
    /// In a file of the agent's.
    Agent(FarKeeper),
}

impl Place {
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Lost> {
        match self {
            Self::Near(keeper) => keeper.ask(ask).await,
            Self::Agent(keeper) => keeper.ask(ask).await,
        }
    }

    /// Waits until something may be due that was not when this number was the one; answers with the number now.
    pub(super) async fn news(&self, seen: u64) -> Result<u64, Lost> {
        match self {
            Self::Near(keeper) => keeper.news(seen).await,
            Self::Agent(keeper) => keeper.news(seen).await,
        }
    }

    /// Lets go of what this process has; the agent goes on for others.
    pub(super) async fn close(&self) {
        if let Self::Near(keeper) = self {
            keeper.close().await;
        }
    }
}
