//! Telling a supervisor how the service is, as sd_notify(3) and systemd.service(5) describe.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    process,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tracing::debug;

/// How long a supervisor that does not read is waited for.
const PATIENCE: Duration = Duration::from_millis(250);

/// A supervisor, such as systemd, that wants to be told how the service is; or none.
///
/// What cannot be told is left out: a supervisor that does not listen is no reason not to serve.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// That of this process, by the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn of_process() -> Self {
        Self::new(env::var_os)
    }

    fn new(variable: impl Fn(&'static str) -> Option<OsString>) -> Self {
        let socket = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let opened = address(&name).and_then(|address| Ok((open()?, address)));
            opened.inspect_err(|error| debug!(target: "cepa::cluster", %error, "NOTIFY_SOCKET")).ok()
        });
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // Of another process when this was started by one that is watched.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&time| ours && time > 0 && socket.is_some());
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How often to [`beat`](Self::beat): half of the time after which the supervisor takes the service for dead.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    /// The service is started, or reloaded.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={}", process::id(), one_line(status)));
    }

    /// The service reloads; [`ready`](Self::ready) ends that, whether or not it has succeeded.
    pub fn reloading(&self, status: &str) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS={}", one_line(status)));
    }

    /// The service ends.
    pub fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// What the service does, for people.
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", one_line(status)));
    }

    /// The service is alive.
    pub fn beat(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            debug!(target: "cepa::cluster", %error, "the supervisor was not told: {state}");
        }
    }
}

/// A line of a state ends where the text does.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "no address of a Unix socket")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "NOTIFY_SOCKET";

    fn supervisor(variables: &[(&str, &str)]) -> Supervisor {
        Supervisor::new(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut text = [0; 1024];
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_state_is_what_systemd_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let supervisor = supervisor(&[(NAME, path.to_str().unwrap())]);
        assert!(supervisor.is_there());

        supervisor.ready("4 workers\nREADY=0");
        let pid = process::id();
        assert_eq!(receive(&socket), format!("READY=1\nMAINPID={pid}\nSTATUS=4 workers READY=0"));
        supervisor.stopping("bye");
        assert_eq!(receive(&socket), "STOPPING=1\nSTATUS=bye");
        supervisor.status("at work");
        assert_eq!(receive(&socket), "STATUS=at work");
        supervisor.beat();
        assert_eq!(receive(&socket), "WATCHDOG=1");

        let clock = || {
            let now = clock_gettime(ClockId::Monotonic);
            now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
        };
        let before = clock();
        supervisor.reloading("new workers");
        let text = receive(&socket);
        let time =
            text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().strip_suffix("\nSTATUS=new workers");
        assert!((before..=clock()).contains(&time.unwrap().parse().unwrap()), "{text}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_may_have_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("cepa-sd-notify-{}", process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        supervisor(&[(NAME, &format!("@{name}"))]).beat();
        assert_eq!(receive(&socket), "WATCHDOG=1");
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        for variables in [&[][..], &[(NAME, "")], &[(NAME, "vsock:2:99")], &[(NAME, "relative")]] {
            assert!(!supervisor(variables).is_there());
            supervisor(variables).beat();
        }
        let gone = supervisor(&[(NAME, "/no/such/socket")]);
        assert!(gone.is_there());
        gone.ready("all is well");
    }

    #[test]
    fn a_supervisor_that_does_not_read_is_not_waited_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _socket = UnixDatagram::bind(&path).unwrap();
        let supervisor = supervisor(&[(NAME, path.to_str().unwrap())]);
        let (socket, address) = supervisor.socket.as_ref().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.send_to_addr(b"STATUS=", address).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        supervisor.beat();
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let pid = process::id().to_string();
        for (usec, owner, every) in [
            ("4000000", None, Some(Duration::from_secs(2))),
            ("4000000", Some(&*pid), Some(Duration::from_secs(2))),
            ("4000000", Some("1"), None),
            ("0", None, None),
            ("soon", None, None),
        ] {
            let mut variables = vec![(NAME, "/no/such/socket"), ("WATCHDOG_USEC", usec)];
            variables.extend(owner.map(|owner| ("WATCHDOG_PID", owner)));
            assert_eq!(supervisor(&variables).watchdog(), every, "{usec} {owner:?}");
        }
        assert_eq!(supervisor(&[("WATCHDOG_USEC", "4000000")]).watchdog(), None);
    }
}
