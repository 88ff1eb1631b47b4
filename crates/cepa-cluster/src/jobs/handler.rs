//! What does the jobs of a kind.

use std::{fmt, marker::PhantomData};

use cepa_core::{Error, LocalBoxFuture, Result};
use serde::de::DeserializeOwned;

use crate::JobCtx;

/// What does the jobs of a kind: `async |job: &mut JobCtx, mail: Mail| -> Result { .. }`, or a function like that.
///
/// `T` is what a job is given: what it was added with, written as JSON in between.
pub trait JobHandler<T>: Send + Sync + 'static {
    /// Does one.
    fn run<'a>(&'a self, job: &'a mut JobCtx, given: T) -> LocalBoxFuture<'a, Result>;
}

impl<F, T> JobHandler<T> for F
where
    F: AsyncFn(&mut JobCtx, T) -> Result + Send + Sync + 'static,
    T: 'static,
{
    fn run<'a>(&'a self, job: &'a mut JobCtx, given: T) -> LocalBoxFuture<'a, Result> {
        Box::pin(self(job, given))
    }
}

/// The cause of an error after which a job is not tried again: it is dead at once.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GiveUp(String);

impl JobCtx {
    /// An error after which this job is not tried again: `return Err(job.give_up("the user is gone"))`.
    #[track_caller]
    pub fn give_up(&self, reason: impl Into<String>) -> Error {
        Error::status_only(500).with_cause(GiveUp(reason.into()))
    }
}

/// A handler whose type is not known any more.
pub(super) trait Erased: Send + Sync {
    fn run<'a>(&'a self, job: &'a mut JobCtx, payload: &'a str) -> LocalBoxFuture<'a, Result>;
}

pub(super) struct Typed<T, H>(H, PhantomData<fn(T)>);

impl<T, H> Typed<T, H> {
    pub(super) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<T, H> Erased for Typed<T, H>
where
    T: DeserializeOwned + 'static,
    H: JobHandler<T>,
{
    fn run<'a>(&'a self, job: &'a mut JobCtx, payload: &'a str) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            // Another attempt would find the same.
            let given = serde_json::from_str(payload).map_err(|error| {
                job.give_up(format!("it was given what its handler does not know: {error}"))
            })?;
            self.0.run(job, given).await
        })
    }
}

impl<T, H> fmt::Debug for Typed<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed")
    }
}
