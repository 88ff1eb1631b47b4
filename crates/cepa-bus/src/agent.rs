//! The agent: a bus for all processes of a machine, over a Unix socket.

mod answer;
mod connection;
mod far;
mod inbox;
mod link;
mod outbox;
mod peers;
mod publishers;
mod publishing;
mod server;
mod service;
mod session;
#[cfg(test)]
mod tests;
mod trouble;
pub(crate) mod wire;

pub(crate) use self::far::AgentBackend;
pub use self::{
    server::AgentServer,
    service::{AgentClient, AgentService, ServiceAnswer},
};
