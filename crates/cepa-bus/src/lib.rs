//! What the workers of an app have in common: named values, and named queues that connections park on.
//!
//! In reading order:
//!
//! - a [`Bus`] is where names are: one for the process, with a namespace for each app;
//! - a [`Share`] is a typed value, a [`Counter`] and a [`ShareMap`] its cheap special cases; a [`Party`] is who locks;
//! - a [`Queue`] is published to, a [`Subscriber`] parks on it;
//! - [`Live`] is what a ctx can do with them: streams of events and long polls;
//! - a [`Messenger`] sends to listeners by the name of an action, as Egg's does.
//!
//! Everything here is in the memory of one process. The faces are `async` and values can be written down
//! ([`Value`]), so that an app does not change when they are kept elsewhere.

mod agent;
mod backend;
mod bus;
mod config;
#[cfg(feature = "durable")]
mod durable;
mod far;
mod hub;
mod limits;
mod live;
mod messenger;
mod names;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod share;
mod version;

#[cfg(feature = "redis")]
pub use self::redis::{RedisAddress, RedisUrlError};
pub use self::{
    agent::{AgentClient, AgentServer, AgentService, ServiceAnswer},
    backend::{BackendError, ConnectError},
    bus::Bus,
    config::{Backend, BackendNameError, BusConfig, Role, WhileLost},
    limits::BusLimits,
    live::{Live, SseOptions, resume},
    messenger::{Listener, Messenger, MessengerError},
    names::NameError,
    queue::{
        Delivery, EventId, EventIdError, Message, Overflow, Queue, QueueError, QueueInfo, QueueOptions,
        Stopped, Subscriber,
    },
    share::{Counter, Cycle, Guard, Party, Share, ShareError, ShareInfo, ShareMap, Snapshot, Value, Wait},
};

/// Reads bytes as an agent and its processes would, for fuzzing.
#[doc(hidden)]
pub fn check_agent_wire(bytes: &[u8]) {
    agent::wire::check(bytes);
}

/// Takes a mutex whose holder may have panicked: no code of an app runs under those of this crate, so that what they
/// guard is whole at any time.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
