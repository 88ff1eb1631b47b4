//! What work that no request asked for runs with.

use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::{Deref, DerefMut},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use cepa_core::{Connection, Ctx, LocalBoxFuture, Onion, Request};
use http::Method;
use tokio::sync::watch;

use crate::jobs::JobId;

/// What a schedule or a job runs with: a [`Ctx`] by no connection, so that what handlers use is at hand
/// (`job.provided::<Db>()?`, `job.service::<Users>()?`), and what is known of this run.
///
/// Its request has the method `SCHEDULE` or `JOB` and a path of the name; what is set as its response goes nowhere.
/// [`Ctx::draining`] says when the process is about to end.
pub struct JobCtx {
    ctx: Ctx,
    onion: Arc<Onion>,
    about: About,
    background: Rc<Background>,
}

/// What is known of a run.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) door: &'static str,
    pub(crate) name: Arc<str>,
    pub(crate) planned: SystemTime,
    pub(crate) attempt: u32,
    pub(crate) fence: Option<u64>,
    pub(crate) job: Option<u64>,
}

impl JobCtx {
    pub(crate) fn new(onion: &Arc<Onion>, about: About, ending: &watch::Receiver<bool>) -> Self {
        let method = Method::from_bytes(about.door.to_ascii_uppercase().as_bytes()).unwrap_or_default();
        let mut request = Request::new(method, format!("/__{}/{}", about.door, about.name));
        let (door, ending) = (about.door, ending.clone());
        let (deferred, waiting) = (RefCell::default(), Cell::default());
        let background = Rc::new(Background { door, ending, deferred, waiting });
        request.set_connection(Rc::clone(&background) as Rc<dyn Connection>);
        Self { ctx: onion.ctx(request), onion: Arc::clone(onion), about, background }
    }

    /// The name of the schedule, or the kind of the job.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// When it was to run. A schedule that runs a little late, or a job that is tried again, still has this time.
    pub fn planned(&self) -> SystemTime {
        self.about.planned
    }

    /// Which attempt this is, from 1 on; a schedule has one.
    pub fn attempt(&self) -> u32 {
        self.about.attempt
    }

    /// A number that is larger than that of every run before, of a schedule that runs once per cluster.
    ///
    /// A machine that hangs may lose its lock without knowing. What it still writes then can be told from what its
    /// successor writes, if both write this number and the smaller one is refused.
    pub fn fence(&self) -> Option<u64> {
        self.about.fence
    }

    /// The number of the job, the same in all attempts: what it does elsewhere can be marked with it, so that it is not
    /// done there twice. `None` in a schedule.
    pub fn job(&self) -> Option<JobId> {
        self.about.job.map(JobId)
    }

    /// Does what was [deferred](Ctx::defer).
    pub(crate) async fn finish(&self) {
        loop {
            let work = self.background.deferred.take();
            if work.is_empty() {
                return;
            }
            for work in work {
                work.await;
            }
        }
    }

    /// The app, to send requests to: `job.onion().call(request).await`.
    pub fn onion(&self) -> &Arc<Onion> {
        &self.onion
    }
}

impl Deref for JobCtx {
    type Target = Ctx;

    fn deref(&self) -> &Ctx {
        &self.ctx
    }
}

impl DerefMut for JobCtx {
    fn deref_mut(&mut self) -> &mut Ctx {
        &mut self.ctx
    }
}

impl fmt::Debug for JobCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobCtx").field(&self.about).finish()
    }
}

/// The connection of those that have none.
struct Background {
    door: &'static str,
    ending: watch::Receiver<bool>,
    deferred: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    /// Waits for the end.
    waiting: Cell<Option<LocalBoxFuture<'static, ()>>>,
}

/// The most that one run defers.
const MOST_DEFERRED: usize = 1_000;

impl Connection for Background {
    fn door(&self) -> &'static str {
        self.door
    }

    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        let mut all = self.deferred.borrow_mut();
        if all.len() >= MOST_DEFERRED {
            return Err(work);
        }
        all.push(work);
        Ok(())
    }

    fn is_draining(&self) -> bool {
        *self.ending.borrow()
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.take().unwrap_or_else(|| self.draining());
        let polled = waiting.as_mut().poll(cx);
        if polled.is_pending() {
            self.waiting.set(Some(waiting));
        }
        polled
    }

    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        let mut ending = self.ending.clone();
        Box::pin(async move {
            let mut told = pin!(ending.wait_for(|ending| *ending));
            // Should the sender be gone, everything is over.
            let _ = told.as_mut().await;
        })
    }
}
