//! The same app behind every door and every front server: what comes out is compared, case by case, with what it answers by
//! itself. The configurations are those of `docs/doors.md`.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "behind/front.rs"]
mod front;
#[path = "behind/mod_tora.rs"]
mod mod_tora;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cepa::{
    App,
    layers::{cgi, fastcgi_pass, scgi_pass},
};
use cepa_programs::needs;
use cepa_server::Protocol;
use cepa_tests::{
    Served, Serving,
    http::{Request, Response},
};

use front::{Front, block};

/// The app with a door for each protocol: HTTP, FastCGI, SCGI, tora.
fn app() -> Served {
    let app = doors::app().unwrap().trust("loopback".parse().unwrap());
    let doors = Serving::new(app).and_door(Protocol::FastCgi).and_door(Protocol::Scgi);
    doors.and_door(Protocol::Tora).start().unwrap()
}

/// The app by HTTP, behind an app that passes everything on by another protocol.
fn cepa_in_front(app: &Served, scgi: bool) -> Served {
    let [_, fastcgi_door, scgi_door, _] = app.addresses() else { panic!("the app has four doors") };
    let options = |address: &SocketAddr| fastcgi_pass::Options {
        upstream: address.to_string(),
        keep: 4,
        ..fastcgi_pass::Options::default()
    };
    let pass = if scgi { scgi_pass(options(scgi_door)) } else { fastcgi_pass(options(fastcgi_door)) };
    Serving::new(App::new().with(pass.unwrap()).trust("loopback".parse().unwrap())).start().unwrap()
}

#[test]
fn cepa_by_fastcgi_and_scgi() {
    let app = app();
    for scgi in [false, true] {
        let front = cepa_in_front(&app, scgi);
        compare(&app, front.address(), &[]);
        streams(front.address());
    }
}

/// One request of the table.
struct Case {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    /// Without a `Content-Length`.
    chunked: bool,
}

fn cases() -> Vec<Case> {
    let case =
        |name, method, target| Case { name, method, target, headers: &[], body: Vec::new(), chunked: false };
    let form = "--x\r\nContent-Disposition: form-data; name=title\r\n\r\nTobi\r\n\
        --x\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\n\r\n0123456789\r\n--x--\r\n";
    let large: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    vec![
        case("plain", "GET", "/"),
        case("head", "HEAD", "/"),
        case("json", "GET", "/json"),
        case("path and query", "GET", "/who/a%20b%C3%A9?x=%201&y=/z"),
        Case { headers: &[("x-one", "two")], ..case("header", "GET", "/who/x") },
        case("stream", "GET", "/stream"),
        case("head of a stream", "HEAD", "/stream"),
        case("file", "GET", "/files/onion.txt"),
        case("head of a file", "HEAD", "/files/onion.txt"),
        Case { headers: &[("range", "bytes=10-19")], ..case("range", "GET", "/files/onion.txt") },
        Case { headers: &[("range", "bytes=99999999-")], ..case("no range", "GET", "/files/onion.txt") },
        Case {
            headers: &[("if-modified-since", "Fri, 31 Dec 2100 23:59:59 GMT")],
            ..case("not modified", "GET", "/files/onion.txt")
        },
        Case { headers: &[("if-none-match", "*")], ..case("not modified by tag", "GET", "/files/onion.txt") },
        Case { headers: &[("if-none-match", "\"x\"")], ..case("modified by tag", "GET", "/files/onion.txt") },
        Case { headers: &[("range", "bytes=-5")], ..case("range of the end", "GET", "/files/onion.txt") },
        Case {
            headers: &[("range", "bytes=10-19"), ("if-range", "\"x\"")],
            ..case("range of another version", "GET", "/files/onion.txt")
        },
        Case { headers: &[("cookie", "seen=before; x=1")], ..case("cookies", "GET", "/cookies") },
        case("redirect", "GET", "/redirect"),
        case("nothing", "GET", "/nothing"),
        case("teapot", "GET", "/teapot"),
        case("missing", "GET", "/missing"),
        case("forbidden", "GET", "/forbidden"),
        case("broken", "GET", "/broken"),
        case("head of an error", "HEAD", "/forbidden"),
        case("options", "OPTIONS", "/json"),
        case("wrong method", "DELETE", "/json"),
        Case { body: b"5".to_vec(), ..case("put", "PUT", "/item") },
        case("put of nothing", "PUT", "/item"),
        Case { body: b"hello".to_vec(), ..case("echo", "POST", "/echo") },
        Case { body: large.clone(), ..case("large echo", "POST", "/echo") },
        Case { body: large, chunked: true, ..case("chunked echo", "POST", "/echo") },
        Case {
            headers: &[("content-type", "multipart/form-data; boundary=x")],
            body: form.into(),
            ..case("upload", "POST", "/upload")
        },
        Case {
            headers: &[("content-type", "multipart/form-data; boundary=x")],
            body: form.replace("0123456789", &"0123456789".repeat(30_000)).into(),
            ..case("large upload", "POST", "/upload")
        },
        Case {
            headers: &[("content-type", "multipart/form-data; boundary=x")],
            body: form.replace("--x--", "").into(),
            ..case("upload that breaks off", "POST", "/upload")
        },
    ]
}

/// What is the same everywhere: the status, the body, and the headers that are of the app.
type Outcome = (u16, Vec<(String, String)>, Vec<u8>);

fn outcome(response: Response) -> Outcome {
    const OF_THE_APP: [&str; 12] = [
        "allow",
        "cache-control",
        "content-disposition",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "set-cookie",
        "vary",
        "www-authenticate",
        "x-content-type-options",
    ];
    let mut headers = response.headers;
    headers.retain(|(name, _)| OF_THE_APP.contains(&name.as_str()));
    headers.sort();
    (response.status, headers, response.body)
}

fn ask(to: SocketAddr, case: &Case) -> Outcome {
    let mut headers =
        vec![("Host".to_owned(), "front.test".to_owned()), ("Connection".to_owned(), "close".to_owned())];
    headers.extend(case.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut body = case.body.clone();
    if case.chunked {
        headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
        body = case
            .body
            .chunks(100_000)
            .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
            .collect();
        body.extend_from_slice(b"0\r\n\r\n");
    } else if !body.is_empty() || matches!(case.method, "PUT" | "POST") {
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    let request = Request {
        method: case.method.to_owned(),
        target: case.target.to_owned(),
        version: "HTTP/1.1".to_owned(),
        headers,
        body,
    };
    outcome(request.send(to).unwrap_or_else(|error| panic!("{}: {error}", case.name)))
}

/// Asks both, and compares.
fn compare(app: &Served, front: SocketAddr, skipped: &[&str]) {
    let mut differ = Vec::new();
    for case in cases().iter().filter(|case| !skipped.contains(&case.name)) {
        let (expected, found) = (ask(app.address(), case), ask(front, case));
        if expected != found {
            let (a, b) = ((expected.0, &expected.1, expected.2.len()), (found.0, &found.1, found.2.len()));
            let texts = [&expected.2, &found.2]
                .map(|body| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned());
            differ.push(format!("{}:\n  {a:?}\n  {b:?}\n  {texts:?}", case.name));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// An app below `/app` sees the path without that, and is nowhere else.
fn below_app(front: SocketAddr) {
    let who = |path: &'static str| {
        let case =
            Case { name: "who", method: "GET", target: path, headers: &[], body: Vec::new(), chunked: false };
        let (status, _, body) = ask(front, &case);
        (status, String::from_utf8(body).unwrap())
    };
    let expected = "a b|/app|/who/a%20b|x=1|none|front.test|http|127.0.0.1".to_owned();
    assert_eq!(who("/app/who/a%20b?x=1"), (200, expected));
    assert_eq!(who("/app"), (200, "Hello, onion".to_owned()));
    assert_eq!(who("/app/"), (200, "Hello, onion".to_owned()));
    assert_eq!(who("/apples").0, 404);
}

/// Events arrive as they are sent, and the end of the client is the end of the handler.
fn streams(front: SocketAddr) {
    let started = Instant::now();
    let mut client = TcpStream::connect(front).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: front.test\r\n\r\n").unwrap();
    let (mut bytes, mut seen) = ([0; 4096], String::new());
    while seen.matches("data: tick").count() < 3 {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(started.elapsed() < Duration::from_secs(8), "events wait in the front server");
}

#[test]
fn nginx_by_fastcgi() {
    needs!("nginx");
    let app = app();
    let front = Front::nginx(&block("nginx", "fastcgi_keep_conn"), &app);
    compare(&app, front.address(), &[]);
    streams(front.address());
}

#[test]
fn nginx_by_fastcgi_below_a_prefix() {
    needs!("nginx");
    let app = app();
    let front = Front::nginx(&block("nginx", "fastcgi_split_path_info"), &app);
    below_app(front.address());
}

#[test]
fn nginx_by_scgi() {
    needs!("nginx");
    let app = app();
    let front = Front::nginx(&block("nginx", "scgi_pass"), &app);
    compare(&app, front.address(), &[]);
    streams(front.address());
}

#[test]
fn nginx_by_http() {
    needs!("nginx");
    let app = app();
    let front = Front::nginx(&block("nginx", "proxy_pass"), &app);
    compare(&app, front.address(), &[]);
    streams(front.address());
}

#[test]
fn apache_by_fastcgi() {
    needs!("apache2");
    let app = app();
    let front = Front::apache(&block("apache", "enablereuse"), &app);
    compare(&app, front.address(), &[]);
    streams(front.address());
}

#[test]
fn apache_below_a_prefix() {
    needs!("apache2");
    let app = app();
    for which in ["ProxyFCGISetEnvIf", "SetEnvIf Request_URI"] {
        below_app(Front::apache(&block("apache", which), &app).address());
    }
}

#[test]
fn apache_by_scgi() {
    needs!("apache2");
    let app = app();
    let front = Front::apache(&block("apache", "ProxyPass \"/\" \"scgi"), &app);
    compare(&app, front.address(), &["chunked echo"]);
}

#[test]
fn apache_by_cgi() {
    needs!("apache2");
    let app = app();
    let front = Front::apache_cgi(&block("apache", "ScriptAlias"), env!("CARGO_BIN_EXE_doors"));
    let below =
        |case: Case| Case { target: Box::leak(format!("/app{}", case.target).into_boxed_str()), ..case };
    let mut differ = Vec::new();
    for case in cases() {
        // A program gets no body whose length nobody has said (RFC 3875, section 4.1.2); Apache refuses to make one up.
        if case.chunked || case.name == "path and query" || case.name == "header" {
            continue;
        }
        let (name, expected) = (case.name, ask(app.address(), &case));
        let found = ask(front.address(), &below(case));
        if expected != found {
            let text = String::from_utf8_lossy(&found.2[..found.2.len().min(300)]).into_owned();
            differ.push(format!(
                "{name}:\n  {:?}\n  {:?}\n  {text}",
                (expected.0, &expected.1),
                (found.0, &found.1)
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    let case = Case {
        name: "who",
        method: "GET",
        target: "/app/who/a?serve",
        headers: &[],
        body: Vec::new(),
        chunked: false,
    };
    let (status, _, body) = ask(front.address(), &case);
    assert_eq!(
        (status, &*String::from_utf8(body).unwrap()),
        (200, "a|/app|/who/a|serve|none|front.test|http|127.0.0.1")
    );
}

#[test]
fn cepa_by_cgi() {
    let app = app();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_doors"), folder.path().join("app")).unwrap();
    let options = cgi::Options {
        root: folder.path().into(),
        symlinks: cgi::Symlinks::Anywhere,
        // A debug build maps more than it uses.
        memory: 4 << 30,
        ..cgi::Options::default()
    };
    let front = App::new().mount("/", cgi(options).unwrap()).trust("loopback".parse().unwrap());
    let front = Serving::new(front).start().unwrap();
    let mut differ = Vec::new();
    for case in cases().into_iter().filter(|case| !matches!(case.name, "path and query" | "header")) {
        let (name, expected) = (case.name, ask(app.address(), &case));
        let target = Box::leak(format!("/app{}", case.target).into_boxed_str());
        let found = ask(front.address(), &Case { target, ..case });
        if expected != found {
            differ.push(format!("{name}:\n  {:?}\n  {:?}", (expected.0, &expected.1), (found.0, &found.1)));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn lighttpd_by_fastcgi_and_scgi() {
    needs!("lighttpd");
    let app = app();
    for which in ["fastcgi.server", "scgi.server"] {
        let front = Front::lighttpd(&block("lighttpd", which), &app);
        compare(&app, front.address(), &[]);
        streams(front.address());
    }
}

#[test]
fn http2_by_itself() {
    needs!("curl");
    let app = app();
    for case in cases().iter().filter(|case| !case.chunked) {
        let expected = ask(app.address(), case);
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "--path-as-is", "--http2-prior-knowledge", "-H", "Host: front.test"]);
        match case.method {
            "HEAD" => drop(curl.arg("-I")),
            method => drop(curl.args(["-X", method])),
        }
        for (name, value) in case.headers {
            curl.args(["-H", &format!("{name}: {value}")]);
        }
        if !case.body.is_empty() || matches!(case.method, "PUT" | "POST") {
            curl.args(["--data-binary", "@-", "-H", "Expect:"]);
            if !case.headers.iter().any(|(name, _)| *name == "content-type") {
                curl.args(["-H", "Content-Type:"]);
            }
        }
        let mut curl = curl
            .arg(format!("http://{}{}", app.address(), case.target))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, body) = (curl.stdin.take().unwrap(), case.body.clone());
        let writing = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let answer = curl.wait_with_output().unwrap().stdout;
        writing.join().unwrap();
        let answer = [b"HTTP/1.1", &answer[b"HTTP/2".len()..]].concat();
        let found = Response::read(&mut &answer[..], case.method == "HEAD").unwrap();
        assert_eq!(outcome(found), expected, "{}", case.name);
    }
}

#[test]
fn cgi_fcgi_by_hand() {
    needs!("cgi-fcgi", "libfcgi-bin");
    let app = app();
    let command = block("sh", "cgi-fcgi").replace("127.0.0.1:9000", &app.addresses()[1].to_string());
    let output = Command::new("sh")
        .args(["-c", &command])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(text.starts_with("Status: 200 OK\r\n") && text.ends_with("\r\n\r\nHello, onion"), "{text}");
}

#[test]
fn the_listeners_of_the_page_are_a_configuration() {
    let table: toml::Table = block("toml", "server.listen").parse().unwrap();
    let config: cepa::ServerConfig = table["server"].clone().try_into().unwrap();
    let doors: Vec<_> = config.listen.iter().map(|listen| listen.door).collect();
    assert_eq!(doors, [Protocol::Http, Protocol::FastCgi, Protocol::Scgi, Protocol::Tora]);
}

#[test]
fn a_program_answers_once_and_reads_no_command_line() {
    let run = |variables: &[(&str, &str)], stdin: &[u8]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_doors"))
            .args(["routes", "--help"])
            .env_clear()
            .env("GATEWAY_INTERFACE", "CGI/1.1")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have answered without reading.
        let mut input = program.stdin.take().unwrap();
        let _ = input.write_all(stdin);
        let output = program.wait_with_output().unwrap();
        drop(input);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    };
    let get = |uri: &'static str| [("REQUEST_METHOD", "GET"), ("REQUEST_URI", uri)];
    // Its standard input stays open: a program must not wait for its end.
    let (answer, well) = run(&get("/"), b"");
    assert!(
        well && answer.starts_with("Status: 200 OK\r\n") && answer.ends_with("\r\n\r\nHello, onion"),
        "{answer}"
    );
    assert!(run(&get("/stream"), b"").0.ends_with("\r\n\r\none\ntwo\nthree\n"));
    let post = [("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/echo"), ("CONTENT_LENGTH", "200000")];
    let body = vec![b'x'; 200_000];
    let (answer, _) = run(&post, &body);
    assert!(answer.ends_with(&"x".repeat(200_000)) && answer.len() < 200_300);
    for (variables, status) in [
        (&[("REQUEST_METHOD", "G T")][..], "Status: 400"),
        (&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a b")], "Status: 400"),
        (
            &[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/"), ("CEPA__SERVER__LIMITS__HEADERS", "0")],
            "Status: 500",
        ),
    ] {
        let (answer, _) = run(variables, b"");
        assert!(answer.starts_with(status), "{answer}");
    }
}
