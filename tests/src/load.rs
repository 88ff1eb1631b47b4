//! Constant load by clients that check every answer, on connections that they keep and on fresh ones.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{http::Failure, wire::Wire};

/// Connections that each client keeps, and uses in turn: most of them are idle at any time.
const KEPT: usize = 8;

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    over: Arc<AtomicBool>,
    record: Arc<Record>,
    clients: Vec<JoinHandle<()>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Record {
    answered: AtomicU64,
    lost: Mutex<Vec<Lost>>,
    pids: Mutex<BTreeSet<u32>>,
    /// Nanoseconds.
    slowest: AtomicU64,
}

/// A request that was not answered as it should have been.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Nobody took the connection.
    pub refused: bool,
    /// The process that has answered on this connection before, if one has.
    pub pid: Option<u32>,
    /// From when to when.
    pub time: (Instant, Instant),
    /// What came instead.
    pub what: String,
}

impl Lost {
    /// Whether it was in a process that was killed at a time, as far as its client can know.
    pub fn was_in(&self, (pid, at): (u32, Instant)) -> bool {
        if self.refused {
            return false;
        }
        match self.pid {
            Some(before) => before == pid,
            // Asking for the process and killing it are not one moment.
            None => self.time.0 <= at + Duration::from_millis(100) && at <= self.time.1,
        }
    }
}

/// What clients have seen.
#[derive(Debug)]
pub struct Seen {
    /// Requests that were answered as they should be.
    pub answered: u64,
    /// Those that were not.
    pub lost: Vec<Lost>,
    /// The processes that have answered.
    pub pids: BTreeSet<u32>,
    /// The longest that an answer took, connecting included.
    pub slowest: Duration,
    /// How long it lasted.
    pub time: Duration,
}

impl Load {
    /// Begins with so many clients that keep connections, and so many that make a fresh one for each request.
    pub fn start(address: SocketAddr, keeping: usize, fresh: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let record = Arc::new(Record::default());
        let clients = (0..keeping + fresh)
            .map(|client| {
                let (over, record) = (Arc::clone(&over), Arc::clone(&record));
                let kept = if client < keeping { KEPT } else { 0 };
                thread::spawn(move || run(client, address, kept, &over, &record))
            })
            .collect();
        Self { over, record, clients, started: Instant::now() }
    }

    /// Requests that were answered so far.
    pub fn answered(&self) -> u64 {
        self.record.answered.load(Relaxed)
    }

    /// Ends, and says what the clients have seen.
    ///
    /// # Panics
    /// When a client has.
    pub fn end(self) -> Seen {
        self.over.store(true, Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let time = self.started.elapsed();
        let record = &self.record;
        let lost = record.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pids = record.pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let slowest = Duration::from_nanos(record.slowest.load(Relaxed));
        Seen { answered: record.answered.load(Relaxed), lost, pids, slowest, time }
    }
}

/// A connection, and the process that has answered on it.
type Kept = Option<(Wire, Option<u32>)>;

fn run(client: usize, address: SocketAddr, kept: usize, over: &AtomicBool, record: &Record) {
    let mut connections: Vec<Kept> = (0..kept.max(1)).map(|_| None).collect();
    let mut known = BTreeSet::new();
    for number in 0_usize.. {
        if over.load(Relaxed) {
            break;
        }
        let at = number % connections.len();
        let started = Instant::now();
        let taken = connections[at].take();
        let before = taken.as_ref().and_then(|(_, pid)| *pid);
        let lost =
            |refused, what: String| Lost { refused, pid: before, time: (started, Instant::now()), what };
        let wire = match taken {
            Some((wire, _)) => Ok(wire),
            None => Wire::connect(address),
        };
        let asked = match wire {
            Ok(mut wire) => ask(&mut wire, client, number, kept == 0).map(|answer| (wire, answer)),
            Err(error) => {
                record.lose(lost(true, error.to_string()));
                continue;
            }
        };
        match asked {
            Ok((wire, Answer { pid, keeps, is_right: true, .. })) => {
                record.answered.fetch_add(1, Relaxed);
                record.slowest.fetch_max(started.elapsed().as_nanos() as u64, Relaxed);
                if known.insert(pid) {
                    record.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
                }
                if kept > 0 && keeps {
                    connections[at] = Some((wire, Some(pid)));
                }
            }
            Ok((_, answer)) => record.lose(lost(false, format!("another answer: {}", answer.text))),
            Err(failure) => record.lose(lost(false, failure.to_string())),
        }
    }
}

impl Record {
    fn lose(&self, lost: Lost) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
    }
}

struct Answer {
    pid: u32,
    keeps: bool,
    is_right: bool,
    text: String,
}

/// Sends a request that only one answer fits, and reads it.
fn ask(wire: &mut Wire, client: usize, number: usize, close: bool) -> Result<Answer, Failure> {
    let body = format!("{client}-{number}");
    let connection = if close { "connection: close\r\n" } else { "" };
    // Some are at work for a while, so that there is always one that a drain finds at work.
    let path = if number.is_multiple_of(16) { "/echo?ms=10" } else { "/echo" };
    let length = body.len();
    wire.try_send(format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\n{connection}content-length: {length}\r\n\r\n{body}"
    ))?;
    let response = wire.try_response(false)?;
    let pid = response.all("x-pid").next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
    let is_right = response.status == 200 && response.text() == body && pid > 0;
    let keeps = !response.lists("connection", "close");
    Ok(Answer { pid, keeps, is_right, text: format!("{} {}", response.status, response.text()) })
}

/// Load by wrk, which knows nothing of all this.
#[derive(Debug)]
pub struct Wrk(Child);

impl Wrk {
    /// Starts it, for so many seconds; `None` where it is missing.
    pub fn start(address: SocketAddr, seconds: u32) -> Option<Self> {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "-c32", &format!("-d{seconds}s"), &format!("http://{address}/")]);
        wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().ok().map(Self)
    }

    /// Waits for its end; what it says, and whether it has seen no error.
    pub fn end(self) -> (String, bool) {
        let output = self.0.wait_with_output().map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&output).into_owned();
        let wanted = ["requests in", "Socket errors", "Non-2xx"];
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| wanted.iter().any(|wanted| line.contains(wanted)))
            .collect();
        // Its errors have lines of their own, which are not there without any.
        let clean = matches!(lines[..], [requests] if requests.contains("requests in"));
        (format!("{}{}", lines.join(", "), if clean { ", no errors" } else { "" }), clean)
    }
}
