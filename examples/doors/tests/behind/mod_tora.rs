//! Behind Apache with mod_tora, the real one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cepa::prelude::*;
use cepa_programs::{has_not_run, needs};
use cepa_server::Protocol;
use cepa_tests::{Served, Serving, probe::Record, stats::eventually};

use crate::{
    Case, app, ask, compare,
    front::{Front, block},
    streams,
};

const MODULE: &str = "/usr/lib/x86_64-linux-gnu/neko/mod_tora2.ndll";

/// Apache before the last door of the app; `None` where mod_tora is missing.
fn apache(app: &Served) -> Option<Front> {
    if !Path::new(MODULE).exists() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        has_not_run(&test, "no mod_tora2.ndll; apt-get install neko");
        return None;
    }
    let door = app.addresses().last().unwrap().port().to_string();
    Some(Front::apache_with(&block("apache", "ModTora").replace("PORT 6666", &format!("PORT {door}"))))
}

#[test]
fn apache_by_tora() {
    needs!("apache2");
    let app = app();
    let Some(front) = apache(&app) else { return };
    // Apache does not know the status of a teapot, passes no body on whose length it does not know, and answers itself
    // where a form breaks off.
    let skipped = ["teapot", "chunked echo", "upload that breaks off"];
    compare(&app, front.address(), &skipped);
    streams(front.address());
    let statuses = skipped.map(|name| {
        let case = crate::cases().into_iter().find(|case| case.name == name).unwrap();
        ask(front.address(), &case).0
    });
    assert_eq!(statuses, [500, 411, 200]);
}

/// Sends a form of one file by curl, and answers the status with the body.
fn upload(to: SocketAddr, path: &str, size: usize) -> (String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; size]).unwrap();
    let output = Command::new("curl")
        .args(["-s", "-H", "Expect:", "-w", " %{http_code}", "-F", "a=1", "-F"])
        .arg(format!("f=@{};filename=a\"b.txt", file.path().display()))
        .arg(format!("http://{to}{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once(' ').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn forms_are_pulled_and_large_ones_are_refused_in_words() {
    needs!("apache2");
    needs!("curl");
    let app = App::new()
        .post("/length", async |ctx: &mut Ctx| -> Result<String> { Ok(ctx.bytes().await?.len().to_string()) })
        .post("/refuse", async |ctx: &mut Ctx| Err::<(), _>(ctx.error(403, "not for you")))
        .route(
            "/echo",
            cepa::router::post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(64 << 20),
        );
    let app = Serving::new(app).door(Protocol::Tora).start().unwrap();
    let Some(front) = apache(&app) else { return };
    let (status, length) = upload(front.address(), "/length", 3 << 20);
    assert_eq!(status, "200", "{length}");
    assert!(length.parse::<usize>().unwrap() > 3 << 20);
    // It is not read at all, or more than is allowed: Apache sends all of it before it reads the answer.
    assert_eq!(upload(front.address(), "/refuse", 3 << 20), ("403".to_owned(), "not for you".to_owned()));
    assert_eq!(upload(front.address(), "/length", 30 << 20).0, "413");
    // Both ends would wait for each other.
    let (status, body) = upload(front.address(), "/echo", 8 << 20);
    assert_eq!((&*status, body.len() > 8 << 20), ("200", true));
}

#[test]
fn a_browser_that_has_gone_is_noticed() {
    needs!("apache2");
    let record = Record::default();
    struct Dropped(Record);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let noted = record.clone();
    let app = App::new().get("/events", async move |ctx: &mut Ctx| -> Result<Body> {
        ctx.set_type("text/event-stream")?;
        let dropped = Dropped(noted.clone());
        Ok(Body::from_async(async move |mut out| {
            let _dropped = dropped;
            loop {
                out.write(":\n\n").await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }))
    });
    let app = Serving::new(app).door(Protocol::Tora).start().unwrap();
    let Some(front) = apache(&app) else { return };
    let mut client = TcpStream::connect(front.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: front.test\r\n\r\n").unwrap();
    let (mut bytes, mut seen) = ([0; 4096], Vec::new());
    while seen.iter().filter(|byte| **byte == b':').count() < 12 {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..length]);
    }
    assert!(!record.has("dropped"));
    let left = Instant::now();
    drop(client);
    eventually("the stream is dropped", || record.has("dropped"));
    assert!(left.elapsed() < Duration::from_secs(8));
}

#[test]
fn what_apache_says_of_the_request_arrives() {
    needs!("apache2");
    let app = app();
    let Some(front) = apache(&app) else { return };
    let case = |target| Case {
        name: "who",
        method: "GET",
        target,
        headers: &[("x-one", "two"), ("x_one", "evil")],
        body: Vec::new(),
        chunked: false,
    };
    for (target, expected) in [
        (
            "/who/a%20b%25%C3%A9?x=%201;y=2",
            "a b%é||/who/a%20b%25%C3%A9|x=%201;y=2|two|front.test|http|127.0.0.1",
        ),
        ("/who/a+b", "a+b||/who/a+b||two|front.test|http|127.0.0.1"),
    ] {
        let (status, _, body) = ask(front.address(), &case(target));
        assert_eq!((status, &*String::from_utf8_lossy(&body)), (200, expected));
    }
}
