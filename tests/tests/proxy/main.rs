//! The reverse proxy between real clients and real servers.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod failing;
mod passing;
mod tunnels;
mod upstreams;

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use cepa_core::{App, Body, Ctx, Error, Io, Result, router::post};
use cepa_layers::{proxy, proxy::Options};
use cepa_tests::{Served, http::Response, serve, wire::Wire};
use http::StatusCode;

fn to(address: SocketAddr) -> Options {
    Options { upstreams: vec![format!("http://{address}")], ..Options::default() }
}

/// A server whose every request goes through a proxy with these options.
fn front(options: Options) -> Served {
    serve(App::new().with(proxy(options).unwrap())).unwrap()
}

fn get(server: &Served, path: &str, headers: &str) -> Response {
    Wire::open(server.address(), format!("GET {path} HTTP/1.1\r\nHost: front.test\r\n{headers}\r\n"))
        .response()
}

fn text(server: &Served, path: &str) -> (u16, String) {
    let response = get(server, path, "");
    (response.status, response.text())
}

/// Answers each connection by a script that gets what was read, and notes all that came.
fn scripted(
    script: impl Fn(&mut std::net::TcpStream, usize) + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let (notes, script, count) = (Arc::clone(&heard), Arc::new(script), AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (notes, script, at) = (Arc::clone(&notes), Arc::clone(&script), count.fetch_add(1, SeqCst));
            thread::spawn(move || {
                let mut piece = [0; 65536];
                while let Ok(length @ 1..) = stream.read(&mut piece) {
                    notes.lock().unwrap().push(String::from_utf8_lossy(&piece[..length]).into_owned());
                    script(&mut stream, at);
                }
            });
        }
    });
    (address, heard)
}

const SWITCH: &str = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn upstream() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "root")
        .get("/path/{*rest}", async |ctx: &mut Ctx| ctx.original_url().to_owned())
        .all("/headers", async |ctx: &mut Ctx| {
            let mut lines: Vec<String> = Vec::new();
            for (name, value) in ctx.request.headers() {
                lines.push(format!("{name}: {}", value.to_str().unwrap_or("?")));
            }
            lines.sort();
            format!("{:?}\n{}\n", ctx.request.version(), lines.join("\n"))
        })
        .get("/answer", async |ctx: &mut Ctx| -> Result<StatusCode> {
            ctx.append("set-cookie", "a=1")?;
            ctx.append("set-cookie", "b=2")?;
            ctx.set("x-own", "1")?;
            ctx.set("keep-alive", "timeout=1")?;
            ctx.set("server", "inner")?;
            Ok(StatusCode::IM_A_TEAPOT)
        })
        .get("/login", async |ctx: &mut Ctx| ctx.redirect("/path/in"))
        .get("/nothing", async |_: &mut Ctx| StatusCode::NO_CONTENT)
        .route("/echo", post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .get("/breaks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                // Or it would break before the head has left.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(Error::new(500, "the source dried up"))
            })
        })
        .get("/silent", async |_: &mut Ctx| std::future::pending::<()>().await)
        .get("/stalls", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                std::future::pending().await
            })
        })
        .get("/switch", async |ctx: &mut Ctx| -> Result {
            let to = ctx.get("upgrade").unwrap_or("nothing").to_owned();
            if to == "nothing" {
                return ctx.set_body("no switch");
            }
            ctx.set_status(101)?;
            ctx.set("upgrade", to)?;
            ctx.response.on_upgrade(Box::new(|io| Box::pin(echo(io))));
            Ok(())
        })
}

/// Sends back what comes, and says goodbye at its end.
async fn echo(mut io: Box<dyn Io>) {
    use std::future::poll_fn;
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = poll_fn(|cx| io.poll_read(cx, &mut piece)).await {
        let mut rest = &piece[..length];
        while !rest.is_empty() {
            let Ok(taken) = poll_fn(|cx| io.poll_write(cx, rest)).await else { return };
            rest = &rest[taken..];
        }
        if poll_fn(|cx| io.poll_flush(cx)).await.is_err() {
            return;
        }
    }
    let _ = poll_fn(|cx| io.poll_write(cx, b"bye")).await;
    let _ = poll_fn(|cx| io.poll_shutdown(cx)).await;
}
