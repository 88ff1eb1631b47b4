//! Routes: what `@koa/router` does.
//!
//! Where Koa runs every route that matches, one after the other, Cepa runs the most specific one: what two of them
//! share is a layer around both.

use cepa_core::{
    App, Ctx, Next, Result,
    router::{Pattern, Router, get, post},
};
use http::StatusCode;
use serde_json::{Map, Number, Value, json};

/// Routers below `/rt`. Koa's compare paths without regard to case and to a slash at the end, unless told otherwise.
pub(crate) fn rt() -> App {
    let lenient = || Router::new().ignore_case().lenient_slash();
    App::new()
        .nest("/rt", lenient().with(mark).nest("/", plain()).nest("/", layered()))
        // A regular expression in Koa, and so to the letter.
        .nest("/rt", Router::new().with(mark).get("/re{number:int}", captures))
        .host("api.example.test", lenient().get("/rt/host", async |_: &mut Ctx| "api host"))
        .nest("/rt/strict", Router::new().get("/Path", async |_: &mut Ctx| "strict"))
        .nest("/rt/excl", lenient().get("/{any}", async |_: &mut Ctx| "any").get("/one", exclusive))
}

/// A router that says no to other methods.
pub(crate) fn rth() -> App {
    App::new().nest("/rth", Router::new().ignore_case().lenient_slash().get("/g", async |_: &mut Ctx| "g"))
}

async fn mark(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.set("x-mw", "router")?;
    next.run(ctx).await
}

fn plain() -> Router {
    Router::new()
        .route("/", get(async |_: &mut Ctx| "root").name("root"))
        .route("/users/{id}", get(user).put(put_user).name("user"))
        .get("/files/{*path}", params)
        .get("/opt", params)
        .get("/opt/{x}", params)
        .get("/range/{from}-{to}", params)
        .all("/all", async |ctx: &mut Ctx| format!("all {}", ctx.method()))
        .delete("/thing", async |_: &mut Ctx| StatusCode::NO_CONTENT)
        .get("/x1", path)
        .get("/x2", path)
        .redirect("/old", "/rt/users/7")
        .redirect_with("/old307", "/rt", StatusCode::TEMPORARY_REDIRECT)
        .route("/links", get(links).name("links"))
}

fn layered() -> Router {
    let a = Router::new().with(first).get("/{x}", async |_: &mut Ctx| {}).get("/special", special);
    let posts = Router::new().with(find_post).get("/{pid}", post_found);
    let forum = Router::new().with(mark_nested).get("/", forum).get("/{cid}", forum_post);
    Router::new()
        .route("/multi", post(three).with(one).with(two))
        .nest("/a", a)
        .nest("/posts", posts)
        .nest("/forums/{fid}/posts", forum)
}

async fn user(ctx: &mut Ctx) -> Value {
    let route = ctx.route_pattern().map(in_koas_spelling);
    json!({ "params": all_params(ctx), "route": route, "name": ctx.route_name(), "routerPath": route })
}

/// `/users/:id` for `/users/{id}`, `/files/*path` for `/files/{*path}`.
fn in_koas_spelling(pattern: &str) -> String {
    pattern.replace("{*", "*").replace('{', ":").replace('}', "")
}

fn all_params(ctx: &Ctx) -> Map<String, Value> {
    ctx.param_pairs().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

async fn put_user(ctx: &mut Ctx) -> String {
    format!("put {}", ctx.param("id").unwrap_or_default())
}

async fn params(ctx: &mut Ctx) -> Value {
    all_params(ctx).into()
}

async fn path(ctx: &mut Ctx) -> String {
    format!("x {}", ctx.path())
}

async fn captures(ctx: &mut Ctx) -> Value {
    json!({ "captures": ctx.param_pairs().map(|(_, value)| value).collect::<Vec<_>>() })
}

async fn links(ctx: &mut Ctx) -> Result<Value> {
    let limit = [("limit", "1"), ("q", "x y")];
    let unknown = ctx.url_for("nope", &[]).err().map(|_| "Error: No route found for name: nope");
    Ok(json!([
        ctx.url_for_values("user", &["3"], &[])?,
        ctx.url_for("user", &[("id", "3")])?,
        ctx.url_for("user", &[("id", "a b/c")])?,
        ctx.url_for_values("user", &["3"], &limit)?,
        ctx.url_for_values("user", &["3"], &limit[..1])?,
        ctx.url_for("links", &[])?,
        unknown,
        Pattern::parse("/z/{a}/{b}")?.url(&[("a", "1"), ("b", "é")])?,
    ]))
}

async fn exclusive(ctx: &mut Ctx) -> String {
    format!("{} one", body_text(ctx).unwrap_or("nothing"))
}

fn body_text(ctx: &Ctx) -> Option<&str> {
    std::str::from_utf8(ctx.response.body()?.as_bytes()?).ok()
}

/// What `/a/{x}` and `/a/special` share.
async fn first(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let last = ctx.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    ctx.set("x-first", last)?;
    ctx.set_body("first")?;
    next.run(ctx).await
}

async fn special(ctx: &mut Ctx) -> String {
    format!("special after {}", body_text(ctx).unwrap_or_default())
}

/// What the layers of `/multi` leave for each other.
#[derive(Default)]
struct Steps(Vec<&'static str>);

async fn one(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.insert(Steps(vec!["one"]));
    next.run(ctx).await?;
    let Steps(mut steps) = ctx.states().remove().unwrap_or_default();
    steps.push("after");
    ctx.set_json(&steps)
}

async fn two(ctx: &mut Ctx, next: Next<'_>) -> Result {
    if let Some(Steps(steps)) = ctx.state_mut() {
        steps.push("two");
    }
    next.run(ctx).await
}

async fn three(ctx: &mut Ctx) {
    if let Some(Steps(steps)) = ctx.state_mut() {
        steps.push("three");
    }
}

struct Post(Number);

/// Finds the post that the path names for all routes below; without one the handler does not run.
async fn find_post(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let id = ctx.param("pid").and_then(|id| number(&id));
    match id {
        Some(id) => {
            ctx.insert(Post(id));
            next.run(ctx).await
        }
        None => ctx.set_status(StatusCode::NOT_FOUND),
    }
}

/// A number as JavaScript writes it; 0 is none.
fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(id) => (id != 0).then(|| id.into()),
        Err(_) => Number::from_f64(text.parse().ok().filter(|id| *id != 0.0)?),
    }
}

async fn post_found(ctx: &mut Ctx) -> Value {
    json!({ "id": ctx.state().map(|Post(id)| id) })
}

async fn mark_nested(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.set("x-nested", "yes")?;
    next.run(ctx).await
}

async fn forum(ctx: &mut Ctx) -> Value {
    json!({ "nested": all_params(ctx) })
}

async fn forum_post(ctx: &mut Ctx) -> Value {
    json!({ "nestedItem": all_params(ctx) })
}
