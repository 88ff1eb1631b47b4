//! Headers of the response, and those that have methods of their own: type, `Vary`, `Content-Disposition`.

use cepa_core::{
    Ctx, Result,
    disposition::{Disposition, Fallback},
    router::Router,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::items;

pub(super) fn routes() -> Router {
    Router::new()
        .all("/type", async |ctx: &mut Ctx| -> Result<&'static str> {
            let kind = ctx.query_value("t").unwrap_or_default().into_owned();
            ctx.set_type(&kind)?;
            Ok("x")
        })
        .all("/rtype", response_type)
        .all("/headers", headers)
        .all("/vary", vary)
        .all("/attachment", async |ctx: &mut Ctx| -> Result<&'static str> {
            let Download { f, .. } = ctx.query()?;
            ctx.attachment(f.as_deref())?;
            Ok("data")
        })
        .all("/attachment-opts", disposition)
}

async fn response_type(ctx: &mut Ctx) -> Result<&'static str> {
    let kind = ctx.query_value("t").unwrap_or_default().into_owned();
    ctx.set_type(&kind)?;
    let kind = match ctx.content_type() {
        "" => "none".to_owned(),
        kind => kind.to_owned(),
    };
    let asked = ctx.query_value("is").unwrap_or_default();
    let is = ctx.response_is(&items(&asked)).map_or("false".to_owned(), |kind| kind.into_owned());
    ctx.set("x-type", kind)?;
    ctx.set("x-is", is)?;
    Ok("x")
}

async fn headers(ctx: &mut Ctx) -> Result<Value> {
    ctx.set("x-one", "1")?;
    ctx.set("x-two", "2")?;
    for value in ["a", "b"] {
        ctx.append("x-three", value)?;
    }
    for value in ["first", "second", "third", "fourth"] {
        ctx.append("x-app", value)?;
    }
    for value in ["<http://localhost/>", "<http://localhost:3000/>"] {
        ctx.append("link", value)?;
    }
    ctx.set("x-gone", "y")?;
    ctx.remove("x-gone");
    let one = ctx.response.headers().get("x-one").and_then(|value| value.to_str().ok());
    Ok(json!({ "one": one, "hasTwo": ctx.has("x-two"), "hasGone": ctx.has("x-gone") }))
}

async fn vary(ctx: &mut Ctx) -> Result<&'static str> {
    #[derive(Deserialize)]
    struct Fields {
        #[serde(default)]
        f: Vec<String>,
    }

    for field in ctx.query::<Fields>()?.f {
        ctx.vary(&field)?;
    }
    Ok("x")
}

/// A file name, how it is offered, and the name for old clients: `false` for none.
#[derive(Deserialize)]
struct Download {
    f: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    fallback: Option<String>,
}

async fn disposition(ctx: &mut Ctx) -> Result<&'static str> {
    let Download { f, kind, fallback } = ctx.query()?;
    ctx.disposition(&Disposition {
        kind: kind.as_deref().unwrap_or("attachment"),
        filename: f.as_deref(),
        fallback: match fallback.as_deref() {
            None => Fallback::Generated,
            Some("false") => Fallback::Omitted,
            Some(name) => Fallback::Name(name),
        },
    })?;
    Ok("data")
}
