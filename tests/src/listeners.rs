//! Clients that wait for what happens, by the thousand: none may be dropped, nothing be lost or come twice.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, LocalOptions},
    sync::oneshot,
    task::spawn_local,
    time::sleep,
};

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Streams of events.
    pub streams: usize,
    /// Long polls, each of which is asked again when it is answered.
    pub polls: usize,
    /// WebSockets.
    pub sockets: usize,
}

/// Clients of the program `parked`, and one who says numbers.
#[derive(Debug)]
pub struct Listeners {
    heard: Arc<Tally>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What they have heard, in sum.
#[derive(Debug, Default)]
struct Tally {
    heard: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    dropped: AtomicU64,
    unsaid: AtomicU64,
    longest: Mutex<Duration>,
    faults: Mutex<Vec<String>>,
}

/// What clients have heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Numbers, of all clients.
    pub heard: u64,
    /// Those that a client has not heard.
    pub lost: u64,
    /// Those that it has heard again.
    pub doubled: u64,
    /// Connections that the server has ended.
    pub dropped: u64,
    /// Numbers that could not be said.
    pub unsaid: u64,
    /// The longest time without a number on a stream or a WebSocket.
    pub longest: Duration,
    /// What has gone wrong first.
    pub faults: Vec<String>,
}

impl Heard {
    /// Whether everybody has heard everything once.
    pub fn is_all(&self) -> bool {
        (self.lost, self.doubled, self.dropped, self.unsaid) == (0, 0, 0, 0) && self.heard > 0
    }
}

impl Tally {
    fn fault(&self, what: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < 5 {
            faults.push(what);
        }
    }
}

impl Listeners {
    /// Connects all, and begins to say a number each time that `between` has passed, and for the polls one each 100 ms.
    ///
    /// # Panics
    /// When a client cannot connect.
    pub fn start(to: SocketAddr, counts: Counts, between: Duration) -> Self {
        let (heard, ends) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let (all_there, wait) = oneshot::channel();
        let (tally, told) = (Arc::clone(&heard), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().build_local(LocalOptions::default()).expect("a runtime");
            runtime.block_on(run(to, counts, between, all_there, tally, told));
        });
        let _ = wait.blocking_recv();
        Self { heard, ends, thread }
    }

    /// How many numbers were heard by now.
    pub fn heard(&self) -> u64 {
        self.heard.heard.load(Relaxed)
    }

    /// Ends all.
    ///
    /// # Panics
    /// When a client could not connect.
    pub fn end(self) -> Heard {
        self.ends.store(true, Relaxed);
        self.thread.join().expect("all have connected");
        let of = |count: &AtomicU64| count.load(Relaxed);
        let tally = &self.heard;
        Heard {
            heard: of(&tally.heard),
            lost: of(&tally.lost),
            doubled: of(&tally.doubled),
            dropped: of(&tally.dropped),
            unsaid: of(&tally.unsaid),
            longest: *tally.longest.lock().unwrap_or_else(PoisonError::into_inner),
            faults: tally.faults.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

async fn run(
    to: SocketAddr,
    counts: Counts,
    between: Duration,
    all_there: oneshot::Sender<()>,
    tally: Arc<Tally>,
    ends: Arc<AtomicBool>,
) {
    let kinds = [(Kind::Stream, counts.streams), (Kind::Poll, counts.polls), (Kind::Socket, counts.sockets)];
    for (kind, count) in kinds {
        for _ in 0..count {
            let listener = Listener::connect(to, kind, Arc::clone(&tally)).await.expect("the server answers");
            spawn_local(listener.listen());
        }
    }
    // Those who came last are subscribed by then.
    sleep(Duration::from_millis(200)).await;
    let _ = all_there.send(());
    let say = async |queue: &'static str, between| {
        let said = say(to, queue, between, &ends).await;
        if let Err(error) = said {
            tally.unsaid.fetch_add(1, Relaxed);
            tally.fault(format!("{queue}: {error}"));
        }
    };
    tokio::join!(say("events", between), say("polls", Duration::from_millis(100)));
    // What was said last arrives.
    sleep(Duration::from_millis(300)).await;
}

/// Says the numbers from 1 on, each once the one before is answered.
async fn say(to: SocketAddr, queue: &str, between: Duration, ends: &AtomicBool) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    for number in 1_u64.. {
        if ends.load(Relaxed) {
            break;
        }
        let request = format!("POST /say/{queue}/{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nsaid") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&answer)));
        }
        sleep(between).await;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    Poll,
    Socket,
}

/// A client.
struct Listener {
    stream: TcpStream,
    kind: Kind,
    tally: Arc<Tally>,
    /// What came and is not understood yet.
    came: Vec<u8>,
    last: u64,
    last_at: Option<Instant>,
}

impl Listener {
    async fn connect(to: SocketAddr, kind: Kind, tally: Arc<Tally>) -> io::Result<Self> {
        let mut this = Self {
            stream: TcpStream::connect(to).await?,
            kind,
            tally,
            came: Vec::new(),
            last: 0,
            last_at: None,
        };
        match kind {
            Kind::Stream => this.ask("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await?,
            Kind::Poll => this.poll("").await?,
            Kind::Socket => {
                let head = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
                this.ask(&format!("GET /socket HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n")).await?;
            }
        }
        if kind != Kind::Poll {
            this.head().await?;
        }
        Ok(this)
    }

    async fn ask(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(request.as_bytes()).await
    }

    async fn poll(&mut self, after: &str) -> io::Result<()> {
        self.ask(&format!("GET /poll?after={after} HTTP/1.1\r\nhost: a\r\n\r\n")).await
    }

    async fn listen(mut self) {
        let Err(error) = match self.kind {
            Kind::Stream => self.events().await,
            Kind::Poll => self.polls().await,
            Kind::Socket => self.frames().await,
        };
        self.tally.dropped.fetch_add(1, Relaxed);
        self.tally.fault(format!("{:?} after {}: {error}", self.kind, self.last));
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.came).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The head of an answer.
    async fn head(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.came.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.came[..end]).into_owned();
                self.came.drain(..end + 4);
                return Ok(head);
            }
            self.read().await?;
        }
    }

    /// So many bytes.
    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.came.len() < length {
            self.read().await?;
        }
        Ok(self.came.drain(..length).collect())
    }

    /// A chunk; none is the end.
    async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let end = loop {
            match self.came.windows(2).position(|bytes| bytes == b"\r\n") {
                Some(end) => break end,
                None => self.read().await?,
            }
        };
        let head = self.take(end + 2).await?;
        let size =
            std::str::from_utf8(&head[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| io::Error::other(format!("{head:?} is no chunk")))?;
        let mut data = self.take(size + 2).await?;
        if !data.ends_with(b"\r\n") {
            return Err(io::Error::other("a chunk goes on behind its end"));
        }
        data.truncate(size);
        Ok(data)
    }

    async fn events(&mut self) -> io::Result<std::convert::Infallible> {
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Err(io::Error::other("the stream has ended"));
            }
            let text = String::from_utf8_lossy(&chunk).into_owned();
            for line in text.lines() {
                match line.strip_prefix("data: ").map(str::parse) {
                    Some(Ok(number)) => self.hear(number),
                    Some(Err(_)) => self.tally.fault(text.clone()),
                    None => {}
                }
            }
        }
    }

    async fn polls(&mut self) -> io::Result<std::convert::Infallible> {
        loop {
            let head = self.head().await?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let body = match length {
                Some(length) => self.take(length).await?,
                None => {
                    let body = self.chunk().await?;
                    let _end = self.chunk().await?;
                    body
                }
            };
            let answer: serde_json::Value = serde_json::from_slice(&body)?;
            for message in answer["messages"].as_array().into_iter().flatten() {
                self.hear(message["data"].as_u64().unwrap_or(0));
            }
            let after = answer["id"].as_str().unwrap_or_default().to_owned();
            self.last_at = None;
            self.poll(&after).await?;
        }
    }

    async fn frames(&mut self) -> io::Result<std::convert::Infallible> {
        loop {
            let head = self.take(2).await?;
            let payload = self.take(usize::from(head[1])).await?;
            match head[0] {
                0x81 => {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    match text.strip_prefix("event ").map(str::parse) {
                        Some(Ok(number)) => self.hear(number),
                        _ => self.tally.fault(text),
                    }
                }
                // A ping, which is not answered: no test is that long.
                0x89 => {}
                other => return Err(io::Error::other(format!("a frame {other:x} {payload:?}"))),
            }
        }
    }

    fn hear(&mut self, number: u64) {
        self.tally.heard.fetch_add(1, Relaxed);
        if let Some(before) = self.last_at.replace(Instant::now()) {
            let mut longest = self.tally.longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = before.elapsed().max(*longest);
        }
        if number <= self.last {
            self.tally.doubled.fetch_add(1, Relaxed);
            self.tally.fault(format!("{:?}: {number} after {}", self.kind, self.last));
            return;
        }
        let lost = if self.last == 0 { 0 } else { number - self.last - 1 };
        if lost > 0 {
            self.tally.lost.fetch_add(lost, Relaxed);
            self.tally.fault(format!("{:?}: {number} after {}", self.kind, self.last));
        }
        self.last = number;
    }
}
