//! A loader: opens connections from an address of its own, and says when messages have reached them.

use std::{
    io::{self, BufRead, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::Duration,
};

use rustix::event::{Timespec, epoll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{delays::Delays, options::Kind};

/// Connections that are being made at the same time. More would only fill the server's backlog.
const AT_ONCE: usize = 256;
/// What stands before the time in a message.
const MARK: &[u8] = b"at=";
const DIGITS: usize = 20;

/// A connection.
struct Line {
    stream: TcpStream,
    stage: Stage,
    /// The stamp of the last message it was told, so that none is counted twice.
    last: u64,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// It has asked for something that is answered at once: only then the server has surely accepted it, and a backlog
    /// cannot overflow.
    Greeting,
    Parked,
}

/// All connections of this loader.
struct Lines {
    kind: Kind,
    /// The first of its four addresses.
    source: Ipv4Addr,
    target: SocketAddr,
    epoll: std::os::fd::OwnedFd,
    lines: Vec<Line>,
    wanted: usize,
    open: usize,
    buffer: Box<[u8]>,
    /// The message that is on its way.
    stamp: u64,
    heard: usize,
    delays: Delays,
}

pub fn load(kind: Kind, source: Ipv4Addr, target: SocketAddr) -> crate::Result {
    let flags = epoll::CreateFlags::CLOEXEC;
    let mut lines = Lines {
        kind,
        source,
        target,
        epoll: epoll::create(flags)?,
        lines: Vec::new(),
        wanted: 0,
        open: 0,
        buffer: vec![0; 64 << 10].into(),
        stamp: 0,
        heard: 0,
        delays: Delays::default(),
    };
    let orders = orders();
    let mut events = Vec::with_capacity(1024);
    loop {
        loop {
            match orders.try_recv() {
                Ok(order) => lines.obey(&order)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => std::process::exit(0),
            }
        }
        lines.open_more()?;
        events.clear();
        let wait = Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(5).as_nanos() as i64 };
        epoll::wait(&lines.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
        for event in &events {
            lines.ready(event.data.u64() as usize, event.flags)?;
        }
    }
}

/// The lines of standard input.
fn orders() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Lines {
    fn obey(&mut self, order: &str) -> crate::Result {
        match order.split_once(' ') {
            Some(("connect", count)) => {
                self.wanted = count.parse()?;
                self.lines.reserve_exact(self.wanted);
                Ok(())
            }
            _ => Err(format!("{order:?} is not known here").into()),
        }
    }

    fn open_more(&mut self) -> crate::Result {
        while self.lines.len() < self.wanted && self.lines.len() - self.open < AT_ONCE {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            // It ends with a reset, which leaves nothing behind that the next run would have to search its ports past.
            socket.set_linger(Some(Duration::ZERO))?;
            socket.bind(&SocketAddr::from((self.source(), 0)).into())?;
            match socket.connect(&self.target.into()) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                    return Err(format!("connection {}: {error}", self.lines.len()).into());
                }
                _ => {}
            }
            let stream = TcpStream::from(socket);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(self.lines.len() as u64), flags)?;
            self.lines.push(Line { stream, stage: Stage::Connecting, last: 0 });
        }
        Ok(())
    }

    /// The source of the next connection. An address has some 28,000 ports, of which the second half is slow to find.
    fn source(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.source.octets();
        Ipv4Addr::new(a, b, c, d + (self.lines.len() % 4) as u8)
    }

    fn ready(&mut self, at: usize, flags: epoll::EventFlags) -> crate::Result {
        let line = &mut self.lines[at];
        if line.stage == Stage::Connecting {
            if let Some(error) = line.stream.take_error()? {
                return Err(format!("connection {at}: {error}").into());
            }
            if !flags.contains(epoll::EventFlags::OUT) {
                return Ok(());
            }
            line.stage = Stage::Greeting;
            self.ask(at, "/hello")?;
        }
        self.read(at)
    }

    /// The server has answered the greeting: what is asked for now is not answered before there is a message.
    fn park(&mut self, at: usize) -> crate::Result {
        self.lines[at].stage = Stage::Parked;
        self.ask(at, "/live")?;
        self.open += 1;
        if self.open == self.wanted {
            println!("connected {}", self.open);
        }
        Ok(())
    }

    /// Sends a request; a few bytes, which a socket that nothing waits in takes.
    fn ask(&mut self, at: usize, path: &str) -> io::Result<()> {
        let upgrade = match (self.kind, path) {
            (Kind::Ws, "/live") => {
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
            _ => "",
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{upgrade}\r\n", self.target);
        self.lines[at].stream.write_all(request.as_bytes())
    }

    fn read(&mut self, at: usize) -> crate::Result {
        loop {
            let read = match self.lines[at].stream.read(&mut self.buffer) {
                Ok(0) => return Err(format!("connection {at} was closed").into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("connection {at}: {error}").into()),
            };
            let bytes = &self.buffer[..read];
            if bytes.starts_with(b"HTTP/1.1 ") && !matches!(&bytes[9..12], b"200" | b"101") {
                return Err(format!("connection {at}: {}", String::from_utf8_lossy(bytes)).into());
            }
            if self.lines[at].stage == Stage::Greeting {
                self.park(at)?;
                continue;
            }
            // A ping without a payload, which is how the server pings.
            if self.kind == Kind::Ws && bytes == [0x89, 0] {
                self.lines[at].stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0])?;
            }
            if let Some(stamp) = stamp(bytes) {
                self.hear(at, stamp)?;
            }
        }
    }

    fn hear(&mut self, at: usize, stamp: u64) -> crate::Result {
        let line = &mut self.lines[at];
        if stamp <= line.last {
            return Err(format!("connection {at} was told twice").into());
        }
        line.last = stamp;
        if stamp > self.stamp {
            (self.stamp, self.heard, self.delays) = (stamp, 0, Delays::default());
        }
        self.heard += 1;
        self.delays.add(crate::now() - stamp);
        if self.kind == Kind::Poll {
            self.ask(at, "/live")?;
        }
        if self.heard == self.wanted {
            println!("heard {} {}", self.stamp, self.delays);
        }
        Ok(())
    }
}

/// The time in a piece of a stream, if a message is in it. Messages are short, and the server writes each at once.
fn stamp(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(MARK.len()).rposition(|window| window == MARK)? + MARK.len();
    std::str::from_utf8(bytes.get(at..at + DIGITS)?).ok()?.parse().ok()
}
