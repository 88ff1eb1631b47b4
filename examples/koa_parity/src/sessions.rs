//! Sessions: what `koa-session` does, in four apps that differ in their options.

use std::time::Duration;

use cepa::layers::{
    SessionExt,
    session::{Layer, Memory, Options, Protection, session},
};
use cepa_core::{App, Ctx, Error, Result, cookie::SameSite, router::Router};
use serde_json::{Value, json};

use crate::keys;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// In a signed cookie, for a day.
pub(crate) fn sess() -> App {
    app("/sess", layer(Options { max_age: DAY, ..options("koa.sess") }))
}

/// Saved anew whenever it is used.
pub(crate) fn sroll() -> App {
    let same_site = Some(SameSite::Lax);
    app("/sroll", layer(Options { rolling: true, http_only: false, same_site, ..options("roll.sess") }))
}

/// Saved anew when half of its time is over. Not signed, as recorded: nothing in it could be believed.
pub(crate) fn srenew() -> App {
    let protection = Some(Protection::None);
    app("/srenew", layer(Options { renew: true, protection, ..options("renew.sess") }))
}

/// In a store.
pub(crate) fn sext() -> App {
    app("/sext", layer(options("ext.sess")).store(Memory::default()))
}

fn options(key: &str) -> Options {
    Options { key: key.to_owned(), max_age: MINUTE, persistent: true, ..Options::koa() }
}

fn layer(options: Options) -> Layer {
    session(options).expect("these options do not contradict each other")
}

fn app(prefix: &str, layer: Layer) -> App {
    let routes = Router::new()
        .all("/set", set)
        .all("/get", get)
        .all("/count", count)
        .all("/touch", async |ctx: &mut Ctx| ctx.session().map(|_| "touched"))
        .all("/none", async |_: &mut Ctx| "no session access")
        .all("/destroy", async |ctx: &mut Ctx| {
            ctx.session().map(|session| session.destroy()).map(|()| "destroyed")
        })
        .all("/replace", async |ctx: &mut Ctx| {
            ctx.session()?.replace(&json!({ "fresh": "yes" })).map(|()| "replaced")
        })
        .all("/maxage", max_age)
        .all("/browser", browser)
        .all("/save", async |ctx: &mut Ctx| ctx.session().map(|session| session.save()).map(|()| "saved"))
        .all("/throw", throw)
        .all("/bad", async |ctx: &mut Ctx| ctx.session()?.replace("oops"))
        .all("/regenerate", regenerate)
        .all("/csrfless", async |_: &mut Ctx| "x");
    App::new().keys(keys()).with(layer).nest(prefix, routes)
}

/// A value of the query.
fn asked(ctx: &Ctx, name: &str) -> String {
    ctx.query_value(name).unwrap_or_default().into_owned()
}

async fn set(ctx: &mut Ctx) -> Result<&'static str> {
    let (name, value) = (asked(ctx, "k"), asked(ctx, "v"));
    ctx.session()?.set(&name, &value)?;
    Ok("set")
}

async fn get(ctx: &mut Ctx) -> Result<Value> {
    let session = ctx.session()?;
    Ok(json!({
        "session": session.values(),
        "isNew": session.is_new(),
        "populated": !session.is_empty(),
        "length": session.len(),
    }))
}

async fn count(ctx: &mut Ctx) -> Result<Value> {
    let session = ctx.session()?;
    session.update("n", |n: Option<u64>| Some(n.unwrap_or(0) + 1))?;
    Ok(json!({ "n": session.get::<u64>("n")? }))
}

async fn max_age(ctx: &mut Ctx) -> Result<&'static str> {
    let millis = asked(ctx, "ms").parse().map_err(|_| Error::new(500, "ms is no number"))?;
    ctx.session()?.set_max_age(Duration::from_millis(millis));
    Ok("maxage")
}

async fn browser(ctx: &mut Ctx) -> Result<&'static str> {
    let session = ctx.session()?;
    session.set("b", &1)?;
    session.end_with_browser();
    Ok("browser")
}

async fn throw(ctx: &mut Ctx) -> Result {
    ctx.session()?.set("t", &1)?;
    Err(ctx.error(400, "after touching"))
}

async fn regenerate(ctx: &mut Ctx) -> Result<&'static str> {
    let session = ctx.session()?;
    session.set("r", &1)?;
    session.regenerate();
    Ok("regenerated")
}
