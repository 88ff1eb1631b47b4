//! `cepa-counted DOOR REQUESTS`: serves a text to itself, that many times over 16 connections, and ends. What
//! `cargo xtask insn` counts the instructions of.

use std::{
    env,
    error::Error,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
};

use cepa_core::{App, Ctx};
use cepa_server::{
    ListenConfig, Protocol, Server, ServerConfig,
    fastcgi::push_pair,
    limits::Limits,
    listen::{Address, Endpoint},
};

const AT_ONCE: usize = 16;

/// What nginx says of a request by its `fastcgi_params` or `scgi_params`.
const VARIABLES: [(&str, &str); 21] = [
    ("CONTENT_LENGTH", "0"),
    ("SCGI", "1"),
    ("QUERY_STRING", ""),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("SCRIPT_NAME", "/"),
    ("REQUEST_URI", "/"),
    ("DOCUMENT_URI", "/"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "http"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "40000"),
    ("SERVER_ADDR", "127.0.0.1"),
    ("SERVER_PORT", "8080"),
    ("SERVER_NAME", ""),
    ("HTTP_HOST", "127.0.0.1:8080"),
    ("HTTP_USER_AGENT", "curl/7.88.1"),
    ("HTTP_ACCEPT", "*/*"),
];

/// A protocol: what is asked, and what an answer ends with where its connection is kept.
struct Way {
    door: Protocol,
    request: Vec<u8>,
    end: Option<&'static [u8]>,
}

fn way(name: &str) -> Option<Way> {
    const GET: &[u8] =
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
    const END_REQUEST: &[u8] = &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Some(match name {
        "http" => Way { door: Protocol::Http, request: GET.to_vec(), end: Some(b"Hello, World!") },
        "fastcgi" => Way { door: Protocol::FastCgi, request: fastcgi(), end: Some(END_REQUEST) },
        "scgi" => Way { door: Protocol::Scgi, request: scgi(), end: None },
        _ => return None,
    })
}

/// A request after which the connection is kept.
fn fastcgi() -> Vec<u8> {
    let mut pairs = Vec::new();
    for (name, value) in VARIABLES.iter().filter(|(name, _)| *name != "SCGI") {
        push_pair(&mut pairs, name.as_bytes(), value.as_bytes());
    }
    let mut out = Vec::new();
    for (kind, content) in [(1, &[0, 1, 1, 0, 0, 0, 0, 0][..]), (4, &pairs), (4, b""), (5, b"")] {
        let [high, low] = (content.len() as u16).to_be_bytes();
        out.extend_from_slice(&[1, kind, 0, 1, high, low, 0, 0]);
        out.extend_from_slice(content);
    }
    out
}

fn scgi() -> Vec<u8> {
    let text: String = VARIABLES.iter().flat_map(|(name, value)| [*name, "\0", *value, "\0"]).collect();
    format!("{}:{text},", text.len()).into_bytes()
}

/// Reads one answer.
fn read(stream: &mut TcpStream, end: Option<&[u8]>, into: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    into.clear();
    let mut bytes = [0; 4096];
    while !end.is_some_and(|end| into.ends_with(end)) {
        match stream.read(&mut bytes)? {
            0 if end.is_none() => break,
            0 => return Err("the connection has ended".into()),
            length => into.extend_from_slice(&bytes[..length]),
        }
    }
    if into.windows(6).any(|here| here == b"200 OK") { Ok(()) } else { Err("it is no answer".into()) }
}

fn ask(to: SocketAddr, way: &Way, requests: usize) -> Result<(), Box<dyn Error>> {
    let (mut streams, mut answer) = (Vec::new(), Vec::new());
    for _ in 0..requests / AT_ONCE {
        while streams.len() < AT_ONCE {
            streams.push(TcpStream::connect(to)?);
        }
        for stream in &mut streams {
            stream.write_all(&way.request)?;
        }
        for stream in &mut streams {
            read(stream, way.end, &mut answer)?;
        }
        if way.end.is_none() {
            streams.clear();
        }
    }
    Ok(())
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let [_, door, requests] = &args[..] else {
        return Err("usage: cepa-counted http|fastcgi|scgi REQUESTS".into());
    };
    let way = way(door).ok_or("there are http, fastcgi, scgi")?;
    let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let listen = ListenConfig { door: way.door, ..ListenConfig::from(any_port) };
    let limits = Limits { requests_per_connection: 0, ..Limits::default() };
    let config = ServerConfig { listen: vec![listen], workers: 1, limits, ..ServerConfig::default() };
    let app = App::new().get("/", async |_: &mut Ctx| "Hello, World!").build()?;
    let running = Server::bind(config, app)?.start()?;
    let [Endpoint::Tcp(to)] = running.endpoints() else { return Err("it has no port".into()) };
    ask(*to, &way, requests.parse()?)?;
    running.stopper().cut();
    Ok(running.join()?)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
