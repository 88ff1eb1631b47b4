//! What the client has sent, accepts, and already holds.

use cepa_core::{Ctx, Error, Html, Result, Text, accept, date, router::Router};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::items;

pub(super) fn routes() -> Router {
    Router::new()
        .all("/is", is)
        .all("/accepts", accepts)
        .all("/accepts-encodings", accepts_encodings)
        .all("/accepts-charsets", accepts_charsets)
        .all("/accepts-languages", accepts_languages)
        .all("/negotiate", negotiate)
        .all("/fresh", fresh)
        .all("/lm-string", last_modified)
}

/// `null` without a body, `false` when nothing fits.
async fn is(ctx: &mut Ctx) -> Value {
    let types = ctx.query_value("types").unwrap_or_default();
    match ctx.request.has_body() {
        true => json!({ "is": or_false(ctx.is(&items(&types))) }),
        false => json!({ "is": null }),
    }
}

async fn accepts(ctx: &mut Ctx) -> Value {
    let offers = ctx.query_value("types").unwrap_or_default();
    match &*items(&offers) {
        [] => json!({ "accepts": accept::all_types(ctx.get(header::ACCEPT)) }),
        offers => json!({ "accepts": or_false(ctx.accepts(offers)) }),
    }
}

async fn accepts_encodings(ctx: &mut Ctx) -> Value {
    let offers = ctx.query_value("types").unwrap_or_default();
    match &*items(&offers) {
        [] => json!({ "accepts": accept::all_encodings(ctx.get(header::ACCEPT_ENCODING)) }),
        offers => json!({ "accepts": or_false(ctx.accepts_encodings(offers)) }),
    }
}

async fn accepts_charsets(ctx: &mut Ctx) -> Value {
    let offers = ctx.query_value("types").unwrap_or_default();
    match &*items(&offers) {
        [] => json!({ "accepts": accept::all_charsets(ctx.get(header::ACCEPT_CHARSET)) }),
        offers => json!({ "accepts": or_false(ctx.accepts_charsets(offers)) }),
    }
}

async fn accepts_languages(ctx: &mut Ctx) -> Value {
    let offers = ctx.query_value("types").unwrap_or_default();
    match &*items(&offers) {
        [] => json!({ "accepts": accept::all_languages(ctx.get(header::ACCEPT_LANGUAGE)) }),
        offers => json!({ "accepts": or_false(ctx.accepts_languages(offers)) }),
    }
}

/// JavaScript's way to say that nothing fits.
fn or_false(choice: Option<impl Into<Value>>) -> Value {
    choice.map_or(Value::Bool(false), Into::into)
}

async fn negotiate(ctx: &mut Ctx) -> Result {
    ctx.vary("Accept")?;
    match ctx.accepts(&["json", "html", "text"]) {
        Some("json") => ctx.set_json(&json!({ "as": "json" })),
        Some("html") => ctx.set_body(Html("<p>html</p>")),
        Some(_) => ctx.set_body(Text("text")),
        None => Err(Error::status_only(406)),
    }
}

/// The validators of a page; what is empty is not set.
#[derive(Deserialize)]
struct Page {
    etag: Option<String>,
    lm: Option<String>,
}

/// Answers 304 to a client whose copy is still good.
async fn fresh(ctx: &mut Ctx) -> Result {
    let page: Page = ctx.query()?;
    ctx.set_status(StatusCode::OK)?;
    if let Some(etag) = page.etag {
        ctx.set_etag(&etag)?;
    }
    if let Some(time) = page.lm {
        let time = date::parse_iso(&time).or_else(|| date::parse(&time));
        ctx.set_last_modified(ctx.expect(time, 500, "lm is no date")?);
    }
    if ctx.fresh() {
        return ctx.set_status(StatusCode::NOT_MODIFIED);
    }
    ctx.set_json(&json!({ "stale": ctx.stale() }))
}

async fn last_modified(ctx: &mut Ctx) -> Result<Value> {
    ctx.set_last_modified(ctx.expect(date::parse_iso("2013-09-13T00:00:00Z"), 500, "no date")?);
    ctx.set_etag("W/\"weak\"")?;
    let header = |name| ctx.response.headers().get(name).and_then(|value| value.to_str().ok());
    Ok(json!({ "lm": header(header::LAST_MODIFIED).and_then(iso), "etag": header(header::ETAG) }))
}

/// `Fri, 13 Sep 2013 00:00:00 GMT` in the form of ISO 8601, with milliseconds.
fn iso(http_date: &str) -> Option<String> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let [_, day, month, year, time, _] = http_date.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = MONTHS.find(month)? / 3 + 1;
    Some(format!("{year}-{month:02}-{day}T{time}.000Z"))
}
