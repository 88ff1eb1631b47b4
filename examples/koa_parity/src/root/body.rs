//! Bodies of every kind, and what setting one after another leaves.

use std::{
    convert::Infallible,
    pin::Pin,
    slice::Iter,
    task::{Context, Poll},
};

use cepa_core::{Body, Ctx, Json, Result, router::Router};
use futures_core::Stream;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) fn routes() -> Router {
    Router::new().nest("/body", simple()).nest("/body", after_another()).nest("/body", streams())
}

fn simple() -> Router {
    Router::new()
        .all("/string", async |_: &mut Ctx| "plain text")
        .all("/utf8", async |_: &mut Ctx| "吴彦祖 é")
        .all("/html", async |_: &mut Ctx| "<h1>hi</h1>")
        .all("/html-space", async |_: &mut Ctx| "  \n <h1>hi</h1>")
        .all("/empty", async |_: &mut Ctx| "")
        .all("/buffer", async |_: &mut Ctx| vec![0x00, 0x01, 0x02, 0xfe, 0xff])
        .all("/object", async |_: &mut Ctx| json!({ "a": 1, "b": [true, null, "x"], "c": { "d": "吴" } }))
        .all("/array", async |_: &mut Ctx| json!([1, "two", null]))
        .all("/number", async |_: &mut Ctx| Json(42))
        .all("/zero", async |_: &mut Ctx| Json(0))
        .all("/true", async |_: &mut Ctx| Json(true))
        .all("/false", async |_: &mut Ctx| Json(false))
        .all("/null", async |ctx: &mut Ctx| ctx.clear_body())
        .all("/undefined", async |ctx: &mut Ctx| ctx.clear_body())
        .all("/blob", async |ctx: &mut Ctx| -> Result<Vec<u8>> {
            ctx.set_type("text/csv")?;
            Ok(b"blobby".to_vec())
        })
}

/// The type that is set first wins; JSON alone replaces one that does not name it.
fn after_another() -> Router {
    Router::new()
        .all("/json-null", async |ctx: &mut Ctx| typed(ctx, "json", None))
        .all("/text-null", async |ctx: &mut Ctx| typed(ctx, "text", None))
        .all("/status-null", async |ctx: &mut Ctx| -> Result {
            ctx.set_status(StatusCode::CREATED)?;
            ctx.clear_body();
            Ok(())
        })
        .all("/null-status", async |ctx: &mut Ctx| -> Result {
            ctx.clear_body();
            ctx.set_status(StatusCode::OK)
        })
        .all("/string-null", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("hello")?;
            ctx.clear_body();
            Ok(())
        })
        .all("/type-string", async |ctx: &mut Ctx| typed(ctx, "application/xml", Some("<x/>")))
        .all("/string-type", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("<x/>")?;
            ctx.set_type("application/xml")
        })
        .all("/object-string", async |ctx: &mut Ctx| -> Result {
            ctx.set_json(&json!({ "a": 1 }))?;
            ctx.set_body("<h1>x</h1>")
        })
        .all("/string-object", async |ctx: &mut Ctx| -> Result<Value> {
            ctx.set_body("hello")?;
            Ok(json!({ "a": 1 }))
        })
        .all("/vnd-object", async |ctx: &mut Ctx| -> Result<Value> {
            ctx.set_type("application/vnd.api+json")?;
            Ok(json!({ "a": 1 }))
        })
        .all("/xml-object", async |ctx: &mut Ctx| -> Result<Value> {
            ctx.set_type("application/xml")?;
            Ok(json!({ "a": 1 }))
        })
        .all("/html-buffer", async |ctx: &mut Ctx| -> Result<Vec<u8>> {
            ctx.set_type("html")?;
            Ok(b"<b>x</b>".to_vec())
        })
        .all("/status-string", async |_: &mut Ctx| (StatusCode::ACCEPTED, "later"))
}

fn typed(ctx: &mut Ctx, kind: &str, body: Option<&'static str>) -> Result {
    ctx.set_type(kind)?;
    match body {
        Some(body) => ctx.set_body(body),
        None => {
            ctx.clear_body();
            Ok(())
        }
    }
}

fn streams() -> Router {
    Router::new()
        .all("/stream", async |_: &mut Ctx| stream(&["chunk1-", "chunk2"]))
        .all("/stream-len", async |ctx: &mut Ctx| -> Result {
            ctx.set_body(stream(&["12345"]))?;
            ctx.set_length(5);
            ctx.set_type("text")
        })
        .all("/stream-type", async |ctx: &mut Ctx| -> Result<Body> {
            ctx.set_type("txt")?;
            Ok(stream(&["streamed"]))
        })
        .all("/string-stream", async |ctx: &mut Ctx| -> Result<Body> {
            ctx.set_body("hello")?;
            Ok(stream(&["streamed"]))
        })
        .all("/length-override", async |ctx: &mut Ctx| -> Result {
            // What frames the body is the door's to say; the app's word on it is not sent.
            ctx.set_body("hello")?;
            ctx.remove("content-length");
            ctx.set("transfer-encoding", "chunked")
        })
        .all("/webstream", async |_: &mut Ctx| stream(&["webby"]))
        .all("/response", async |_: &mut Ctx| -> Result<http::Response<Body>> {
            let response = http::Response::builder().status(201);
            let response = response.header("x-from", "response").header("content-type", "text/x-made");
            Ok(response.body(stream(&["made"]))?)
        })
}

fn stream(chunks: &'static [&'static str]) -> Body {
    Body::from_stream(Chunks(chunks.iter()))
}

/// A stream that is ready all at once.
struct Chunks(Iter<'static, &'static str>);

impl Stream for Chunks {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(*chunk)))
    }
}
