//! The HTTP half of the floor: bytes in, bytes out, no I/O and, outside serde's own in /echo, no
//! allocation per request. It does what a correct server must at least do: httparse over the whole
//! head, Content-Length, Connection and Transfer-Encoding checked, matchit over the peers' routes.
use matchit::Router;
use peer_common::*;
use rustix::time::{clock_gettime, ClockId};
use std::time::{Duration, UNIX_EPOCH};

#[derive(Clone, Copy, PartialEq)]
enum Route {
    Plaintext,
    Json,
    User,
    Echo,
    File,
    Other,
}

pub struct Core {
    router: Router<Route>,
    date: [u8; 29],
    second: i64,
    file_len: usize,
}

/// What `Core::run` did with the input.
#[derive(Default)]
pub struct Step {
    pub consumed: usize,
    /// the connection must be closed when the output is written
    pub close: bool,
    /// the file must follow the output before the rest of the input is looked at
    pub file: bool,
}

/// One answered request.
struct Done {
    consumed: usize,
    close: bool,
    file: bool,
}

impl Core {
    pub fn new(file_len: usize) -> Self {
        let mut router = Router::new();
        let fixed = [("/plaintext", Route::Plaintext), ("/json", Route::Json), ("/echo", Route::Echo), ("/file", Route::File)];
        for (path, route) in fixed {
            router.insert(path, route).unwrap();
        }
        for (i, path) in routes(|n| format!("{{{n}}}")).into_iter().enumerate() {
            router.insert(path, if i == USERS_INDEX { Route::User } else { Route::Other }).unwrap();
        }
        Core { router, date: [b' '; 29], second: -1, file_len }
    }

    /// Call once per wake-up: refreshes the cached date when the second has changed.
    pub fn tick(&mut self) {
        let now = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
        if now != self.second {
            self.second = now;
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now as u64));
            self.date.copy_from_slice(date.as_bytes());
        }
    }

    /// Answers every whole request in `input`, appending to `out`; stops after a request that ends
    /// the connection or needs the file.
    pub fn run(&self, input: &[u8], out: &mut Vec<u8>) -> Step {
        let mut step = Step::default();
        while step.consumed < input.len() && !step.close && !step.file {
            let Some(done) = self.one(&input[step.consumed..], out) else { break };
            step.consumed += done.consumed;
            step.close = done.close;
            step.file = done.file;
        }
        step
    }

    /// The first request in `bytes`, if all of it is there.
    #[inline]
    fn one(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Done> {
        let refuse = |line, out: &mut Vec<u8>| {
            self.status(out, line, true);
            Some(Done { consumed: bytes.len(), close: true, file: false })
        };
        let mut headers = [std::mem::MaybeUninit::uninit(); 64];
        let mut req = httparse::Request::new(&mut []);
        let head = match req.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(httparse::Status::Complete(n)) => n,
            Ok(httparse::Status::Partial) => return None,
            Err(_) => return refuse("400 Bad Request", out),
        };
        let mut len = 0usize;
        let mut close = req.version == Some(0);
        for h in req.headers.iter() {
            match h.name.len() {
                14 if h.name.eq_ignore_ascii_case("content-length") => {
                    match std::str::from_utf8(h.value).ok().and_then(|s| s.trim().parse().ok()) {
                        Some(n) => len = n,
                        None => return refuse("400 Bad Request", out),
                    }
                }
                10 if h.name.eq_ignore_ascii_case("connection") => {
                    if h.value.eq_ignore_ascii_case(b"close") {
                        close = true;
                    } else if h.value.eq_ignore_ascii_case(b"keep-alive") {
                        close = false;
                    }
                }
                17 if h.name.eq_ignore_ascii_case("transfer-encoding") => {
                    return refuse("501 Not Implemented", out);
                }
                _ => {}
            }
        }
        let body = bytes[head..].get(..len)?;
        let target = req.path.unwrap_or("/");
        let path = target.split('?').next().unwrap_or(target);
        let post = req.method == Some("POST");
        let file = match self.router.at(path) {
            Ok(m) if post == (*m.value == Route::Echo) => {
                self.answer(*m.value, m.params.get("id").unwrap_or(""), body, out, close)
            }
            Ok(_) => {
                self.status(out, "405 Method Not Allowed", close);
                false
            }
            Err(_) => {
                self.status(out, "404 Not Found", close);
                false
            }
        };
        Some(Done { consumed: head + len, close, file })
    }

    /// Writes the answer; true if the file must follow.
    #[inline]
    fn answer(&self, route: Route, id: &str, body: &[u8], out: &mut Vec<u8>, close: bool) -> bool {
        match route {
            Route::Plaintext => {
                self.head(out, "text/plain", HELLO.len(), close);
                out.extend_from_slice(HELLO.as_bytes());
            }
            Route::Json => self.json(out, &Message::new(), close),
            Route::User => self.json(out, &User { id }, close),
            Route::Echo => match serde_json::from_slice::<Payload>(body) {
                Ok(p) => self.json(out, &p, close),
                Err(_) => self.status(out, "400 Bad Request", close),
            },
            Route::File => self.head(out, "text/plain", self.file_len, close),
            Route::Other => {
                self.head(out, "text/plain", 5, close);
                out.extend_from_slice(b"other");
            }
        }
        route == Route::File
    }

    #[inline]
    fn head(&self, out: &mut Vec<u8>, content_type: &str, len: usize, close: bool) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: raw\r\nDate: ");
        out.extend_from_slice(&self.date);
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
        out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
        out.extend_from_slice(if close { b"\r\nConnection: close\r\n\r\n" } else { b"\r\n\r\n" });
    }

    fn status(&self, out: &mut Vec<u8>, line: &str, close: bool) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\nServer: raw\r\nContent-Length: 0");
        out.extend_from_slice(if close { b"\r\nConnection: close\r\n\r\n" } else { b"\r\n\r\n" });
    }

    /// The length must stand in the head, so the body is serialised to the stack first.
    #[inline]
    fn json<T: serde::Serialize>(&self, out: &mut Vec<u8>, value: &T, close: bool) {
        let mut body = [0u8; 1536];
        let mut rest = &mut body[..];
        serde_json::to_writer(&mut rest, value).unwrap();
        let len = 1536 - rest.len();
        self.head(out, "application/json", len, close);
        out.extend_from_slice(&body[..len]);
    }
}
