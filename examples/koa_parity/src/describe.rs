//! Everything a request says of itself, as JSON.

use cepa_core::{Ctx, forwarded::Node, media_type};
use http::header;
use serde_json::{Value, json};

/// Answers with the request as the app sees it, in the words and the order of Koa.
pub(crate) async fn describe(ctx: &mut Ctx) -> Value {
    let content_type = ctx.get(header::CONTENT_TYPE).unwrap_or_default();
    json!({
        "method": ctx.method().as_str(),
        "url": ctx.url(),
        "originalUrl": ctx.original_url(),
        "path": ctx.path(),
        "querystring": ctx.querystring(),
        "search": ctx.search(),
        "query": ctx.query_map(),
        "host": ctx.host(),
        "hostname": ctx.hostname(),
        "protocol": ctx.protocol(),
        "secure": ctx.secure(),
        "origin": ctx.origin(),
        "href": ctx.href(),
        "subdomains": ctx.subdomains(),
        "ip": address(&ctx.client()),
        "ips": ctx.ips().iter().map(address).collect::<Vec<_>>(),
        "type": content_type.split(';').next().unwrap_or_default().trim(),
        "charset": media_type::charset(content_type).unwrap_or_default(),
        "length": ctx.request.length(),
        "idempotent": ctx.method().is_idempotent(),
        "fresh": ctx.fresh(),
        "stale": ctx.stale(),
        "referer": ctx.get(header::REFERER).unwrap_or_default(),
        "xfoo": list(ctx, "x-foo"),
        "missing": list(ctx, "x-missing"),
    })
}

/// An address, or what a proxy wrote in place of one; empty when nothing is known.
fn address(node: &Node<'_>) -> String {
    match node {
        Node::Unknown => String::new(),
        known => known.to_string(),
    }
}

/// The lines of a header as one list (RFC 9110, section 5.3).
fn list(ctx: &Ctx, name: &str) -> String {
    let lines = ctx.request.headers().get_all(name).iter();
    lines.filter_map(|line| line.to_str().ok()).collect::<Vec<_>>().join(", ")
}
