//! The forward proxy between real clients and real servers: requests, tunnels, and those that it refuses.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use cepa_core::{App, Ctx, router::post};
use cepa_layers::{
    basic_auth,
    forward_proxy::{ForwardProxy, Options, Upstream, forward_proxy},
};
use cepa_programs::needs;
use cepa_server::tls::{CertificateFiles, TlsConfig, self_signed};
use cepa_tests::{
    Served, Serving,
    http::Response,
    serve,
    stats::eventually,
    wire::{Ended, PATIENCE, Wire},
};

/// A proxy that leads to these servers of this machine.
fn to(servers: &[SocketAddr]) -> Options {
    let ports: Vec<u16> = servers.iter().map(SocketAddr::port).collect();
    Options {
        ports: ports.clone(),
        connect_ports: ports,
        allow: vec!["127.0.0.0/8".to_owned()],
        ..Options::default()
    }
}

fn proxy(options: Options) -> Served {
    let own = async |_: &mut Ctx| "not through the proxy";
    serve(App::new().with(forward_proxy(options).unwrap()).get("/", own)).unwrap()
}

fn origin() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "the origin")
        .all("/headers", async |ctx: &mut Ctx| {
            let headers = ctx.request.headers().iter();
            let mut lines: Vec<_> =
                headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            lines.sort();
            format!("{} {}\n{}", ctx.method(), ctx.original_url(), lines.join("\n"))
        })
        .route("/echo", post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .get("/long", async |_: &mut Ctx| {
            cepa_core::Body::from_async(async |mut out| {
                for _ in 0..1000 {
                    out.write(vec![b'x'; 10_000]).await;
                }
                Ok(())
            })
        })
}

fn ask(proxy: &Served, request: &str) -> Response {
    Wire::open(proxy.address(), request).response()
}

fn get(proxy: &Served, url: &str) -> Response {
    ask(proxy, &format!("GET {url} HTTP/1.1\r\nHost: else.test\r\n\r\n"))
}

/// A tunnel, or why there is none.
fn tunnel(proxy: &Served, to: impl std::fmt::Display) -> Result<TcpStream, Box<Response>> {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 200 ") {
        let text = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(!text.contains("content-length") && !text.contains("transfer-encoding"), "{text}");
        return Ok(stream);
    }
    let mut rest = std::io::BufReader::new(std::io::Cursor::new(head).chain(stream));
    Err(Box::new(Response::read(&mut rest, false).unwrap()))
}

#[test]
fn a_request_goes_to_the_server_that_it_names() {
    let origin = serve(origin()).unwrap();
    let proxy = proxy(to(&[origin.address()]));
    let response = get(&proxy, &format!("http://{}/", origin.address()));
    assert_eq!((response.status, &*response.text()), (200, "the origin"));
    assert_eq!(response.all("via").collect::<Vec<_>>(), ["1.1 cepa"]);
    assert_eq!(get(&proxy, "/").text(), "not through the proxy");
    // On one connection, as proxies are used.
    let mut wire = Wire::connect(proxy.address()).unwrap();
    for (path, text) in [("/", "the origin"), ("/none", "Not Found"), ("", "the origin")] {
        wire.send(format!("GET http://{}{path} HTTP/1.1\r\nHost: x\r\n\r\n", origin.address()));
        assert_eq!(wire.response().text(), text);
    }
}

#[test]
fn headers_are_those_of_the_request_without_those_of_the_connection() {
    let origin = serve(origin()).unwrap();
    let proxy = proxy(to(&[origin.address()]));
    let request = format!(
        "GET http://{}/headers?a=%20b HTTP/1.1\r\nHost: else.test\r\nProxy-Connection: keep-alive\r\nConnection: x-mine\r\n\
         X-Mine: 1\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nX-Stays: 1\r\n\
         Via: 1.0 other\r\n\r\n",
        origin.address()
    );
    let expected = format!(
        "GET /headers?a=%20b\nhost: {}\nte: trailers\nvia: 1.0 other\nvia: 1.1 cepa\nx-stays: 1",
        origin.address()
    );
    assert_eq!(ask(&proxy, &request).text(), expected);
}

#[test]
fn bodies_stream_both_ways() {
    let origin = serve(origin()).unwrap();
    let proxy = Serving::new(App::new().with(forward_proxy(to(&[origin.address()])).unwrap()))
        .limits(|limits| limits.body = 1 << 30)
        .start()
        .unwrap();
    let body = vec![b'y'; 3_000_000];
    let head = format!(
        "POST http://{}/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        origin.address(),
        body.len()
    );
    let mut wire = Wire::connect(proxy.address()).unwrap();
    let mut writer = wire.stream().try_clone().unwrap();
    let sending = thread::spawn(move || writer.write_all(&[head.into_bytes(), body].concat()).unwrap());
    let response = wire.response();
    sending.join().unwrap();
    assert_eq!((response.status, response.body.len()), (200, 3_000_000));
    let response = get(&proxy, &format!("http://{}/long", origin.address()));
    assert_eq!(response.body.len(), 10_000_000);
}

#[test]
fn what_is_refused() {
    let server = serve(origin()).unwrap();
    let at = server.address();
    // Bound, and nobody listens: a connection is refused, and no other test gets the port.
    let unheard = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    unheard.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let other = unheard.local_addr().unwrap().as_socket().unwrap();
    let open = proxy(to(&[at, other]));
    let url = format!("http://{at}/");
    // Nobody is allowed: the loopback is not public, however it is written.
    let careful = proxy(Options { allow: Vec::new(), ..to(&[at]) });
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0.0.0.0", "10.0.0.1"] {
        let place = format!("{host}:{}", at.port());
        assert_eq!(get(&careful, &format!("http://{place}/")).status, 403, "{place}");
        assert_eq!(tunnel(&careful, &place).unwrap_err().status, 403, "{place}");
    }
    let only = proxy(Options { only_hosts: vec!["127.0.0.2".to_owned()], ..to(&[at]) });
    let ports = proxy(Options { ports: vec![80], connect_ports: vec![443], ..to(&[at]) });
    let strangers = proxy(Options { clients: "192.0.2.0/24".parse().unwrap(), ..to(&[at]) });
    for (proxy, what) in [(&only, "host"), (&ports, "port"), (&strangers, "client")] {
        assert_eq!(get(proxy, &url).status, 403, "{what}");
        assert_eq!(tunnel(proxy, at).unwrap_err().status, 403, "{what}");
    }
    assert_eq!(get(&strangers, "/").text(), "not through the proxy");
    for (request, status) in [
        (format!("GET https://{at}/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400),
        (format!("TRACE {url} HTTP/1.1\r\nHost: x\r\n\r\n"), 405),
        (format!("OPTIONS {url} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"), 204),
        (format!("GET {url} HTTP/1.1\r\nHost: x\r\nVia: 1.1 a, 1.1 cepa\r\n\r\n"), 508),
        (format!("GET http://{other}/ HTTP/1.1\r\nHost: x\r\n\r\n"), 502),
        (format!("CONNECT {other} HTTP/1.1\r\nHost: x\r\n\r\n"), 502),
        (format!("CONNECT {at} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"), 400),
    ] {
        assert_eq!(ask(&open, &request).status, status, "{request}");
    }
}

#[test]
fn curl_asks_and_tunnels() {
    needs!("curl");
    let folder = tempfile::tempdir().unwrap();
    let made = self_signed(&["a.test".to_owned()]).unwrap();
    let [cert, key] = ["cert", "key"].map(|name| folder.path().join(name));
    fs::write(&cert, made.cert).unwrap();
    fs::write(&key, made.key).unwrap();
    let tls = TlsConfig::new(vec![CertificateFiles { cert, key, names: Vec::new() }]);
    let plain = serve(origin()).unwrap();
    let secure = Serving::new(origin()).tls(&tls).start().unwrap();
    let proxy = proxy(to(&[plain.address(), secure.address()]));
    let curl = |args: &[&str], url: String| {
        let output = Command::new("curl")
            .args(["-sSk", "--max-time", "20", "--noproxy", "", "-x", &format!("http://{}", proxy.address())])
            .args(args)
            .arg(url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&[], format!("http://{}/", plain.address())), "the origin");
    assert_eq!(curl(&["-d", "body"], format!("http://{}/echo", plain.address())), "body");
    assert_eq!(curl(&["-p"], format!("http://{}/", plain.address())), "the origin");
    for version in ["--http1.1", "--http2"] {
        assert_eq!(curl(&[version], format!("https://{}/", secure.address())), "the origin");
    }
}

/// Asks for a name and password, of which one is right.
fn guarded(proxy: ForwardProxy) -> Served {
    let check = async |_: &mut Ctx, name: &str, password: &str| Ok(name == "ada" && password == "secret");
    let auth = basic_auth::asking("proxy", check).unwrap().for_proxy();
    serve(App::new().with(auth).with(proxy).get("/", async |_: &mut Ctx| "free for all")).unwrap()
}

#[test]
fn a_proxy_may_ask_for_a_password() {
    needs!("curl");
    let origin = serve(origin()).unwrap();
    let proxy = guarded(forward_proxy(to(&[origin.address()])).unwrap());
    assert_eq!(get(&proxy, "/").text(), "free for all");
    let refused = get(&proxy, &format!("http://{}/", origin.address()));
    assert_eq!(refused.status, 407);
    assert_eq!(
        refused.all("proxy-authenticate").collect::<Vec<_>>(),
        [r#"Basic realm="proxy", charset="UTF-8""#]
    );
    assert_eq!(tunnel(&proxy, origin.address()).unwrap_err().status, 407);
    for (user, tunnels, expected) in [
        ("ada:secret", false, "200 the origin"),
        ("ada:secret", true, "200 the origin"),
        ("ada:wrong", false, "407 Proxy Authentication Required"),
        // The name and password for the origin are no name and password for the proxy.
        ("", false, "407 Proxy Authentication Required"),
    ] {
        let url = format!("http://{}/", origin.address());
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "--noproxy",
            "",
            "-x",
            &format!("http://{}", proxy.address()),
            "-w",
            "\n%{http_code}",
        ]);
        match user {
            "" => curl.args(["-u", "ada:secret"]),
            user => curl.args(["-U", user]),
        };
        if tunnels {
            curl.arg("-p");
        }
        let out = String::from_utf8(curl.arg(&url).output().unwrap().stdout).unwrap();
        let (body, status) = out.rsplit_once('\n').unwrap();
        assert_eq!(format!("{status} {body}"), expected, "{user}");
    }
}

#[test]
fn a_proxy_may_ask_another_one() {
    let origin = serve(origin()).unwrap();
    let outer = guarded(forward_proxy(Options { via: "outer".into(), ..to(&[origin.address()]) }).unwrap());
    let upstream = |password: &str| Upstream {
        url: format!("http://{}", outer.address()),
        user: "ada".into(),
        password: password.into(),
    };
    let inner = |password| proxy(Options { upstream: Some(upstream(password)), ..to(&[origin.address()]) });
    let right = inner("secret");
    let response = get(&right, &format!("http://{}/headers?x", origin.address()));
    let expected = format!("GET /headers?x\nhost: {}\nvia: 1.1 cepa\nvia: 1.1 outer", origin.address());
    assert_eq!(response.text(), expected);
    let mut stream = tunnel(&right, origin.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("the origin"), "{answer}");
    // Whom to ask for a password is between the two proxies.
    let wrong = inner("wrong");
    assert_eq!(tunnel(&wrong, origin.address()).unwrap_err().status, 502);
    let refused = get(&wrong, &format!("http://{}/", origin.address()));
    assert_eq!((refused.status, refused.all("proxy-authenticate").count()), (502, 0));
    assert!(!format!("{:?}", upstream("secret")).contains("secret"));
}

#[test]
fn each_side_of_a_tunnel_may_end_for_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = proxy(to(&[address]));
    let far = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        // The end of what the client sends arrives while the other direction is open.
        stream.read_to_string(&mut asked).unwrap();
        stream.write_all(format!("{asked} is answered").as_bytes()).unwrap();
    });
    let mut stream = tunnel(&proxy, address).unwrap();
    stream.write_all(b"a question").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "a question is answered");
    far.join().unwrap();
}

#[test]
fn what_a_client_sends_before_the_tunnel_is_open_is_not_lost() {
    let origin = serve(origin()).unwrap();
    let proxy = proxy(to(&[origin.address()]));
    let at = origin.address();
    let request = format!(
        "CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let (bytes, ended) = Wire::open(proxy.address(), request).rest();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("the origin"), "{text}");
    assert_eq!(ended, Ended::Closed);
}

#[test]
fn a_peer_that_takes_nothing_holds_up_the_other_and_no_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = proxy(to(&[address]));
    let (go, told) = channel::<()>();
    let far = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        told.recv().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.len()
    });
    let mut stream = tunnel(&proxy, address).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (piece, mut sent) = (vec![0; 1 << 20], 0);
    // What the kernels and the proxy hold is some megabytes; then nothing more is taken.
    while let Ok(length) = stream.write(&piece) {
        sent += length;
        assert!(sent < 64 << 20, "somebody keeps what nobody takes");
    }
    go.send(()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(far.join().unwrap(), sent);
}

#[test]
fn tunnels_are_counted_and_end_when_they_are_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silence = Duration::from_secs(1);
    let proxy = proxy(Options { tunnels: 2, tunnel: silence, ..to(&[address]) });
    let mut first = tunnel(&proxy, address).unwrap();
    let second = tunnel(&proxy, address).unwrap();
    let refused = tunnel(&proxy, address).unwrap_err();
    assert_eq!((refused.status, refused.all("retry-after").next()), (503, Some("1")));
    drop(second);
    // A place that is given up is free as soon as the proxy has seen it.
    let mut third = None;
    eventually("a place is free", || {
        third = tunnel(&proxy, address).ok();
        third.is_some()
    });
    // Nobody says anything: both are ended.
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
    assert_eq!(third.unwrap().read(&mut [0]).unwrap(), 0);
}

#[test]
fn options_that_make_no_proxy_are_refused() {
    let upstream = |url: &str, user: &str, password: &str| {
        let [url, user, password] = [url, user, password].map(str::to_owned);
        Options { upstream: Some(Upstream { url, user, password }), ..Options::default() }
    };
    for (options, fault) in [
        (Options { via: String::new(), ..Options::default() }, "`via` \"\" is no name"),
        (Options { via: "a b".into(), ..Options::default() }, "`via` \"a b\" is no name"),
        (Options { tunnels: 0, ..Options::default() }, "`tunnels` is 0"),
        (Options { tunnel: Duration::ZERO, ..Options::default() }, "`tunnel` is 0"),
        (Options { allow: vec!["x".into()], ..Options::default() }, "no address block"),
        (Options { only_hosts: vec!["a:80".into()], ..Options::default() }, "no host name"),
        (upstream("http://a/path", "", ""), "has a path"),
        (upstream("ftp://a", "", ""), "http://"),
        (upstream("http://a", "a:b", ""), "colon"),
        (upstream("http://a", "", "secret"), "no user"),
    ] {
        let error = forward_proxy(options).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}
