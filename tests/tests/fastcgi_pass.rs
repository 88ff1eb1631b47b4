//! What passes requests on by FastCGI and SCGI, between real clients, php-fpm, and servers that do everything wrong.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx};
use cepa_layers::{
    fastcgi_pass::{Options, fastcgi_pass},
    scgi_pass,
};
use cepa_server::Protocol;
use cepa_tests::{Served, Serving, fastcgi::record, http::Response, serve, stats::pause, wire::Wire};

fn front(options: Options) -> Served {
    serve(App::new().with(fastcgi_pass(options).unwrap()).get("/static", async |_: &mut Ctx| "static"))
        .unwrap()
}

fn get(server: &Served, path: &str, headers: &str) -> Response {
    Wire::open(server.address(), format!("GET {path} HTTP/1.1\r\nHost: front.test\r\n{headers}\r\n"))
        .response()
}

/// Answers each connection by these bytes, once something has come, and counts them.
fn scripted(answer: Vec<u8>, keep_open: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, SeqCst);
            let answer = answer.clone();
            thread::spawn(move || {
                let mut piece = [0; 65536];
                let _ = stream.read(&mut piece);
                let _ = stream.write_all(&answer);
                while keep_open && matches!(stream.read(&mut piece), Ok(1..)) {}
            });
        }
    });
    (address, count)
}

fn to(address: SocketAddr) -> Options {
    Options { upstream: address.to_string(), ..Options::default() }
}

fn whole(head_and_body: &[u8]) -> Vec<u8> {
    [record(6, 1, head_and_body, 0), record(6, 1, b"", 0), record(3, 1, &[0; 8], 0)].concat()
}

#[test]
fn servers_that_do_it_wrong_are_bad_gateways() {
    for (answer, keep_open) in [
        (Vec::new(), false),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false),
        (whole(b""), true),
        (whole(b"no head"), true),
        (whole(b"Status: 101 Switch\r\n\r\n"), true),
        (record(6, 1, b"Status: 200 OK\r\n", 0), false),
        (record(6, 2, b"Status: 200 OK\r\n\r\nof another", 0), true),
        (record(3, 1, &[0, 0, 0, 0, 2, 0, 0, 0], 0), true),
        (record(6, 1, &vec![b'x'; 65_535], 0).repeat(2), true),
    ] {
        let (address, _) = scripted(answer.clone(), keep_open);
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert_eq!(get(&front(to(address)), "/", "").status, 502, "{shown:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(get(&front(to(nobody)), "/", "").status, 502);
}

#[test]
fn an_answer_that_breaks_off_breaks_off() {
    let (address, _) = scripted(record(6, 1, b"X-A: 1\r\n\r\nbegun", 0), false);
    let served = front(to(address));
    let wire = Wire::open(served.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut bytes = Vec::new();
    let _ = wire.stream().read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
}

#[test]
fn who_is_silent_is_given_up() {
    let (silent, _) = scripted(Vec::new(), true);
    let served = front(Options { head: Duration::from_millis(300), ..to(silent) });
    assert_eq!(get(&served, "/", "").status, 504);
    let (begun, _) = scripted(record(6, 1, b"X-A: 1\r\n\r\nbegun", 0), true);
    let served = front(Options { pause: Duration::from_millis(300), ..to(begun) });
    let mut bytes = Vec::new();
    let started = Instant::now();
    let wire = Wire::open(served.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = wire.stream().read_to_end(&mut bytes);
    assert!(started.elapsed() < Duration::from_secs(5) && !bytes.ends_with(b"0\r\n\r\n"));
}

#[test]
fn no_more_requests_are_at_hand_than_may() {
    let (silent, _) = scripted(Vec::new(), true);
    let served = front(Options { requests: 1, head: Duration::from_secs(2), ..to(silent) });
    let _first = Wire::open(served.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pause(Duration::from_millis(200));
    assert_eq!(get(&served, "/", "").status, 503);
}

#[test]
fn connections_are_kept_if_that_is_wanted() {
    let app = App::new().all("/{*path}", async |ctx: &mut Ctx| ctx.path().to_owned());
    let inner = Serving::new(app).door(Protocol::FastCgi).limits(|limits| limits.requests_per_connection = 3);
    let inner = inner.start().unwrap();
    let served = front(Options { keep: 2, ..to(inner.address()) });
    // Also over connections that the other end has closed meanwhile.
    for at in 0..20 {
        assert_eq!(get(&served, &format!("/{at}"), "").text(), format!("/{at}"));
    }
    // One that keeps none, and says so by closing.
    let (address, count) = scripted(whole(b"X-A: 1\r\n\r\nok"), false);
    let served = front(Options { keep: 2, ..to(address) });
    for _ in 0..5 {
        assert_eq!(get(&served, "/", "").text(), "ok");
        pause(Duration::from_millis(20));
    }
    assert_eq!(count.load(SeqCst), 5);
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    for (door, scgi) in [(Protocol::FastCgi, false), (Protocol::Scgi, true)] {
        let inner = Serving::new(echo()).door(door).limits(|limits| limits.body = 1 << 30).start().unwrap();
        let pass = if scgi { scgi_pass(to(inner.address())) } else { fastcgi_pass(to(inner.address())) };
        let outer = Serving::new(App::new().with(pass.unwrap())).limits(|limits| limits.body = 1 << 30);
        let outer = outer.start().unwrap();
        let body: Vec<u8> = (0..20_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut wire = Wire::connect(outer.address()).unwrap();
        let mut writing = wire.stream().try_clone().unwrap();
        let sent = body.clone();
        let thread = thread::spawn(move || {
            let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
            writing.write_all(head.as_bytes()).unwrap();
            writing.write_all(&sent).unwrap();
        });
        let response = wire.response();
        thread.join().unwrap();
        assert!(response.status == 200 && response.body == body, "{door:?} {}", response.body.len());
    }
}

fn echo() -> App {
    App::new().route(
        "/echo",
        cepa_core::router::post(async |ctx: &mut Ctx| -> Body { ctx.request.take_body() })
            .body_limit(1 << 30),
    )
}

#[test]
fn variables_reach_the_other_server() {
    let app = App::new().all("/{*path}", async |ctx: &mut Ctx| {
        let one = ctx.get("x-one").unwrap_or("none");
        format!("{} {} {} {one} {}", ctx.mount_path(), ctx.path(), ctx.host(), ctx.original_url())
    });
    let inner = Serving::new(app).door(Protocol::FastCgi).start().unwrap();
    let outer = App::new().mount("/app", fastcgi_pass(to(inner.address())).unwrap());
    let outer = serve(outer).unwrap();
    let response = get(&outer, "/app/a%20b?q=1", "X-One: two\r\nX_One: spoof\r\nProxy: evil\r\n");
    assert_eq!(response.text(), "/app /a%20b front.test two /app/a%20b?q=1");
}

/// php-fpm with two processes, on a Unix socket.
struct Php {
    process: Child,
    folder: tempfile::TempDir,
}

impl Php {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        let user = if is_root() { "user = www-data\ngroup = www-data\n" } else { "" };
        let config = format!(
            "[global]\npid = {dir}/pid\nerror_log = {dir}/log\ndaemonize = no\n[www]\n{user}listen = {dir}/sock\n\
             listen.mode = 0666\npm = static\npm.max_children = 2\n"
        );
        fs::write(folder.path().join("php.conf"), config).unwrap();
        let www = folder.path().join("www");
        fs::create_dir_all(www.join("sub")).unwrap();
        for (name, text) in [
            ("index.php", "<?php echo 'front ', $_SERVER['PATH_INFO'] ?? '', ' ', $_GET['q'] ?? '';"),
            (
                "post.php",
                "<?php header('X-Method: ' . $_SERVER['REQUEST_METHOD']); echo strlen(file_get_contents('php://input'));",
            ),
            ("sub/index.php", "<?php echo $_SERVER['SCRIPT_NAME'], '|', $_SERVER['SCRIPT_FILENAME'];"),
            ("go.php", "<?php header('Location: /post.php'); setcookie('a', '1'); setcookie('b', '2');"),
            (
                "slow.php",
                "<?php for ($i = 0; $i < 3; $i++) { echo \"tick $i\\n\"; flush(); usleep(150000); }",
            ),
            ("fails.php", "<?php error_log('private words'); http_response_code(500); echo 'failed';"),
            ("picture.jpg", "<?php echo 'this must not run';"),
        ] {
            fs::write(www.join(name), text).unwrap();
        }
        for path in [folder.path().to_owned(), www] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(program);
        command.arg("-F").arg("-y").arg(folder.path().join("php.conf")).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let php = Self { process, folder };
        let until = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(php.folder.path().join("sock")).is_err() {
            let log = || fs::read_to_string(php.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "{}", log());
            pause(Duration::from_millis(20));
        }
        php
    }

    fn options(&self) -> Options {
        let (upstream, root) =
            (format!("unix:{}/sock", self.folder.path().display()), self.folder.path().join("www"));
        Options { upstream, root: Some(root), ..Options::default() }
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

impl Drop for Php {
    fn drop(&mut self) {
        // Its processes end with it only if it is asked.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

#[test]
fn php_runs() {
    let Some(program) =
        ["php-fpm8.2", "php-fpm8.4", "php-fpm"].iter().find_map(|name| cepa_programs::find(name))
    else {
        return cepa_programs::has_not_run("php_runs", "no php-fpm; apt-get install php-fpm");
    };
    let php = Php::start(&program);
    let served = front(php.options());
    let text = |path: &str| {
        let response = get(&served, path, "");
        (response.status, response.text())
    };
    assert_eq!(text("/?q=1"), (200, "front  1".to_owned()));
    let folder = php.folder.path().join("www");
    assert_eq!(text("/sub/"), (200, format!("/sub/index.php|{}/sub/index.php", folder.display())));
    assert_eq!(text("/static"), (200, "static".to_owned()), "what no script answers goes on inwards");
    assert_eq!(text("/none.php").0, 404);
    assert_eq!(text("/picture.jpg/x.php").0, 404);
    assert_eq!(text("/index.php/in/fo").1, "front /in/fo ");
    assert_eq!(text("/fails.php"), (500, "failed".to_owned()));
    assert_eq!(text("/slow.php"), (200, "tick 0\ntick 1\ntick 2\n".to_owned()));
    let response = get(&served, "/go.php", "");
    assert_eq!((response.status, response.all("location").next()), (302, Some("/post.php")));
    assert_eq!(response.all("set-cookie").count(), 2);
    for framing in ["Content-Length: 300000", "Transfer-Encoding: chunked"] {
        let body = vec![b'x'; 300_000];
        let framed = match framing.starts_with('T') {
            true => [b"493e0\r\n", &body[..], b"\r\n0\r\n\r\n"].concat(),
            false => body,
        };
        let head = format!("POST /post.php HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        let response = Wire::open(served.address(), [head.as_bytes(), &framed].concat()).response();
        assert_eq!((response.status, response.text()), (200, "300000".to_owned()), "{framing}");
        assert_eq!(response.all("x-method").next(), Some("POST"));
    }
    let kept = front(Options { keep: 1, front_controller: Some("/index.php".to_owned()), ..php.options() });
    for _ in 0..5 {
        assert_eq!(get(&kept, "/any/thing?q=2", "").text(), "front /any/thing 2");
    }
}
