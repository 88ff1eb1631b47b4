//! Files and compressed bodies over sockets: what curl makes of them, and what a client costs that does not read.

use cepa_programs::needs;
use std::{
    fs,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cepa_core::{App, Body, Ctx, Result};
use cepa_layers::{
    compress,
    static_files::{self, static_files},
};
use cepa_tests::{
    Served, serve,
    stats::resident,
    wire::{Ended, Wire},
};
use tempfile::TempDir;

const SIZE: usize = 5_000_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at % 251) as u8).collect()
}

/// One test at a time: memory is counted for the whole process.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory with a large file, an app that serves it and compresses the rest.
fn site() -> (TempDir, Served) {
    let root = tempfile::tempdir().expect("there is room for a directory");
    fs::write(root.path().join("large.bin"), content()).expect("there is room for a file");
    let files = static_files::Options { root: root.path().into(), ..Default::default() };
    let app = App::new()
        .with(compress(Default::default()).expect("the defaults are right"))
        .with(static_files(files).expect("the root is there"))
        .get("/text", async |_: &mut Ctx| "onion ".repeat(10_000))
        .get("/stream", async |ctx: &mut Ctx| -> Result<Body> {
            ctx.set_type("text")?;
            Ok(Body::from_async(async |mut out| {
                for _ in 0..10_000 {
                    out.write("onion ").await;
                }
                Ok(())
            }))
        });
    (root, serve(app).expect("the app is served"))
}

fn curl(server: &Served, path: &str, flags: &[&str]) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "30", "--noproxy", "*"]).args(flags);
    let output = curl.arg(format!("http://{}{path}", server.address())).output().expect("curl is installed");
    assert!(output.status.success(), "{path} {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn curl_reads_every_coding() {
    needs!("curl");
    let _turn = turn();
    let (_root, server) = site();
    for path in ["/text", "/stream"] {
        for coding in ["zstd", "br", "gzip", "deflate"] {
            let accepted = format!("accept-encoding: {coding}");
            let text = curl(&server, path, &["--compressed", "-H", &accepted]);
            assert_eq!(text, "onion ".repeat(10_000).as_bytes(), "{path} {coding}");
            let size = ["-o", "/dev/null", "-w", "%{size_download} %header{content-encoding}"];
            let told = curl(&server, path, &[&["-H", &accepted][..], &size].concat());
            let told = String::from_utf8(told).unwrap();
            let (size, name) = told.split_once(' ').unwrap();
            assert!(name == coding && size.parse::<usize>().unwrap() < 1000, "{path}: {told}");
        }
    }
}

#[test]
fn curl_goes_on_with_a_download() {
    needs!("curl");
    let _turn = turn();
    let (root, server) = site();
    let part = root.path().join("part");
    fs::write(&part, &content()[..1_234_567]).unwrap();
    curl(&server, "/large.bin", &["-C", "-", "-o", part.to_str().unwrap()]);
    assert!(fs::read(&part).unwrap() == content());
    let parts = curl(&server, "/large.bin", &["-r", "0-99,1000000-1999999"]);
    // The second part stands before the last delimiter.
    let end = parts.len() - "\r\n--\r\n".len() - 32 - "--".len();
    assert!(parts[end - 1_000_000..end] == content()[1_000_000..2_000_000]);
}

#[test]
fn a_client_that_does_not_read_costs_a_piece() {
    let _turn = turn();
    let (root, server) = site();
    // A hole: it takes no place on the disk.
    fs::File::create(root.path().join("huge")).unwrap().set_len(1 << 30).unwrap();
    let before = resident();
    let request = "GET /huge HTTP/1.1\r\nHost: a\r\n\r\n";
    let wires: Vec<_> = (0..20).map(|_| Wire::open(server.address(), request)).collect();
    cepa_tests::stats::pause(std::time::Duration::from_millis(500));
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for {} clients", wires.len());
}

#[test]
fn a_file_that_shrinks_ends_in_a_reset() {
    let _turn = turn();
    let (root, server) = site();
    let path = root.path().join("huge");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let mut wire = Wire::open(server.address(), "GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.read_exact(1000).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let (rest, ended) = wire.rest();
    assert!(ended == Ended::Reset && rest.len() < 1 << 30, "{ended:?} after {}", rest.len());
}
