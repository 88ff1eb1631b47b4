//! What a request says, and what a layer may make it say instead.

use cepa_core::{Ctx, Result, form, router::Router};
use http::Method;
use serde_json::{Value, json};

use crate::describe::describe;

pub(super) fn routes() -> Router {
    Router::new().all("/req", describe).all("/req/rewrite", rewrite)
}

/// Changes the request as its query asks, in this order; the query that asks is the one at arrival.
async fn rewrite(ctx: &mut Ctx) -> Result<Value> {
    let asked = ctx.query_map();
    let asked = |key: &str| asked.get(key).and_then(Value::as_str);
    if let Some(path) = asked("path").filter(|path| !path.is_empty()) {
        ctx.set_path(path);
    }
    if let Some(query) = asked("qs") {
        ctx.set_querystring(query);
    }
    if let Some(search) = asked("search") {
        ctx.set_querystring(search);
    }
    if let Some(method) = asked("method") {
        ctx.set_method(Method::from_bytes(method.as_bytes())?);
    }
    if let Some(query) = asked("query") {
        ctx.set_querystring(&form::from_json_map(&serde_json::from_str(query)?));
    }
    if let Some(url) = asked("url") {
        ctx.set_url(url);
    }
    Ok(json!({
        "method": ctx.method().as_str(),
        "url": ctx.url(),
        "originalUrl": ctx.original_url(),
        "path": ctx.path(),
        "querystring": ctx.querystring(),
        "search": ctx.search(),
        "query": ctx.query_map(),
    }))
}
