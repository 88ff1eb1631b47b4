//! The stream of new entries, over sockets.

use cepa_programs::needs;
use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use crate::fixture::{Served, Shelf};

/// curl, listening.
struct Listener {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listener {
    /// Returns once the stream has begun.
    fn new(book: &Served, arguments: &[&str], path: &str) -> Self {
        let mut child = book.command(arguments, path).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut listener = Self { child, lines };
        assert_eq!(listener.event(), ["retry: 2000"]);
        listener
    }

    /// The lines up to the next empty one; none at the end of the stream.
    fn event(&mut self) -> Vec<String> {
        self.lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
    }

    fn assert_hears(&mut self, id: u64, message: &str) {
        let event = self.event();
        assert_eq!(event[..2], ["event: entry".to_owned(), format!("id: {id}")]);
        assert!(event[2].starts_with("data: {") && event[2].contains(message), "{event:?}");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sign(book: &Served, message: &str) {
    let answer = book.curl(&["--data", "name=Ada", "--data-urlencode", &format!("message={message}")], "/");
    assert_eq!(answer.status(), 303);
}

#[test]
fn everybody_who_listens_hears_of_an_entry() {
    needs!("curl");
    let shelf = Shelf::new();
    let book = shelf.serve();
    sign(&book, "before anybody listened");
    let mut listeners = [(); 3].map(|()| Listener::new(&book, &[], "/live"));
    sign(&book, "two\nlines");
    sign(&book, "and another");
    for listener in &mut listeners {
        listener.assert_hears(2, r"two\nlines");
        listener.assert_hears(3, "and another");
    }
}

#[test]
fn who_was_cut_off_hears_what_was_missed() {
    needs!("curl");
    let shelf = Shelf::new();
    let book = shelf.serve();
    for message in ["one", "two", "three"] {
        sign(&book, message);
    }
    // What the browser says of itself is newer than what the page has said.
    let mut again = Listener::new(&book, &["--header", "Last-Event-ID: 2"], "/live?after=0");
    again.assert_hears(3, "three");
    let mut page = Listener::new(&book, &[], "/live?after=1");
    page.assert_hears(2, "two");
    page.assert_hears(3, "three");
    sign(&book, "four");
    again.assert_hears(4, "four");
    page.assert_hears(4, "four");
}

#[test]
fn the_stream_ends_when_the_server_stops() {
    needs!("curl");
    let shelf = Shelf::new();
    let book = shelf.serve();
    let mut listener = Listener::new(&book, &[], "/live");
    let started = Instant::now();
    book.running.stop().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "the stream has held up the drain");
    assert_eq!(listener.event(), [""; 0]);
    assert!(listener.child.wait().unwrap().success(), "the stream was cut, not ended");
}
