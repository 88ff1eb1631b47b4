//! The connections of one worker that are open, each used by one request at a time, or over HTTP/2 by many.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    rc::{Rc, Weak},
    sync::{Arc, Weak as SyncWeak},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use super::{Failure, Origin, body::Outgoing, connect::Opened};

/// Header fields of an answer that are taken.
const MOST_FIELDS: usize = 128;
/// Bytes of an answer's head that are taken.
const MOST_HEAD: usize = 64 * 1024;

/// A connection that can take a request now, and its place.
pub(super) enum Sender {
    One(http1::SendRequest<Outgoing>, Place),
    Two(http2::SendRequest<Outgoing>, Place),
}

/// The connections of one worker for one dialer.
#[derive(Default)]
pub(super) struct Pool {
    one: RefCell<HashMap<Origin, Vec<Idle<http1::SendRequest<Outgoing>>>>>,
    two: RefCell<HashMap<Origin, Idle<http2::SendRequest<Outgoing>>>>,
    open: Rc<Cell<usize>>,
    is_swept: Cell<bool>,
}

struct Idle<S> {
    sender: S,
    place: Place,
    since: Instant,
}

thread_local! {
    /// Each with what it is dropped after.
    static POOLS: RefCell<Vec<(SyncWeak<()>, Rc<Pool>)>> = const { RefCell::new(Vec::new()) };
}

impl Pool {
    /// This worker's pool of a dialer, which `owner` stands for.
    pub(super) fn of(owner: &Arc<()>) -> Rc<Self> {
        POOLS.with_borrow_mut(|pools| {
            let known = pools.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(owner)));
            if let Some((_, pool)) = known {
                return Rc::clone(pool);
            }
            pools.retain(|(known, _)| known.strong_count() > 0);
            let pool = Rc::new(Self::default());
            pools.push((Arc::downgrade(owner), Rc::clone(&pool)));
            pool
        })
    }

    /// A connection that is open and free.
    pub(super) fn take(&self, origin: &Origin) -> Option<Sender> {
        if let Some(idle) = self.two.borrow_mut().get_mut(origin)
            && !idle.sender.is_closed()
        {
            idle.since = Instant::now();
            return Some(Sender::Two(idle.sender.clone(), idle.place.clone()));
        }
        let mut one = self.one.borrow_mut();
        let idle = one.get_mut(origin)?;
        // The one that was used last is the least likely to have been closed at the other end.
        let found = std::iter::from_fn(|| idle.pop()).find(|idle| idle.sender.is_ready());
        if idle.is_empty() {
            one.remove(origin);
        }
        found.map(|idle| Sender::One(idle.sender, idle.place))
    }

    /// Lets go of an HTTP/2 connection that has failed a request: it may be about to close, and would fail the next.
    pub(super) fn forget(&self, origin: &Origin) {
        self.two.borrow_mut().remove(origin);
    }

    /// Takes a connection back.
    pub(super) fn put(
        self: &Rc<Self>,
        origin: Origin,
        (sender, place): (http1::SendRequest<Outgoing>, Place),
        keep: Duration,
    ) {
        let idle = Idle { sender, place, since: Instant::now() };
        self.one.borrow_mut().entry(origin).or_default().push(idle);
        self.sweep(keep);
    }

    /// A place for one more connection. It is taken before the connection is opened: of requests that come at once, each
    /// counts. If all `most` are taken, the connection that was unused for the longest time is closed and gives its own.
    pub(super) fn place(&self, most: usize) -> Result<Place, Failure> {
        if self.open.get() < most {
            return Ok(Place::new(&self.open));
        }
        self.evict().ok_or(Failure::Connections(most))
    }

    /// Closes the connection that was unused for the longest time; its place.
    fn evict(&self) -> Option<Place> {
        let (mut one, mut two) = (self.one.borrow_mut(), self.two.borrow_mut());
        // Of one origin, the first was put back first.
        let ones = one.iter().filter_map(|(origin, idle)| Some((idle.first()?.since, origin)));
        let oldest_one = ones.min_by_key(|(since, _)| *since).map(|(since, origin)| (since, origin.clone()));
        let twos = two.iter().filter(|(_, idle)| idle.place.is_unused());
        let oldest_two =
            twos.min_by_key(|(_, idle)| idle.since).map(|(origin, idle)| (idle.since, origin.clone()));
        let is_older = |since| oldest_one.as_ref().is_none_or(|(other, _)| since < *other);
        if let Some((_, origin)) = oldest_two.filter(|(since, _)| is_older(*since)) {
            return two.remove(&origin).map(|idle| idle.place);
        }
        let (_, origin) = oldest_one?;
        let idle = one.get_mut(&origin)?;
        let place = idle.remove(0).place;
        if idle.is_empty() {
            one.remove(&origin);
        }
        Some(place)
    }

    /// Speaks HTTP on a connection, kept if it is HTTP/2.
    pub(super) async fn begin(
        self: &Rc<Self>,
        origin: &Origin,
        opened: Opened,
        place: Place,
        keep: Duration,
    ) -> Result<Sender, Failure> {
        let io = TokioIo::new(opened.stream);
        if opened.two {
            let mut builder = http2::Builder::new(OnThisThread);
            builder.timer(TokioTimer::new()).max_header_list_size(MOST_HEAD as u32);
            // A connection that has died without a word is noticed, instead of taking requests for ever.
            builder.keep_alive_interval(Duration::from_secs(20)).keep_alive_timeout(Duration::from_secs(10));
            let (sender, connection) = builder.handshake(io).await.map_err(Failure::Http)?;
            drive(async { connection.await.is_ok() }, place.clone());
            let idle = Idle { sender: sender.clone(), place: place.clone(), since: Instant::now() };
            self.two.borrow_mut().insert(origin.clone(), idle);
            self.sweep(keep);
            return Ok(Sender::Two(sender, place));
        }
        let mut builder = http1::Builder::new();
        builder.max_headers(MOST_FIELDS).max_buf_size(MOST_HEAD);
        let (sender, connection) = builder.handshake(io).await.map_err(Failure::Http)?;
        // So that it can be handed over after a 101; an ordinary exchange costs nothing more by it.
        let connection = connection.with_upgrades();
        drive(async { connection.await.is_ok() }, place.clone());
        Ok(Sender::One(sender, place))
    }

    /// Closes what nobody has used for that time, as long as there is something to close.
    fn sweep(self: &Rc<Self>, keep: Duration) {
        if self.is_swept.replace(true) {
            return;
        }
        let pool: Weak<Self> = Rc::downgrade(self);
        let step = (keep / 4).max(Duration::from_millis(10));
        spawn_local(async move {
            loop {
                sleep(step).await;
                let Some(pool) = pool.upgrade() else { return };
                if pool.drop_older(keep) {
                    pool.is_swept.set(false);
                    return;
                }
            }
        });
    }

    /// Closes what is older; whether nothing is left.
    fn drop_older(&self, keep: Duration) -> bool {
        let (mut one, mut two) = (self.one.borrow_mut(), self.two.borrow_mut());
        one.retain(|_, idle| {
            idle.retain(|idle| idle.since.elapsed() < keep && !idle.sender.is_closed());
            !idle.is_empty()
        });
        two.retain(|_, idle| idle.since.elapsed() < keep && !idle.sender.is_closed());
        one.is_empty() && two.is_empty()
    }
}

fn drive(connection: impl Future<Output = bool> + 'static, place: Place) {
    spawn_local(async move {
        let _place = place;
        // Its failure is the failure of the request that was on it, which has been told.
        let _ = connection.await;
    });
}

/// One of the places that connections have, held by all that use the connection; a clone is the same place.
#[derive(Clone, Debug)]
pub(crate) struct Place(Rc<Counted>);

impl Place {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::new(Counted(Rc::clone(count))))
    }

    /// Whether nobody holds it but the pool and the task that drives the connection.
    fn is_unused(&self) -> bool {
        Rc::strong_count(&self.0) <= 2
    }
}

#[derive(Debug)]
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Runs what HTTP/2 runs beside requests on the thread of the worker.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(async move { drop(future.await) });
    }
}
