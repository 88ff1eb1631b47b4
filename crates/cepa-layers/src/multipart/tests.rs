//! Whole apps that take forms with files.

use std::{
    cell::Cell,
    fs,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Request, channel,
    router::post,
    test::{Answer, Client, block_on},
};
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use tempfile::TempDir;
use tokio::runtime::LocalRuntime;

use super::{file::copy, *};

const TYPE: &str = "multipart/form-data; boundary=ab";

fn body(parts: &[(&str, &str)]) -> String {
    let parts = parts.iter().map(|(names, content)| {
        format!(
            "--ab\r\nContent-Disposition: form-data; {names}\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
        )
    });
    parts.chain(["--ab--\r\n".to_owned()]).collect()
}

async fn send(client: &Client, path: &str, body: impl Into<Body>) -> Answer {
    client.post(path).header("content-type", TYPE).body(body).await
}

fn status_and_text(answer: &Answer) -> (u16, &str) {
    (answer.status().as_u16(), answer.text())
}

/// Tells what an upload held: fields, then files with whether they are in memory.
async fn tell(ctx: &mut Ctx) -> Result<String> {
    let upload = ctx.upload().await?;
    let mut told: Vec<_> = upload.fields().map(|(name, text)| format!("{name}={text}")).collect();
    for file in upload.files() {
        let place = if file.as_bytes().is_some() { "memory" } else { "disk" };
        let start = String::from_utf8_lossy(&file.bytes().await?).chars().take(3).collect::<String>();
        let (name, file_name) = (file.name(), file.file_name().unwrap_or_default());
        told.push(format!(
            "{name}:{file_name}:{}:{}:{place}:{start}",
            file.content_type().unwrap_or("-"),
            file.len()
        ));
    }
    Ok(told.join(" "))
}

/// Runs a test with a folder for files, which holds none of them by a name before and after.
fn with_folder(options: Options, test: impl AsyncFnOnce(Client, &TempDir)) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: folder.path().to_owned(), ..options };
    let app = App::new().with(multipart(options).unwrap()).post("/", tell).post("/parts", by_parts);
    LocalRuntime::new().unwrap().block_on(async {
        test(app.test(), &folder).await;
        assert_eq!(names_in(&folder), Vec::<String>::new());
    });
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Reads the first piece of each part only.
async fn by_parts(ctx: &mut Ctx) -> Result<String> {
    let mut parts = ctx.parts()?;
    let mut told = Vec::new();
    while let Some(mut part) = parts.next().await? {
        let first = part.chunk().await?.map_or(0, |chunk| chunk.len());
        told.push(format!("{}:{}", part.name(), first.min(1)));
    }
    Ok(told.join(" "))
}

#[test]
fn fields_and_files_are_read_from_memory_and_disk() {
    with_folder(Options { memory: 1000, ..Options::default() }, async |client, _| {
        let large = "large".repeat(100_000);
        let sent = body(&[
            ("name=title", "Tobi é"),
            ("name=small; filename=a.txt", "tiny"),
            ("name=none; filename=\"\"", ""),
            ("name=title", "again"),
            ("name=large; filename=\"../b.bin\"", &large),
            ("name=empty; filename=c.txt", ""),
        ]);
        let expected = "title=Tobi é title=again small:a.txt:text/plain:4:memory:tin \
            large:b.bin:text/plain:500000:disk:lar empty:c.txt:text/plain:0:memory:";
        assert_eq!(status_and_text(&send(&client, "/", sent.clone()).await), (200, expected));
        assert_eq!(
            send(&client, "/parts", sent).await.text(),
            "title:1 small:1 none:0 title:1 large:1 empty:0",
            "what is not read of a part is passed over"
        );
    });
}

#[test]
fn other_bodies_are_refused() {
    let client = App::new().post("/", tell).test();
    for (kind, status) in [
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 400),
        ("multipart/mixed; boundary=ab", 415),
    ] {
        let answer = block_on(client.post("/").header("content-type", kind).body("--ab--"));
        assert_eq!(answer.status(), status, "{kind}");
    }
    assert_eq!(block_on(client.post("/").body("--ab--")).status(), 415);
    let cut = body(&[("name=a", "1")]).replace("--ab--", "");
    let answer = block_on(send(&client, "/", cut));
    assert_eq!(status_and_text(&answer), (400, "the multipart body is cut off"));
    let behind = body(&[("name=a", "1")]) + &"x".repeat(2000);
    assert_eq!(block_on(send(&client, "/", behind)).text(), "a=1", "what follows the last part is ignored");
    let mut latin = body(&[("name=a", "#")]).into_bytes();
    let at = latin.iter().position(|byte| *byte == b'#').unwrap();
    latin[at] = 0xe9;
    assert_eq!(status_and_text(&block_on(send(&client, "/", latin))), (400, "a field is not UTF-8"));
}

#[test]
fn multipart_bomb() {
    let options = || Options { fields: 3, files: 2, field_bytes: 10, file_bytes: 2000, ..Options::default() };
    let field = ("name=a", "1");
    let file = ("name=a; filename=b", "1");
    let (eleven, many) = ("x".repeat(11), "x".repeat(2001));
    for (parts, status, text) in [
        (vec![field; 3], 200, "a=1 a=1 a=1"),
        (vec![field; 4], 413, "more than 3 fields"),
        (vec![file; 3], 413, "more than 2 files"),
        (vec![("name=a", eleven.as_str())], 413, "a field larger than 10 bytes"),
        (vec![("name=a; filename=b", many.as_str())], 413, "a file larger than 2000 bytes"),
    ] {
        with_folder(options(), async |client, _| {
            let sent = body(&parts);
            assert_eq!(status_and_text(&send(&client, "/", sent.clone()).await), (status, text));
            assert_eq!(send(&client, "/parts", sent).await.status(), status, "{text}");
        });
    }
    let long = body(&[(&format!("name={}", "n".repeat(101)), "1")]);
    with_folder(options(), async |client, _| {
        let answer = send(&client, "/", long).await;
        assert_eq!(status_and_text(&answer), (413, "the name of a field larger than 100 bytes"));
    });
}

/// Pieces without an end, which counts how many were asked for.
struct Endless(Rc<Cell<usize>>, Option<String>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.0.set(self.0.get() + 1);
        let piece = self.1.take().map_or(Bytes::from_static(&[b'x'; 1024]), Bytes::from);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[test]
fn a_file_is_refused_with_its_first_byte_too_many() {
    with_folder(Options { file_bytes: 10 << 10, memory: 1000, ..Options::default() }, async |client, _| {
        let asked = Rc::default();
        let head = "--ab\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n".to_owned();
        let answer = send(&client, "/", Body::new(Endless(Rc::clone(&asked), Some(head)))).await;
        assert_eq!(status_and_text(&answer), (413, "a file larger than 10240 bytes"));
        assert_eq!(asked.get(), 12, "a head, ten pieces that fit, and one that does not");
    });
}

/// Asks on after the first refusal, and tells what came of it each time.
async fn go_on(ctx: &mut Ctx) -> Result<String> {
    let mut parts = ctx.parts()?;
    let mut told = Vec::new();
    while told.len() < 3 {
        match parts.next().await {
            Ok(Some(mut part)) => {
                let Err(error) = part.bytes().await else { continue };
                let again = part.chunk().await.unwrap_err();
                told.push(format!("{} {}", error.message(), error.message() == again.message()));
            }
            Ok(None) => told.push("the end".to_owned()),
            Err(error) => told.push(error.message().to_owned()),
        }
    }
    Ok(told.join("|"))
}

#[test]
fn a_refusal_stays_one() {
    let options =
        Options { fields: 2, field_bytes: 10, extensions: Some(vec!["png".into()]), ..Options::default() };
    let client = App::new().with(multipart(options).unwrap()).post("/", go_on).test();
    let eleven = "x".repeat(11);
    for (parts, told) in [
        (vec![("name=a", "1"); 9], "more than 2 fields|more than 2 fields|more than 2 fields"),
        (
            vec![("name=a; filename=a.php", "1"), ("name=a", "1")],
            "files such as \"a.php\" are not taken|files such as \"a.php\" are not taken|\
             files such as \"a.php\" are not taken",
        ),
        (
            vec![("name=a", &*eleven), ("name=a", "1")],
            "a field larger than 10 bytes true|a field larger than 10 bytes|a field larger than 10 bytes",
        ),
    ] {
        assert_eq!(block_on(send(&client, "/", body(&parts))).text(), told);
    }
    // The text of a field says nothing of the parts behind it.
    let lenient = App::new().post("/", async |ctx: &mut Ctx| -> Result<String> {
        let mut parts = ctx.parts()?;
        let mut told = Vec::new();
        while let Some(mut part) = parts.next().await? {
            told.push(part.text().await.is_ok());
        }
        Ok(format!("{told:?}"))
    });
    let mut latin = body(&[("name=a", "#"), ("name=b", "1")]).into_bytes();
    let at = latin.iter().position(|byte| *byte == b'#').unwrap();
    latin[at] = 0xe9;
    assert_eq!(block_on(send(&lenient.test(), "/", latin)).text(), "[false, true]");
}

#[test]
fn a_body_that_declares_too_much_is_refused_before_a_byte_is_asked_for() {
    let onion = App::new().route("/", post(tell).body_limit(1000)).build().unwrap();
    let (sender, incoming) = channel(Some(1001), u64::MAX);
    let mut request = Request::new(Method::POST, "/");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
    request.set_body(incoming);
    assert_eq!(block_on(onion.handle(request)).status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(sender.is_reader_gone() && !sender.is_wanted());
}

#[test]
fn only_allowed_extensions_are_taken() {
    let extensions = Some(["png", ".JPG", "tar.gz"].map(str::to_owned).into());
    with_folder(Options { extensions, ..Options::default() }, async |client, _| {
        for (file_name, content, status) in [
            ("a.png", "x", 200),
            ("a.b.JpG", "x", 200),
            ("a.Tar.gz", "x", 200),
            ("a.gz", "x", 400),
            ("atar.gz", "x", 400),
            ("tar.gz", "x", 400),
            ("é.png", "x", 200),
            ("png.é", "x", 400),
            ("", "", 200),
            ("a.png.exe", "x", 400),
            ("png", "x", 400),
            ("a.", "x", 400),
            ("a.png/x.php", "x", 400),
            ("a.php%00.png", "x", 200),
            ("", "x", 413),
            ("..", "x", 413),
        ] {
            let sent = body(&[(&format!("name=a; filename=\"{file_name}\""), content)]);
            for path in ["/", "/parts"] {
                let answer = send(&client, path, sent.clone()).await;
                assert_eq!(answer.status(), status, "{file_name:?} {path}: {}", answer.text());
            }
        }
    });
}

#[test]
fn files_are_saved_under_a_new_path_only() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().to_owned();
    let save = async move |ctx: &mut Ctx| -> Result<String> {
        let mut upload = ctx.upload().await?;
        let file = ctx.expect(upload.take_file("a"), 400, "no file")?;
        let place = if file.as_bytes().is_some() { "memory" } else { "disk" };
        let path = kept.join(ctx.path().trim_start_matches('/'));
        match file.save_as(&path).await {
            Ok(()) => Ok(format!("{place} {}", fs::read(path)?.len())),
            Err(error) => Ok(format!("{:?}", error.downcast_ref::<io::Error>().map(io::Error::kind))),
        }
    };
    let options = Options { memory: 100, folder: folder.path().to_owned(), ..Options::default() };
    let client = App::new().with(multipart(options).unwrap()).post("/{name}", save).test();
    LocalRuntime::new().unwrap().block_on(async {
        for (path, size, text) in [
            ("/small", 10, "memory 10"),
            ("/large", 10_000, "disk 10000"),
            ("/small", 10, "Some(AlreadyExists)"),
            ("/small", 10_000, "Some(AlreadyExists)"),
            ("/no/folder", 10, "Not Found"),
        ] {
            let sent = body(&[("name=a; filename=b", &"x".repeat(size))]);
            assert_eq!(send(&client, path, sent).await.text(), text, "{path} {size}");
        }
    });
    let mut names = names_in(&folder);
    names.sort();
    assert_eq!(names, ["large", "small"]);
}

#[test]
fn a_file_is_copied_where_it_cannot_be_linked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    copy(io::Cursor::new(b"content"), &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content");
    assert_eq!(copy(io::Cursor::new(b"x"), &path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"content", "what was there stays");
    struct Fails;
    impl io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let path = folder.path().join("partial");
    assert!(copy(Fails, &path).is_err() && !path.exists());
}

#[test]
fn readers_begin_at_the_beginning() {
    let read = async |ctx: &mut Ctx| -> Result<String> {
        let mut told = String::new();
        for file in ctx.upload().await?.into_files() {
            file.bytes().await?;
            io::Read::read_to_string(&mut file.into_reader()?, &mut told)?;
        }
        Ok(told)
    };
    let options = Options { memory: 5, ..Options::default() };
    let client = App::new().with(multipart(options).unwrap()).post("/", read).test();
    LocalRuntime::new().unwrap().block_on(async {
        let sent = body(&[("name=a; filename=b", "four"), ("name=a; filename=b", "more than five")]);
        assert_eq!(send(&client, "/", sent).await.text(), "fourmore than five");
    });
}

#[test]
fn no_file_is_left_when_a_request_is_dropped_panics_or_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { memory: 10, folder: folder.path().to_owned(), ..Options::default() };
    let onion = App::new()
        .with(multipart(options).unwrap())
        .post("/", tell)
        .post("/panics", async |ctx: &mut Ctx| -> Result {
            let upload = ctx.upload().await?;
            panic!("with {} files", upload.files().len());
        })
        .build()
        .unwrap();
    let whole = body(&[("name=a; filename=b", &"x".repeat(100_000))]);
    LocalRuntime::new().unwrap().block_on(async {
        let request = |path: &str| {
            let mut request = Request::new(Method::POST, path);
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
            request
        };
        let mut panics = request("/panics");
        panics.set_body(whole.clone());
        assert_eq!(onion.handle(panics).await.status(), 500);

        for is_dropped in [true, false] {
            let (mut sender, incoming) = channel(None, u64::MAX);
            let mut cut = request("/");
            cut.set_body(incoming);
            let mut answer = Box::pin(onion.handle(cut));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(answer.as_mut().poll(&mut cx).is_pending());
            sender.send(whole[..50_000].to_owned().into());
            while !sender.is_wanted() {
                assert!(answer.as_mut().poll(&mut cx).is_pending());
                tokio::task::yield_now().await;
            }
            drop(sender);
            match is_dropped {
                true => drop(answer),
                false => assert_eq!(answer.await.status(), 400),
            }
        }
    });
    assert_eq!(names_in(&folder), Vec::<String>::new());
}

#[test]
fn what_a_disk_fails_with_has_a_status() {
    for (kind, status) in
        [(io::ErrorKind::StorageFull, 507), (io::ErrorKind::QuotaExceeded, 507), (io::ErrorKind::Other, 500)]
    {
        assert_eq!(disk_error(kind.into()).status(), status);
    }
    // A full disk, without one: every write to this device fails so.
    #[cfg(target_os = "linux")]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = io::Write::write_all(&mut &full, b"x").unwrap_err();
        assert_eq!(disk_error(error).status(), 507);
    }
}

#[test]
fn fields_are_read_into_a_type() {
    #[derive(serde::Deserialize)]
    struct Entry {
        title: String,
        year: Option<u16>,
        #[serde(default)]
        tag: Vec<String>,
    }
    let client = App::new()
        .post("/", async |ctx: &mut Ctx| -> Result<String> {
            let Entry { title, year, tag } = ctx.upload().await?.form()?;
            Ok(format!("{title} {year:?} {tag:?}"))
        })
        .test();
    let good = body(&[("name=title", "x"), ("name=year", "2026"), ("name=tag", "a"), ("name=tag", "b")]);
    assert_eq!(block_on(send(&client, "/", good)).text(), r#"x Some(2026) ["a", "b"]"#);
    let wrong = body(&[("name=title", "x"), ("name=year", "soon")]);
    let expected = (400, r#"form: invalid value "soon" for "year": expected u16"#);
    assert_eq!(status_and_text(&block_on(send(&client, "/", wrong))), expected);
}

#[test]
fn wrong_options_are_an_error_at_the_start() {
    let wrong = Options { folder: "/does/not/exist".into(), ..Options::default() };
    let error = multipart(wrong).unwrap_err().to_string();
    assert!(error.contains("in the folder /does/not/exist"), "{error}");
    for extension in ["", ".", "image/png", "*.png", "tar..gz", "gz."] {
        let wrong = Options { extensions: Some(vec![extension.into()]), ..Options::default() };
        assert!(matches!(multipart(wrong), Err(OptionsError::Extension(_))), "{extension:?}");
    }
    let options: Options =
        serde_json::from_str(r#"{"file_bytes": "1 MiB", "memory": 10, "extensions": ["a"]}"#).unwrap();
    assert_eq!(
        (options.file_bytes, options.memory, options.extensions),
        (1 << 20, 10, Some(vec!["a".into()]))
    );
    assert!(serde_json::from_str::<Options>(r#"{"file_byte": 1}"#).is_err());
}
