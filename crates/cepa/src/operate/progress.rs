//! What is being done, on standard error: one line that changes on a terminal, now and then a line elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Write},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use cepa_cluster::control::{Client, Role, State, Status};

use super::pause;

/// How often the line on a terminal changes.
const FRAME: Duration = Duration::from_millis(100);
/// How often it is looked what has changed.
const LOOK: Duration = Duration::from_millis(500);
/// How often that is worth a line where lines stay.
const LINES: Duration = Duration::from_secs(5);

enum News {
    /// What the cluster has said.
    Said(String),
    /// What was seen of it.
    Seen(String),
    /// There is no more to come.
    Done,
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
    let worker = thread::spawn(move || {
        let done = work(&mut |text| drop(news.send(News::Said(text.to_owned()))));
        let _ = news.send(News::Done);
        done
    });
    thread::spawn(move || look(&control, &seen));
    let mut line = Line::new(doing);
    loop {
        match heard.recv_timeout(FRAME) {
            Ok(News::Said(text)) => line.said(text),
            Ok(News::Seen(text)) => line.seen(text),
            Err(RecvTimeoutError::Timeout) if !worker.is_finished() => line.show(),
            Ok(News::Done) | Err(_) => {
                let done = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
                return Some(done);
            }
        }
        if limit.is_some_and(|limit| line.began.elapsed() > limit) {
            return None;
        }
    }
}

/// Looks at a cluster until nobody wants to know.
fn look(control: &Path, news: &Sender<News>) {
    loop {
        pause(LOOK);
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
    /// What is on the terminal, or was last printed.
    shown: String,
    /// When a line was last printed where lines stay.
    printed: Instant,
}

impl Line {
    fn new(doing: &str) -> Self {
        let live = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let now = Instant::now();
        Self {
            doing: doing.to_owned(),
            latest: String::new(),
            began: now,
            live,
            shown: String::new(),
            printed: now,
        }
    }

    fn said(&mut self, text: String) {
        self.latest = text;
        match self.live {
            true => self.show(),
            false => self.print(),
        }
    }

    fn seen(&mut self, text: String) {
        if !text.is_empty() {
            self.latest = text;
        }
        match self.live {
            true => self.show(),
            false if self.text() != self.shown && self.printed.elapsed() > LINES => self.print(),
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
        (self.printed, self.shown) = (Instant::now(), self.text());
        // Nobody is left to be told that this cannot be printed.
        let _ = writeln!(io::stderr(), "{}", self.shown);
    }

    fn show(&mut self) {
        let text = match self.began.elapsed().as_secs() {
            0 => self.text(),
            seconds => format!("{} ({seconds} s)", self.text()),
        };
        if self.live && text != self.shown {
            // Without wrapping, so that it is one line that is written over.
            let _ = write!(io::stderr(), "\r\x1b[?7l\x1b[2K{text}\x1b[?7h");
            self.shown = text;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.live && !self.shown.is_empty() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(workers: &[(&str, u64)]) -> Status {
        let worker = |(state, connections): &(&str, u64)| {
            json!({
                "role": "worker", "slot": 0, "pid": 1, "generation": 1, "state": state, "uptime_s": 0,
                "connections": connections, "requests": 0, "requests_per_s": 0, "memory_bytes": 0, "restarts": 0,
            })
        };
        let processes: Vec<Value> = workers.iter().map(worker).collect();
        let master = json!({"pid": 1, "uptime_s": 0, "version": "1", "listen": [], "memory_bytes": 0});
        serde_json::from_value(json!({"master": master, "generation": 1, "processes": processes})).unwrap()
    }

    #[test]
    fn workers_are_counted_by_what_they_do() {
        for (workers, text) in [
            (&[][..], ""),
            (&[("starting", 0), ("starting", 0)], "workers: 2 starting"),
            (&[("serving", 7), ("draining", 1)], "workers: 1 serving, 1 draining with 1 connection"),
            (
                &[("draining", 2), ("ready", 0), ("draining", 3)],
                "workers: 1 ready, 2 draining with 5 connections",
            ),
        ] {
            assert_eq!(counts(&status(workers)), text);
        }
    }

    #[test]
    fn what_takes_too_long_is_not_waited_for() {
        let nowhere = || PathBuf::from("/no/such/socket");
        let done = follow("doing", nowhere(), Some(Duration::from_secs(60)), |said| {
            said("at work");
            7
        });
        assert_eq!(done, Some(7));
        let limit = Some(Duration::from_millis(50));
        let never = follow("doing", nowhere(), limit, |_| {
            loop {
                thread::park();
            }
        });
        assert_eq!(never, None::<()>);
        let panics = || follow("doing", nowhere(), None, |_| panic!("a fault"));
        assert!(std::panic::catch_unwind(panics).is_err());
    }
}
