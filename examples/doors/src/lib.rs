//! An app that does a little of everything, the same behind every front server.

use cepa::{
    layers::{
        MultipartExt, multipart,
        static_files::{self, static_files},
    },
    prelude::*,
    router::post,
};

/// The app; its files are in `public` below this package.
///
/// # Errors
/// The files are not there.
pub fn app() -> Result<App> {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/public");
    let files = static_files::Options { root: files.into(), prefix: "/files".into(), ..Default::default() };
    Ok(App::new()
        .with(multipart(multipart::Options::default())?)
        .with(static_files(files)?)
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .get("/who/{*rest}", who)
        .get("/json", async |_: &mut Ctx| Json(["one", "two"]))
        .get("/stream", stream)
        .get("/endless", endless)
        .get("/cookies", cookies)
        .get("/redirect", async |ctx: &mut Ctx| ctx.redirect("/files/onion.txt"))
        .get("/nothing", async |_: &mut Ctx| StatusCode::NO_CONTENT)
        .get("/teapot", async |_: &mut Ctx| StatusCode::IM_A_TEAPOT)
        .get("/forbidden", async |ctx: &mut Ctx| Err::<(), _>(ctx.error(403, "not for you")))
        .get("/broken", async |_: &mut Ctx| Err::<(), _>(Error::new(500, "private")))
        .put("/item", async |ctx: &mut Ctx| -> Result<String> { Ok(format!("put {}", ctx.text().await?)) })
        .route("/echo", post(echo).body_limit(64 << 20))
        .route("/upload", post(upload)))
}

/// What the front server says of the request.
async fn who(ctx: &mut Ctx) -> String {
    let name = ctx.param("rest").unwrap_or_default().into_owned();
    let (mount, path, query) = (ctx.mount_path(), ctx.path(), ctx.querystring());
    let one = ctx.get("x-one").unwrap_or("none");
    let ip = ctx.ip().map_or_else(|| "nobody".to_owned(), |ip| ip.to_string());
    format!("{name}|{mount}|{path}|{query}|{one}|{}|{}|{ip}", ctx.hostname(), ctx.protocol())
}

/// A body of unknown length, in pieces.
async fn stream(_: &mut Ctx) -> Body {
    Body::from_async(async |mut out| {
        for piece in ["one\n", "two\n", "three\n"] {
            out.write(piece).await;
        }
        Ok(())
    })
}

/// Pieces that come now and then, as events do, until the client has gone.
async fn endless(ctx: &mut Ctx) -> Result {
    ctx.set("x-accel-buffering", "no")?;
    ctx.set_type("text/event-stream")?;
    ctx.set_body(Body::from_async(async |mut out| {
        loop {
            out.write("data: tick\n\n").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}

async fn cookies(ctx: &mut Ctx) -> Result<String> {
    let seen = ctx.cookies().get("seen").unwrap_or("nothing").to_owned();
    ctx.append("set-cookie", "seen=1; Path=/")?;
    ctx.append("set-cookie", "other=2; HttpOnly")?;
    Ok(format!("seen: {seen}"))
}

/// The body back, as it comes.
async fn echo(ctx: &mut Ctx) -> Body {
    ctx.request.take_body()
}

/// The fields and files of a form.
async fn upload(ctx: &mut Ctx) -> Result<String> {
    let upload = ctx.upload().await?;
    let fields: Vec<_> = upload.fields().map(|(name, value)| format!("{name}={value}")).collect();
    let files: Vec<_> = upload.files().iter().map(|file| file.len().to_string()).collect();
    Ok(format!("{} {}", fields.join("&"), files.join(" ")))
}
