//! A certificate authority for a test: Pebble, with the DNS server that it asks, which finds every name on this machine.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use cepa_server::tls::self_signed;
use serde_json::json;
use tempfile::TempDir;

use crate::stats::eventually;

/// A port of 127.0.0.1 that nobody listens on: outside of those that the system gives away, and each only once, so that
/// nobody takes it before the program that is told of it.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    let ports = std::iter::repeat_with(|| 20_000 + first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % 10_000);
    let mut ports = ports.take(10_000).filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("there is a free port")
}

/// How an authority is to be.
#[derive(Debug)]
pub struct Authority {
    /// Where it asks for http-01.
    pub http: u16,
    /// Where it asks for tls-alpn-01.
    pub tls: u16,
    /// Seconds that its certificates are valid.
    pub validity: u32,
    /// Of 100 nonces that are good, how many it takes for bad ones.
    pub bad_nonces: u32,
    /// The external accounts that it knows, by identifier, with keys in base64url; if there are any, it wants one.
    pub external: BTreeMap<String, String>,
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            http: free_port(),
            tls: free_port(),
            validity: 90 * 86_400,
            bad_nonces: 5,
            external: BTreeMap::new(),
        }
    }
}

/// An authority at work; it ends when this is dropped.
#[derive(Debug)]
pub struct Pebble {
    folder: TempDir,
    children: Vec<Child>,
    ports: [u16; 4],
    authority: Authority,
}

impl Authority {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(self) -> Pebble {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let made = self_signed(&["127.0.0.1"]).expect("a certificate can be made");
        fs::write(folder.path().join("ca.pem"), made.cert).expect("there is room");
        fs::write(folder.path().join("ca.key"), made.key).expect("there is room");
        let ports = std::array::from_fn(|_| free_port());
        let mut pebble = Pebble { folder, children: Vec::new(), ports, authority: self };
        pebble.start_processes();
        pebble
    }
}

impl Pebble {
    fn start_processes(&mut self) {
        let [directory, management, dns, dns_management] = self.ports;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let config = json!({ "pebble": {
            "listenAddress": at(directory),
            "managementListenAddress": at(management),
            "certificate": self.path("ca.pem"),
            "privateKey": self.path("ca.key"),
            "httpPort": self.authority.http,
            "tlsPort": self.authority.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !self.authority.external.is_empty(),
            "externalAccountMACKeys": self.authority.external,
            "certificateValidityPeriod": self.authority.validity,
        }});
        fs::write(self.path("pebble.json"), config.to_string()).expect("there is room");
        let log = fs::File::options().append(true).create(true).open(self.path("pebble.log"));
        let log = log.expect("there is room");
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1"]);
        names.args(["-defaultIPv6", "", "-dns01", &at(dns), "-management", &at(dns_management)]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(self.path("pebble.json")).args(["-dnsserver", &at(dns)]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        pebble.env("PEBBLE_WFE_NONCEREJECT", self.authority.bad_nonces.to_string());
        for command in [&mut names, &mut pebble] {
            command.stdin(Stdio::null());
            command.stdout(log.try_clone().expect("it is open")).stderr(log.try_clone().expect("it is open"));
            self.children.push(command.spawn().expect("the package pebble is there"));
        }
        eventually("the authority listens", || {
            [directory, management, dns_management]
                .iter()
                .all(|port| TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port))).is_ok())
        });
    }

    /// Ends it, and starts another in its place, which knows of nothing.
    ///
    /// # Panics
    /// When it does not start.
    pub fn forget(&mut self) {
        self.stop();
        self.start_processes();
    }

    /// Ends it.
    pub fn stop(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("pebble.log")).unwrap_or_default()
    }

    /// How many certificates it has issued.
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate").count()
    }

    /// The section `acme` of a configuration.
    pub fn section(&self) -> String {
        let [directory, ..] = self.ports;
        let root = self.path("ca.pem");
        format!(
            "[acme]\nagree_to_terms = true\ndirectory = 'https://127.0.0.1:{directory}/dir'\nroot = {root:?}\n\
             retry = '1s'\n"
        )
    }

    /// Fetches a page over TLS by name, believing certificates of this authority only.
    ///
    /// # Panics
    /// When curl cannot be run, or the authority does not say what is to be believed.
    pub fn fetch(&self, name: &str, port: u16) -> Output {
        let [_, management, ..] = self.ports;
        let own = self.path("ca.pem");
        let roots = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(own)
            .arg(format!("https://127.0.0.1:{management}/roots/0"))
            .output()
            .expect("there is curl");
        assert!(roots.status.success(), "{roots:?}");
        fs::write(self.path("roots.pem"), &roots.stdout).expect("there is room");
        Command::new("curl")
            .args(["-sS", "-v", "--resolve", &format!("{name}:{port}:127.0.0.1"), "--cacert"])
            .arg(self.path("roots.pem"))
            .arg(format!("https://{name}:{port}/"))
            .output()
            .expect("there is curl")
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}
