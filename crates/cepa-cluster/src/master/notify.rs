//! What the service manager is told: that the cluster is ready, reloads, stops, lives; `sd_notify(3)`.

use std::{env, os::unix::net::UnixDatagram, process, time::Duration};

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

/// A service manager that wants to be told; or none.
#[derive(Debug, Default)]
pub(super) struct Notify {
    socket: Option<UnixDatagram>,
    /// It wants a sign of life at least so often.
    watchdog: Option<Duration>,
}

impl Notify {
    /// The manager that has started this process.
    pub(super) fn of_process() -> Self {
        let Some(name) = env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let variable = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_meant = variable("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = variable("WATCHDOG_USEC").filter(|_| is_meant).map(Duration::from_micros);
        Self { socket: connect(&name), watchdog }
    }

    pub(super) fn ready(&self) {
        self.send("READY=1\n");
    }

    /// A reload begins; [`ready`](Self::ready) ends it.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// Once a second.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1\n");
        }
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket {
            // A manager that does not listen cannot be told so.
            let _ = socket.send(text.as_bytes());
        }
    }
}

fn connect(name: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    match name.strip_prefix('@') {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?,
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Some(_) => return None,
        None => socket.connect(name).ok()?,
    }
    Some(socket)
}
