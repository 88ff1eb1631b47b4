//! Tests over a connection in memory, with time that jumps: what an app and a client see, then what an attacker gets.

mod abuse;
mod limits;
mod requests;
mod tunnel;

use std::{cell::Cell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use cepa_core::{App, Ctx, Peer};
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, LocalOptions},
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep},
};

use super::frames::{flag, kind};
use crate::{ends::Ends, floor::Floor, http1::PREFACE, limits::Limits};

/// Runs a test on a runtime as a worker thread has one, with a clock that jumps to the next timer.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test)
}

/// A served connection.
struct Served {
    floor: Rc<Floor>,
    /// Ends once the connection and its last handler have.
    door: JoinHandle<()>,
    begun: Instant,
}

impl Served {
    fn new(app: App, limits: Limits, buffer: usize) -> (Self, DuplexStream) {
        let (near, far) = duplex(buffer);
        let floor = Floor::new(app.build().unwrap(), Arc::new(limits), None);
        spawn_local(Rc::clone(&floor.timers).run());
        let ends = Rc::new(Ends { peer: Peer::None, local: None, tls: None });
        let door = spawn_local(super::serve(near, Vec::new(), Rc::clone(&floor), ends));
        (Self { floor, door, begun: Instant::now() }, far)
    }

    /// Waits for the end of the door; the seconds that it took since the beginning.
    async fn ended(self) -> u64 {
        tokio::time::timeout(Duration::from_secs(7200), self.door).await.expect("it ends").unwrap();
        self.begun.elapsed().as_secs()
    }
}

/// A polite client.
struct Client {
    served: Served,
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn new(app: App, limits: Limits) -> Self {
        Self::with(app, limits, &h2::client::Builder::new()).await
    }

    async fn with(app: App, limits: Limits, builder: &h2::client::Builder) -> Self {
        let (served, far) = Served::new(app, limits, 64 * 1024);
        let (send, connection) = builder.handshake(far).await.unwrap();
        let connection = spawn_local(connection);
        Self { served, send, connection }
    }

    /// Sends a request without a body.
    async fn get(&mut self, path: &str) -> ResponseFuture {
        let request = Request::get(format!("http://a.test{path}")).body(()).unwrap();
        self.request(request, true).await.0
    }

    async fn request(&mut self, request: Request<()>, end: bool) -> (ResponseFuture, h2::SendStream<Bytes>) {
        self.send = self.send.clone().ready().await.unwrap();
        self.send.send_request(request, end).unwrap()
    }

    async fn post(&mut self, path: &str) -> (ResponseFuture, h2::SendStream<Bytes>) {
        self.request(Request::post(format!("http://a.test{path}")).body(()).unwrap(), false).await
    }
}

/// Reads a whole response body, and the reason if it was reset.
async fn body(response: Response<h2::RecvStream>) -> (Vec<u8>, Option<h2::Reason>) {
    let (mut all, mut body) = (Vec::new(), response.into_body());
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                all.extend_from_slice(&data);
            }
            Err(error) => return (all, error.reason()),
        }
    }
    (all, None)
}

async fn text(response: ResponseFuture) -> (u16, String) {
    let response = response.await.unwrap();
    (response.status().as_u16(), String::from_utf8(body(response).await.0).unwrap())
}

/// A frame by hand.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// GET or POST of `/` at `a` as an HPACK block.
const GET: &[u8] = b"\x82\x84\x86\x01\x01a";
const POST: &[u8] = b"\x83\x84\x86\x01\x01a";

/// A request head in one frame.
fn request(stream: u32, block: &[u8], end: bool) -> Vec<u8> {
    let end = if end { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end, stream, block)
}

/// A client that sends what it likes.
struct Raw {
    io: DuplexStream,
    read: VecDeque<u8>,
}

/// A frame that came: its type, flags, stream, payload.
type Came = (u8, u8, u32, Vec<u8>);

impl Raw {
    /// A client that has sent its preface and these settings.
    async fn new(app: App, limits: Limits, settings: &[u8]) -> (Served, Self) {
        let (served, io) = Served::new(app, limits, 1 << 20);
        let mut raw = Self { io, read: VecDeque::new() };
        raw.send(PREFACE).await;
        raw.send(&frame(kind::SETTINGS, 0, 0, settings)).await;
        (served, raw)
    }

    /// Sends unless the server has closed.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    async fn fill(&mut self, length: usize) -> bool {
        while self.read.len() < length {
            let mut space = [0; 4096];
            match self.io.read(&mut space).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.read.extend(&space[..count]),
            }
        }
        true
    }

    /// The next frame; `None` at the end. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Option<Came> {
        if !self.fill(9).await {
            return None;
        }
        let number = |read: &VecDeque<u8>, at: usize, bytes: usize| {
            read.range(at..at + bytes).fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        let length = number(&self.read, 0, 3) as usize;
        if !self.fill(9 + length).await {
            return None;
        }
        let (kind, flags, stream) = (self.read[3], self.read[4], number(&self.read, 5, 4));
        self.read.drain(..9);
        Some((kind, flags, stream, self.read.drain(..length).collect()))
    }

    /// The error code of the last GOAWAY before the server closes, and all resets.
    async fn outcome(&mut self) -> (Option<u32>, Vec<(u32, u32)>) {
        let (mut goaway, mut resets) = (None, Vec::new());
        while let Some((kind, _, stream, payload)) = self.next().await {
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match kind {
                kind::GOAWAY => goaway = Some(code(4)),
                kind::RST_STREAM => resets.push((stream, code(0))),
                _ => {}
            }
        }
        (goaway, resets)
    }
}

/// An app whose handler for `/` waits for ever, and counts those that wait and the most that ever did.
fn parked() -> (App, Arc<Parked>) {
    let parked = Arc::new(Parked::default());
    let count = Arc::clone(&parked);
    let app = App::new();
    let handler = move |_: &mut Ctx| {
        let seat = Parked::sit(&count);
        async move {
            let _seat = seat;
            std::future::pending::<&'static str>().await
        }
    };
    (app.get("/", handler.clone()).post("/", handler), parked)
}

#[derive(Default)]
struct Parked {
    now: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
}

struct Sitting(Arc<Parked>);

impl Parked {
    fn sit(self: &Arc<Self>) -> Sitting {
        use std::sync::atomic::Ordering::Relaxed;
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
        Sitting(Arc::clone(self))
    }

    fn now(&self) -> usize {
        self.now.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn most(&self) -> usize {
        self.most.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
