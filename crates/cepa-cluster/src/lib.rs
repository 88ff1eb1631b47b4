//! The cluster: what happens beside requests.
//!
//! In reading order: [`schedule`] runs code of the app at times; [`jobs`] are written down and done whatever happens; a
//! [`JobCtx`] is what both run with.

mod job_ctx;
pub mod jobs;
mod reason;
pub mod schedule;

pub use self::{
    job_ctx::JobCtx,
    jobs::{JobOptions, Jobs},
    schedule::Schedule,
};

/// Takes a mutex whose holder may have panicked: no code of an app runs under those of this crate.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
