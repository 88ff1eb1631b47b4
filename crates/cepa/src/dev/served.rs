//! The side of the program that `dev` runs: it serves on the sockets that it is given, and says how that goes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    panic,
    sync::{Arc, OnceLock},
    thread,
};

use cepa_core::{App, AppHandler, BuildError, Onion};
use cepa_server::{ServerConfig, Stopper, listen::Address};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::watch;

use super::{
    line::{self, LONGEST, Order, Report, State},
    page::Pages,
};

/// A program that `dev` runs.
pub(crate) struct Served {
    line: UnixStream,
    sockets: BTreeMap<String, i32>,
    state: watch::Receiver<State>,
    stopper: Arc<OnceLock<Stopper>>,
}

/// What the process is from its start to its end, if `dev` has started it.
static SERVED: OnceLock<Served> = OnceLock::new();

/// How `dev` has this process serve; `None` if it was not started by it.
pub(crate) fn served() -> Option<&'static Served> {
    SERVED.get()
}

/// Takes the line from the standard input, and waits for the first order.
///
/// # Errors
/// There is no `dev` on it.
pub(crate) fn open() -> io::Result<()> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // What the app runs in its turn, or reads by itself, is not on the line.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut orders = BufReader::new(line.try_clone()?);
    let Some(Order::Begin { sockets, state }) = next(&mut orders)? else {
        return Err(io::Error::other("this command is for `dev`, which says how to serve"));
    };
    let (states, state) = watch::channel(state);
    let stopper = Arc::default();
    let end = Arc::clone(&stopper);
    thread::Builder::new().name("dev".to_owned()).spawn(move || obey(&mut orders, &states, &end))?;
    if SERVED.set(Served { line, sockets, state, stopper }).is_ok() {
        tell_panics();
    }
    Ok(())
}

impl Served {
    /// Has the server take the sockets that `dev` keeps, instead of binding the addresses.
    pub(crate) fn listen(&self, config: &mut ServerConfig) {
        for listen in &mut config.listen {
            if let Some(number) = self.sockets.get(&listen.address.to_string()) {
                listen.address = Address::Fd(*number);
            }
        }
    }

    /// The app with what pages know in `dev`.
    pub(crate) fn around(&self, onion: Arc<Onion>) -> Result<Arc<Onion>, BuildError> {
        App::new().with(Pages { app: AppHandler::from(onion), state: self.state.clone() }).build()
    }

    /// Says what is to end when `dev` says so, or has gone.
    pub(crate) fn stops(&self, stopper: Stopper) {
        // Set once, by the one server of the program.
        let _ = self.stopper.set(stopper);
    }

    /// Tells that the app is served.
    pub(crate) fn ready(&self) {
        self.report(&Report::Ready);
    }

    /// Tells why it is not, or no more.
    pub(crate) fn failed(&self, why: &str) {
        let text = why.chars().take(64 * 1024).collect();
        self.report(&Report::Failed { why: text });
    }

    fn report(&self, report: &Report) {
        // If `dev` has gone, so will this program.
        let _ = (&self.line).write_all(&line::line(report));
    }
}

/// Tells of panics of the thread with which the program ends, beside what is done with them anyway.
fn tell_panics() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if let Some(served) = served().filter(|_| thread::current().name() == Some("main")) {
            served.failed(&panic.to_string());
        }
        told(panic);
    }));
}

/// The next order; `None` at the end of the line.
fn next(orders: &mut impl BufRead) -> io::Result<Option<Order>> {
    let mut text = Vec::new();
    orders.take(LONGEST).read_until(b'\n', &mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Does what `dev` says; without it there is nothing to serve for.
fn obey(orders: &mut impl BufRead, states: &watch::Sender<State>, stopper: &OnceLock<Stopper>) {
    loop {
        match next(orders) {
            Ok(Some(Order::State(state))) => drop(states.send_replace(state)),
            Ok(Some(Order::Cut)) => stopper.get().map(Stopper::cut).unwrap_or_default(),
            Ok(Some(Order::Begin { .. } | Order::Unknown)) => {}
            Ok(Some(Order::Drain)) => end(stopper),
            Ok(None) | Err(_) => return end(stopper),
        }
    }
}

fn end(stopper: &OnceLock<Stopper>) {
    match stopper.get() {
        Some(stopper) => stopper.drain(),
        // It is only starting, and knows what to do about a signal then. Nobody else can say so.
        None => drop(kill_process(getpid(), Signal::TERM)),
    }
}
