//! What is being done, on standard error: one line that changes on a terminal, now and then a line elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use cepa_cluster::control::{Client, Role, State, Status};

/// How often the line on a terminal changes.
const FRAME: Duration = Duration::from_millis(100);
/// How often it is looked what has changed.
const LOOK: Duration = Duration::from_millis(500);
/// How often that is worth a line where lines stay.
const LINES: Duration = Duration::from_secs(5);

enum News<T> {
    /// What the cluster has said.
    Said(String),
    /// What was seen of it.
    Seen(String),
    Done(T),
}

/// Does something that takes its time, and shows meanwhile what it says and how the processes at the control socket do.
/// Gives what has come of it; `None` after the time `limit`.
pub(super) fn follow<T: Send + 'static>(
    doing: &str,
    control: PathBuf,
    limit: Option<Duration>,
    work: impl FnOnce(&mut dyn FnMut(&str)) -> T + Send + 'static,
) -> Option<T> {
    let (news, heard) = mpsc::channel();
    let seen = news.clone();
    // Neither is waited for: what hangs there must not keep this process.
    thread::spawn(move || {
        let done = work(&mut |text| drop(news.send(News::Said(text.to_owned()))));
        news.send(News::Done(done))
    });
    thread::spawn(move || look(&control, &seen));
    let mut line = Line::new(doing);
    loop {
        match heard.recv_timeout(FRAME) {
            Ok(News::Done(done)) => return Some(done),
            Ok(News::Said(text)) => line.said(text),
            Ok(News::Seen(text)) => line.seen(text),
            Err(RecvTimeoutError::Timeout) => line.show(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        if limit.is_some_and(|limit| line.began.elapsed() > limit) {
            return None;
        }
    }
}

/// Looks at a cluster until nobody wants to know.
fn look<T>(control: &PathBuf, news: &Sender<News<T>>) {
    loop {
        thread::sleep(LOOK);
        let status = Client::connect(control).and_then(|mut client| client.status());
        // It may not be there yet, or no longer.
        let text = status.map_or_else(|_| String::new(), |status| counts(&status));
        if news.send(News::Seen(text)).is_err() {
            return;
        }
    }
}

/// How many workers do what.
fn counts(status: &Status) -> String {
    let workers = || status.processes.iter().filter(|process| process.role == Role::Worker);
    let mut parts = Vec::new();
    for state in [State::Starting, State::Ready, State::Serving, State::Draining, State::Stopping] {
        let count = workers().filter(|process| process.state == state).count();
        if count > 0 {
            parts.push(format!("{count} {}", state.name()));
        }
    }
    let open: u64 =
        workers().filter(|process| process.state == State::Draining).map(|process| process.connections).sum();
    let draining = match open {
        0 => String::new(),
        1 => " with 1 connection".to_owned(),
        open => format!(" with {open} connections"),
    };
    match parts.is_empty() {
        true => String::new(),
        false => format!("workers: {}{draining}", parts.join(", ")),
    }
}

/// The line, which is gone when this is dropped.
struct Line {
    doing: String,
    latest: String,
    began: Instant,
    live: bool,
    /// When a line was last printed where lines stay.
    printed: Instant,
}

impl Line {
    fn new(doing: &str) -> Self {
        let live = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let now = Instant::now();
        Self { doing: doing.to_owned(), latest: String::new(), began: now, live, printed: now }
    }

    fn said(&mut self, text: String) {
        self.latest = text;
        match self.live {
            true => self.show(),
            false => self.print(),
        }
    }

    fn seen(&mut self, text: String) {
        let changed = text != self.latest && !text.is_empty();
        if changed {
            self.latest = text;
        }
        match self.live {
            true => self.show(),
            false if changed && self.printed.elapsed() > LINES => self.print(),
            false => {}
        }
    }

    fn text(&self) -> String {
        match self.latest.as_str() {
            "" => self.doing.clone(),
            latest => format!("{}: {latest}", self.doing),
        }
    }

    fn print(&mut self) {
        self.printed = Instant::now();
        // Nobody is left to be told that this cannot be printed.
        let _ = writeln!(io::stderr(), "{}", self.text());
    }

    fn show(&self) {
        if self.live {
            let seconds = self.began.elapsed().as_secs();
            // Without wrapping, so that it is one line that is written over.
            let _ = write!(io::stderr(), "\r\x1b[?7l\x1b[2K{} ({seconds} s)\x1b[?7h", self.text());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.live {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
