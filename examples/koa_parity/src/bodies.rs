//! What `koa-bodyparser` does: a body by its type, as a value and as it was sent.

use cepa::layers::{
    body_limits::{self, body_limits},
    inflate,
};
use cepa_core::{App, Ctx, Error, Next, Result, form::Nesting};
use serde_json::{Value, json};

const JSON: [&str; 5] = [
    "application/json",
    "application/json-patch+json",
    "application/vnd.api+json",
    "application/csp-report",
    "application/scim+json",
];

/// `/b`: JSON, forms and text, each with a small limit.
pub(crate) fn b() -> App {
    let limits = body_limits::Options { json: 1 << 10, form: 200, text: 100, ..Default::default() };
    App::new()
        .with(as_koa_says)
        .with(inflate(Default::default()))
        .with(body_limits(limits))
        .fallback(async |ctx: &mut Ctx| read(ctx, &JSON, &["text/plain"], true).await)
}

/// `/bl`: JSON that need not be an object or a list, and XML; what is wrong with a body has the app's own answer.
pub(crate) fn bl() -> App {
    let types = [&JSON[..], &["application/x-javascript"]].concat();
    App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            let refused =
                |error: Error| Error::new(422, format!("body parse error: {}", error.status().as_u16()));
            next.run(ctx).await.map_err(refused)
        })
        .with(inflate(Default::default()))
        .with(body_limits(Default::default()))
        .fallback(async move |ctx: &mut Ctx| read(ctx, &types, &["text/xml", "application/xml"], false).await)
}

/// Errors in the words of Koa.
async fn as_koa_says(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await.map_err(|error| match error.status().as_u16() {
        413 => Error::new(413, "request entity too large"),
        _ => error,
    })
}

async fn read(ctx: &mut Ctx, json: &[&str], text: &[&str], is_strict: bool) -> Result<Value> {
    let is_form = ctx.is(&["urlencoded"]).is_some();
    let (is_json, is_text) = (ctx.is(json).is_some(), !is_form && ctx.is(text).is_some());
    if !is_json && !is_form && !is_text {
        return Ok(json!({ "body": {}, "raw": null }));
    }
    let raw = ctx.text().await?;
    let body = match () {
        () if is_json => parse_json(&raw, is_strict)?,
        () if is_form => Nesting::default().tree(cepa_core::form::parse(&raw, 1000)).into(),
        () => Value::from(raw.as_str()),
    };
    Ok(json!({ "body": body, "raw": raw }))
}

/// Strictly: only objects and lists, and nothing is an empty object.
fn parse_json(text: &str, is_strict: bool) -> Result<Value> {
    match (text, is_strict) {
        ("", true) => return Ok(json!({})),
        ("", false) => return Ok(json!("")),
        _ => {}
    }
    if is_strict && !text.trim_start().starts_with(['{', '[']) {
        return Err(Error::status_only(400));
    }
    serde_json::from_str(text).map_err(|error| Error::status_only(400).with_cause(error))
}
