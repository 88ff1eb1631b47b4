//! Listeners behind proxies that announce their clients: every door, real proxies, and those who only say they are one.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    fs,
    future::poll_fn,
    io::{BufReader, Write},
    iter::from_fn,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    pin::Pin,
    process::{Child, Command, Stdio},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use cepa_core::{App, Body, Connection, Ctx, Park, Parked, Result};
use cepa_programs::needs;
use cepa_server::{
    FrontServers, Protocol, ServerConfig,
    limits::Limits,
    moved::Heir,
    proxy_protocol::{ProxyProtocol, Version},
    tls::{CertificateFiles, TlsConfig, self_signed},
};
use cepa_tests::{
    Served, Serving,
    fastcgi::{Answer, get},
    http::Response,
    stats::pause,
    wire::{Ended, PATIENCE, Wire},
};
use http::StatusCode;
use tempfile::TempDir;
use tokio::sync::mpsc::{channel, unbounded_channel};

const LINE: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 5555 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const ANNOUNCED: &str = "Ip(203.0.113.9:5555) 198.51.100.1:443";

/// Says who the client is and where it has connected to.
fn app() -> App {
    App::new().get("/", async |ctx: &mut Ctx| {
        let connection = ctx.connection();
        let local = connection.local().map_or_else(|| "nowhere".to_owned(), |local| local.to_string());
        format!("{:?} {local}", connection.peer())
    })
}

fn from(names: &[&str]) -> ProxyProtocol {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ProxyProtocol::new(FrontServers::new(names).unwrap())
}

fn serving() -> Serving {
    Serving::new(app()).announced(&from(&["loopback", "unix"]))
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> Served {
    serving().limits(change).start().unwrap()
}

/// The same in binary.
fn binary() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend([203, 0, 113, 9, 198, 51, 100, 1, 0x15, 0xb3, 1, 0xbb]);
    bytes
}

/// A header that says nothing.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[test]
fn the_client_is_who_was_announced() {
    let served = serving().start().unwrap();
    for header in [LINE.as_bytes().to_vec(), binary()] {
        let mut wire = Wire::open(served.address(), [&header, GET.as_bytes(), GET.as_bytes()].concat());
        // Of each request of the connection.
        for _ in 0..2 {
            assert_eq!(wire.response().text(), ANNOUNCED);
        }
    }
}

#[test]
fn a_proxy_that_announces_nobody_is_the_client() {
    let served = serving().start().unwrap();
    for header in [b"PROXY UNKNOWN\r\n", LOCAL] {
        let mut wire = Wire::open(served.address(), [header, GET.as_bytes()].concat());
        let own = wire.stream().local_addr().unwrap();
        assert_eq!(wire.response().text(), format!("Ip({own}) {}", served.address()));
    }
}

#[test]
fn a_header_may_come_in_pieces() {
    let served = serving().start().unwrap();
    for header in [LINE.as_bytes().to_vec(), binary()] {
        let mut wire = Wire::connect(served.address()).unwrap();
        wire.stream().set_nodelay(true).unwrap();
        let bytes = [&header, GET.as_bytes()].concat();
        // The last piece has the end of the header and the beginning of the request.
        let (small, rest) = bytes.split_at(header.len() - 1);
        for byte in small {
            wire.send([*byte]);
            pause(Duration::from_millis(1));
        }
        wire.send(rest);
        assert_eq!(wire.response().text(), ANNOUNCED);
    }
}

#[test]
fn a_proxy_that_does_not_announce_is_closed_without_an_answer() {
    let served = serving().start().unwrap();
    for bytes in [
        GET,
        "PROXY TCP4 203.0.113.9 198.51.100.1 5555\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 5555 443\n",
        &format!("PROXY UNKNOWN {}", "x".repeat(200)),
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        Wire::open(served.address(), bytes).assert_closed();
    }
    // One header, not two.
    let mut wire = Wire::open(served.address(), format!("{LINE}{LINE}{GET}"));
    assert_eq!(wire.response().status, 400);
    // The version that the listener does not take, and more bytes than it takes.
    let strict = ProxyProtocol { version: Version::V2, length: 12, ..from(&["loopback"]) };
    let served = Serving::new(app()).announced(&strict).start().unwrap();
    assert_eq!(
        Wire::open(served.address(), [&binary(), GET.as_bytes()].concat()).response().text(),
        ANNOUNCED
    );
    Wire::open(served.address(), format!("{LINE}{GET}")).assert_closed();
    let mut long = binary();
    long[15] += 3;
    Wire::open(served.address(), [&long, &b"\x20\0\0"[..], GET.as_bytes()].concat()).assert_closed();
}

#[test]
fn a_proxy_has_as_long_for_its_header_as_for_a_handshake() {
    let served = with_limits(|limits| limits.handshake = Duration::from_secs(1));
    for begun in ["", "PROXY TCP4 20"] {
        Wire::open(served.address(), begun).assert_closed();
    }
    // The clock of the header stops with it.
    let mut wire = Wire::open(served.address(), LINE);
    pause(Duration::from_millis(2500));
    wire.send(GET);
    assert_eq!(wire.response().text(), ANNOUNCED);
}

#[test]
fn who_is_no_proxy_is_a_client_and_can_announce_nobody() {
    for door in [Protocol::Http, Protocol::FastCgi, Protocol::Scgi, Protocol::Tora] {
        let served = Serving::new(app()).door(door).announced(&from(&["192.0.2.0/24"])).start().unwrap();
        for header in [LINE.as_bytes().to_vec(), binary()] {
            let request = match door {
                Protocol::Http => GET.as_bytes().to_vec(),
                Protocol::FastCgi => get(1, "/"),
                Protocol::Scgi => scgi(),
                // Whatever may follow: this is an error already.
                Protocol::Tora => Vec::new(),
            };
            let mut wire = Wire::open(served.address(), [header, request].concat());
            let (answer, _) = wire.rest();
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.contains("200 OK") && !text.contains("Ip("), "{door:?}: {text}");
        }
    }
    let served = Serving::new(app()).announced(&from(&["192.0.2.0/24"])).start().unwrap();
    let mut wire = Wire::open(served.address(), GET);
    let own = wire.stream().local_addr().unwrap();
    assert_eq!(wire.response().text(), format!("Ip({own}) {}", served.address()));
}

fn scgi() -> Vec<u8> {
    let variables =
        "CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0HTTP_HOST\0a.test\0";
    format!("{}:{variables},", variables.len()).into_bytes()
}

#[test]
fn front_servers_are_announced_like_anybody_else() {
    // The proxy is believed, but not the front server behind it, whose address it has announced.
    for front in [&["loopback"][..], &["203.0.113.0/24"]] {
        let names = FrontServers::new(front.iter().map(|name| (*name).to_owned()).collect()).unwrap();
        let believed = front[0] != "loopback";
        let fastcgi = serving().door(Protocol::FastCgi).front(&names).start().unwrap();
        let mut stream = BufReader::new(TcpStream::connect(fastcgi.address()).unwrap());
        stream.get_mut().write_all(&[LINE.as_bytes(), &get(1, "/")].concat()).unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap().text();
        // `get` says that the client is 203.0.113.7.
        let client = if believed { "Ip(203.0.113.7:4711)" } else { "Ip(203.0.113.9:5555)" };
        assert!(answer.starts_with(client), "{answer}");
    }
    let scgi_door = serving().door(Protocol::Scgi).start().unwrap();
    let (answer, _) = Wire::open(scgi_door.address(), [LINE.as_bytes(), &scgi()].concat()).rest();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with(ANNOUNCED), "{answer}");
}

#[test]
fn a_unix_socket_has_proxies_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let _served = Serving::new(app()).unix(&path).announced(&from(&["unix"])).start().unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in [&LINE.as_bytes()[..10], &LINE.as_bytes()[10..], GET.as_bytes()] {
        stream.write_all(piece).unwrap();
    }
    let response = Response::read(&mut BufReader::new(stream), false).unwrap();
    assert_eq!(response.text(), ANNOUNCED);
}

#[test]
fn an_announced_connection_does_not_move_to_a_process_that_would_not_know_its_client() {
    let served = serving().start().unwrap();
    let open = |bytes: String| {
        let mut wire = Wire::open(served.address(), bytes);
        assert_eq!(wire.response().status, 200);
        wire
    };
    let (mut announced, own) = (open(format!("{LINE}{GET}")), open(format!("PROXY UNKNOWN\r\n{GET}")));
    let (heir, mut moved) = unbounded_channel();
    served.stopper().drain_into(heir);
    announced.assert_closed();
    let connection = moved.blocking_recv().unwrap();
    let peer = TcpStream::from(connection.socket).peer_addr().unwrap();
    assert_eq!(peer, own.stream().local_addr().unwrap());
    served.join().unwrap();
    assert!(moved.try_recv().is_err());
}

/// A stream that leaves if it may, and otherwise ends when the server drains.
struct Waiting(Rc<dyn Connection>);

impl http_body::Body for Waiting {
    type Data = bytes::Bytes;
    type Error = cepa_core::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>>>> {
        self.0.poll_draining(cx).map(|()| None)
    }
}

impl Park for Waiting {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        Parked::new("stream", &()).ok()
    }
}

/// Both kinds of what waits: `/stream`, and `/upgrade` to another protocol.
fn waiting() -> App {
    App::new()
        .get("/stream", async |ctx: &mut Ctx| {
            let connection = Rc::clone(ctx.connection());
            ctx.set_body(Body::parks(Waiting(connection)))
        })
        .get("/upgrade", async |ctx: &mut Ctx| {
            let draining = ctx.connection().draining();
            ctx.response.set_status(StatusCode::SWITCHING_PROTOCOLS);
            ctx.response.on_upgrade(Box::new(|mut io| {
                Box::pin(async move {
                    draining.await;
                    if poll_fn(|cx| io.poll_leave(cx)).await {
                        io.leave(Parked::new("upgrade", &()).unwrap());
                    }
                })
            }));
        })
}

#[test]
fn what_an_announced_client_waits_for_stays_as_well() {
    let served = Serving::new(waiting()).announced(&from(&["loopback"])).start().unwrap();
    let open = |header: &str, path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: it\r\n\r\n");
        let mut wire = Wire::open(served.address(), format!("{header}{request}"));
        // The answer has begun.
        assert_eq!(wire.read_exact(9).unwrap(), b"HTTP/1.1 ");
        wire
    };
    let [mut announced, own] =
        [LINE, "PROXY UNKNOWN\r\n"].map(|header| ["/stream", "/upgrade"].map(|path| open(header, path)));
    let (idle, _) = unbounded_channel();
    let (unfinished, mut moved) = channel(1);
    served.stopper().drain_into(Heir::from(idle).with_unfinished(unfinished));
    for wire in &mut announced {
        assert_eq!(wire.rest().1, Ended::Closed);
    }
    let mut left: Vec<_> = from_fn(|| moved.blocking_recv())
        .take(2)
        .map(|connection| {
            let handler = connection.unfinished.unwrap().parked.handler;
            (handler, TcpStream::from(connection.socket).peer_addr().unwrap())
        })
        .collect();
    left.sort();
    let own = own.map(|wire| wire.stream().local_addr().unwrap());
    assert_eq!(left, [("stream".to_owned(), own[0]), ("upgrade".to_owned(), own[1])]);
    served.join().unwrap();
    assert!(moved.try_recv().is_err());
}

/// A certificate in a folder.
fn certificate(folder: &TempDir) -> TlsConfig {
    let made = self_signed(&["a.test".to_owned()]).unwrap();
    let [cert, key] = ["cert", "key"].map(|name| folder.path().join(name));
    fs::write(&cert, made.cert).unwrap();
    fs::write(&key, made.key).unwrap();
    TlsConfig::new(vec![CertificateFiles { cert, key, names: Vec::new() }])
}

/// What curl prints of an announced request.
fn curl(args: &[&str], url: &str) -> String {
    let output = Command::new("curl")
        .args(["-sSk", "--max-time", "20", "--noproxy", "*", "--haproxy-protocol"])
        .args(args)
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_announces_itself() {
    needs!("curl");
    let folder = tempfile::tempdir().unwrap();
    let plain = serving().start().unwrap();
    let tls = serving().tls(&certificate(&folder)).start().unwrap();
    for (args, scheme, served) in [
        (&["--http1.1"][..], "http", &plain),
        (&["--http2-prior-knowledge"], "http", &plain),
        (&["--http1.1"], "https", &tls),
        (&["--http2"], "https", &tls),
    ] {
        let said = curl(args, &format!("{scheme}://{}/", served.address()));
        assert!(said.starts_with("Ip(127.0.0.1:") && said.ends_with(&served.address().to_string()), "{said}");
    }
}

/// A proxy made by others, which ends with its test.
struct Proxy {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    /// Starts a program with a configuration, in which `@LISTEN@` is its address and `@DIR@` its folder.
    fn start(config: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = folder.path().join("proxy.conf");
        let dir = folder.path().display().to_string();
        fs::write(&file, config.replace("@LISTEN@", &address.to_string()).replace("@DIR@", &dir)).unwrap();
        let mut command = command(&file);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut proxy = Self { process, address, _folder: folder };
        while TcpStream::connect(address).is_err() {
            assert!(proxy.process.try_wait().unwrap().is_none(), "the proxy does not start");
            pause(Duration::from_millis(20));
        }
        proxy
    }

    /// What the app says to a client of the proxy, and who that was.
    fn ask(&self) -> (String, String) {
        let mut wire = Wire::open(self.address, GET);
        let own = wire.stream().local_addr().unwrap();
        (wire.response().text(), format!("Ip({own}) {}", self.address))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself, if the test fails because of that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The page that the configurations are on.
const PAGE: &str = include_str!("../../docs/doors.md");

/// The block of this language on the page that has such a word in it, with the address of the app.
fn block(language: &str, word: &str, app: &Served) -> String {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let mut blocks = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    let block = blocks.find(|block| block.contains(word)).unwrap();
    block.replace("127.0.0.1:443", "@LISTEN@").replace("127.0.0.1:3443", &app.address().to_string())
}

#[test]
fn the_listeners_of_the_page_are_a_configuration() {
    let served = serving().start().unwrap();
    let table: toml::Table = block("toml", "proxy_protocol", &served).parse().unwrap();
    let config: ServerConfig = table["server"].clone().try_into().unwrap();
    let versions = config.listen.iter().map(|listen| listen.proxy_protocol.as_ref().unwrap().version);
    assert_eq!(versions.collect::<Vec<_>>(), [Version::Any, Version::V2]);
}

#[test]
fn haproxy_announces_its_clients() {
    needs!("haproxy");
    let served = serving().start().unwrap();
    let of_the_page = "send-proxy-v2 proxy-v2-options crc32c";
    let config = block("haproxy", of_the_page, &served);
    for how in [of_the_page, "send-proxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"] {
        let proxy = Proxy::start(&config.replace(of_the_page, how), |file| {
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(file);
            command
        });
        let (said, client) = proxy.ask();
        assert_eq!(said, client, "{how}");
    }
}

#[test]
fn nginx_announces_its_clients() {
    needs!("nginx");
    let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    if !module.exists() {
        return cepa_programs::has_not_run(
            "nginx_announces_its_clients",
            "no stream module of nginx; apt-get install libnginx-mod-stream",
        );
    }
    let served = serving().start().unwrap();
    let config = format!(
        "load_module {};\ndaemon off; master_process off; pid @DIR@/nginx.pid; error_log @DIR@/error.log;\n\
         events {{ worker_connections 64; }}\n{}",
        module.display(),
        block("nginx", "proxy_protocol", &served)
    );
    let proxy = Proxy::start(&config, |file| {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-e").arg(file.with_extension("log"));
        command
    });
    let (said, client) = proxy.ask();
    assert_eq!(said, client);
}
