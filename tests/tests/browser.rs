//! The examples as people have them: Chromium logs in and out, and puts files on the shelf.

use std::{
    env,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cepa::{App, Boot, Ctx, core::location::html_escape, prelude::Html};
use cepa_tests::{Served, browser::browse, serve};
use serde_json::json;

/// One test at a time: an app finds its files by the directory of the process, and two browsers are slow.
static TURN: Mutex<()> = Mutex::new(());

/// Enters the directory of an example, until what is answered is dropped.
fn enter(example: &str) -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
    env::set_current_dir(folder).expect("the example is there");
    turn
}

fn boot(settings: &[&str]) -> Boot {
    Boot::load_with("test", settings).expect("the configuration is right")
}

/// A site of somebody else's: pages that send forms elsewhere, or show other pages in a frame.
fn stranger() -> Served {
    let asked = |ctx: &Ctx, name: &str| html_escape(&ctx.query_value(name).unwrap_or_default()).into_owned();
    let app = App::new()
        .get("/forged", async move |ctx: &mut Ctx| {
            Html(format!(
                "<form method=post action=\"{}\"><input name=account value=ada>\
                 <input name=password value=onion></form><script>document.forms[0].submit()</script>",
                asked(ctx, "to")
            ))
        })
        .get("/frame", async move |ctx: &mut Ctx| Html(format!("<iframe src=\"{}\">", asked(ctx, "of"))))
        .get("/script", async |ctx: &mut Ctx| {
            ctx.set_type("js")?;
            ctx.set_body("window.ran = 'foreign'")
        });
    serve(app).expect("the site is served")
}

#[test]
fn login() {
    let _turn = enter("login");
    let app = login::app(&mut boot(&[])).expect("the app is made");
    let served = serve(app).expect("the app is served");
    let stranger = stranger();
    // Another site, and one that browsers send the cookies to as well: they look at the host and not at the port.
    let strangers =
        ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{}", stranger.address().port()));
    browse("login.js", json!({ "home": format!("http://{}", served.address()), "strangers": strangers }));
}

#[test]
fn upload() {
    let _turn = enter("upload");
    let folder = tempfile::tempdir().expect("there is room for a directory");
    let shelf = format!("upload.folder={}", folder.path().join("shelf").display());
    let settings = ["upload.most=8 MB", "multipart.file_bytes=4 MB", "multipart.extensions=[\"txt\"]"];
    let app = upload::app(&mut boot(&[&[&*shelf], &settings[..]].concat())).expect("the app is made");
    let served = serve(app).expect("the app is served");
    browse("upload.js", json!({ "home": format!("http://{}", served.address()), "folder": folder.path() }));
}
