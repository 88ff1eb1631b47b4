//! What an agent does beside the bus.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;

/// What came of a question; the error is a text for the one who has asked.
pub type ServiceAnswer = Pin<Box<dyn Future<Output = Result<Bytes, Arc<str>>> + Send>>;

/// What an agent does for the processes of a machine beside the bus: it answers questions, which are bytes to the bus.
///
/// They come by the connection that the bus has anyway, with its reconnecting, its signs of life and its bounds, and are
/// asked by [`Bus::ask_agent`](crate::Bus::ask_agent).
pub trait AgentService: Send + Sync + 'static {
    /// A process has connected. What this answers is dropped when the connection ends, as it does with the process.
    fn connected(&self) -> Box<dyn AgentClient>;
}

/// One process, as an [`AgentService`] sees it.
pub trait AgentClient: Send + Sync + 'static {
    /// Answers a question. The answer is dropped when nobody waits for it any more, or the connection has ended.
    fn ask(&self, question: Bytes) -> ServiceAnswer;
}
