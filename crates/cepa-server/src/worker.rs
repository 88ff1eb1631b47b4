//! A worker thread: its runtime, its listeners, the life of its connections, and its end.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use cepa_core::Onion;
use http::HeaderValue;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, spawn_local},
};

use crate::{
    door::{self, Arrival, Door},
    floor::{Floor, Seat},
    gauges::Gauges,
    limits::Limits,
    listen::{Acceptor, Socket},
    moved::MovedConnection,
    stage::{Stage, Watch},
    tls::Tls,
};

/// How often the files of certificates are looked at.
const TLS_WATCH: Duration = Duration::from_secs(10);

/// How often a thread says how it is.
const BEAT: Duration = Duration::from_secs(1);

/// More connections than any backlog holds.
const LONGEST_BACKLOG: usize = 65_535;

/// A bound socket with what speaks on it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) door: Door,
}

/// What a worker thread starts from.
pub(crate) struct Ground {
    pub(crate) onion: Arc<Onion>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) server: Option<HeaderValue>,
    pub(crate) connections: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) stage: Watch,
    pub(crate) watched: Vec<Tls>,
    /// Which thread this is, and where it says how it is.
    pub(crate) gauges: Option<(Arc<Gauges>, usize)>,
    /// Connections of other processes.
    pub(crate) adopted: Option<UnboundedReceiver<MovedConnection>>,
}

/// Runs a worker until the server ends.
pub(crate) fn run(ground: Ground) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let result = runtime.block_on(serve(ground));
    // Work that blocks gets a moment; it cannot be interrupted.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(ground: Ground) -> io::Result<()> {
    let Ground { onion, limits, server, connections, listeners, mut stage, watched, gauges, adopted } =
        ground;
    let floor = Floor::new(onion, limits, server);
    spawn_local(Rc::clone(&floor.timers).run());
    for tls in watched {
        spawn_local(async move { tls.watch(TLS_WATCH).await });
    }
    if let Some((gauges, thread)) = gauges {
        let floor = Rc::clone(&floor);
        spawn_local(async move { beat(&floor, &gauges, thread).await });
    }
    let adopting = adopted.map(|mut adopted| {
        let floor = Rc::clone(&floor);
        spawn_local(async move {
            while let Some(moved) = adopted.recv().await {
                door::adopt(moved, &floor);
            }
        })
    });
    let mut accepting = Vec::new();
    for Listener { socket, door } in listeners {
        let acceptor = Acceptor::new(socket)?;
        let (floor, stage) = (Rc::clone(&floor), stage.clone());
        accepting.push(spawn_local(async move { accept(acceptor, door, &floor, connections, stage).await }));
    }
    let result = accepted(accepting).await;
    if let Err(error) = &result {
        tracing::error!(target: "cepa::server", %error, "a listener failed");
    }
    drain(&floor, adopting, &mut stage).await;
    result
}

/// Says how this thread is, for as long as its event loop turns.
async fn beat(floor: &Floor, gauges: &Gauges, thread: usize) {
    loop {
        gauges.say(thread, floor.open.get(), floor.begun.get());
        tokio::time::sleep(BEAT).await;
    }
}

/// Waits until all accept loops have ended, as they do when the server drains, or one has failed.
async fn accepted(mut accepting: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    poll_fn(|cx| {
        let mut result = Ok(());
        accepting.retain_mut(|accepting| match Pin::new(accepting).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                let ended = ended.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                result = std::mem::replace(&mut result, Ok(())).and(ended);
                false
            }
        });
        if result.is_err() || accepting.is_empty() { Poll::Ready(result) } else { Poll::Pending }
    })
    .await
}

/// Accepts connections until the server drains; then, unless another process goes on with the socket, takes those that
/// wait in the backlog already, since closing it would reset them.
async fn accept(
    acceptor: Acceptor,
    door: Door,
    floor: &Rc<Floor>,
    most: usize,
    stage: Watch,
) -> io::Result<()> {
    let mut watch = stage.clone();
    let mut ending = pin!(watch.past(Stage::Serving));
    let mut ended = false;
    loop {
        let mut accepting = pin!(acceptor.accept());
        let accepted = poll_fn(|cx| {
            if let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
                return Poll::Ready(Some(accepted));
            }
            ended = ended || ending.as_mut().poll(cx).is_ready();
            if ended { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        let arrive = |accepted| {
            let arrival = Arrival::new(accepted, acceptor.local_addr());
            match Seat::take(floor, most) {
                Some(seat) => door::open(arrival, &door, floor, seat),
                None => door::refuse(&arrival, &door),
            }
        };
        match accepted {
            Some(accepted) => arrive(accepted?),
            None if stage.heir().is_some() => return Ok(()),
            None => {
                // Not by `accept`, which also waits when the runtime has not heard of a connection yet.
                std::iter::from_fn(|| acceptor.accept_waiting()).take(LONGEST_BACKLOG).for_each(arrive);
                return Ok(());
            }
        }
    }
}

/// Lets open connections finish for as long as the limits say.
async fn drain(floor: &Rc<Floor>, mut adopting: Option<JoinHandle<()>>, stage: &mut Watch) {
    floor.drain(stage.heir());
    let deadline = match Floor::limit(floor.limits.drain) {
        Some(time) => time,
        None => Duration::from_secs(u64::from(u32::MAX)),
    };
    let mut deadline = pin!(tokio::time::sleep(deadline));
    let mut cut = pin!(stage.past(Stage::Draining));
    poll_fn(|cx| {
        // First: what it brings at last is a connection more.
        if adopting.as_mut().is_some_and(|adopting| Pin::new(adopting).poll(cx).is_ready()) {
            adopting = None;
        }
        let empty = floor.poll_empty(cx).is_ready() && adopting.is_none();
        if empty || deadline.as_mut().poll(cx).is_ready() || cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    let deferred = floor.deferred.get();
    if deferred > 0 {
        tracing::warn!(target: "cepa::server", deferred, "deferred work was dropped at the end of the drain");
    }
    let left = floor.open.get();
    if left > 0 {
        tracing::warn!(target: "cepa::server", connections = left, "connections were cut at the end of the drain");
    }
}
