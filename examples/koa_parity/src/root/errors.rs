//! Ways to fail, and what the client is told.

use std::io;

use cepa_core::{Ctx, Error, Result, router::Router};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::status;

pub(super) fn routes() -> Router {
    Router::new()
        .all("/throw", throw)
        .all("/throw-props", with_headers_of_the_body)
        .all("/throw-plain", after_an_answer)
        .all("/throw-status", exposed_or_not)
        .all("/throw-statuscode", async |_: &mut Ctx| -> Result { Err(Error::new(410, "gone detail")) })
        .all("/throw-headers", with_headers)
        .all("/throw-500-msg", async |_: &mut Ctx| -> Result { Err(Error::new(500, "hidden message")) })
        .all("/throw-utf8", async |_: &mut Ctx| -> Result { Err(Error::new(400, "缺少参数")) })
        .all("/throw-enoent", async |_: &mut Ctx| -> Result {
            // Any error that is not the app's own is a 500.
            Err(io::Error::from(io::ErrorKind::NotFound).into())
        })
        .all("/throw-string", text)
        .all("/throw-object", object)
        .all("/throw-caught", caught)
        .all("/assert", assert)
        .all("/assert-equal", assert_equal)
}

/// What is thrown here is no error at all; in Rust that is a panic. It is answered all the same.
async fn text(_: &mut Ctx) -> Result {
    panic!("just a string")
}

async fn object(_: &mut Ctx) -> Result {
    std::panic::panic_any((404, "obj"))
}

async fn throw(ctx: &mut Ctx) -> Result {
    let status = status::wanted(ctx)?;
    Err(match ctx.query_value("m") {
        Some(message) => Error::new(status, message.into_owned()),
        None => Error::status_only(status),
    })
}

/// Type and length are those of the message that is sent, not what an error says.
async fn with_headers_of_the_body(_: &mut Ctx) -> Result {
    Err(Error::new(403, "access_denied")
        .with_header(HeaderName::from_static("x-reason"), HeaderValue::from_static("nope"))
        .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .with_header(header::CONTENT_LENGTH, HeaderValue::from_static("3")))
}

async fn after_an_answer(ctx: &mut Ctx) -> Result {
    ctx.set("x-before", "set")?;
    ctx.set_type("json")?;
    ctx.set_status(StatusCode::CREATED)?;
    Err(io::Error::other("secret detail").into())
}

async fn exposed_or_not(ctx: &mut Ctx) -> Result {
    let expose = ctx.query_value("expose").is_some_and(|expose| !expose.is_empty());
    Err(Error::new(status::wanted(ctx)?, "teapot detail").expose(expose))
}

async fn with_headers(_: &mut Ctx) -> Result {
    let several = HeaderName::from_static("x-arr");
    Err(Error::new(401, "auth")
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""))
        .with_header(several.clone(), HeaderValue::from_static("1"))
        .with_header(several, HeaderValue::from_static("2")))
}

/// An error is a value: it can be looked at and answered in another way.
async fn caught(ctx: &mut Ctx) -> Result<Value> {
    let error = ctx.error(409, "conflict!");
    ctx.set_status(error.status())?;
    let status = error.status().as_u16();
    Ok(json!({
        "name": class_name(error.status()),
        "status": status,
        "statusCode": status,
        "expose": error.is_exposed(),
        "message": error.message(),
    }))
}

/// What JavaScript's http-errors calls an error of this status: `NotFoundError`.
fn class_name(status: StatusCode) -> String {
    let mut name = status.canonical_reason().unwrap_or_default().to_owned();
    name.retain(|char| char.is_ascii_alphanumeric());
    if !name.ends_with("Error") {
        name.push_str("Error");
    }
    name
}

#[derive(Deserialize)]
struct Visitor {
    user: Option<String>,
}

async fn assert(ctx: &mut Ctx) -> Result<String> {
    let user = ctx.query::<Visitor>()?.user;
    let user = ctx.expect(user, 401, "User not found. Please login!")?;
    Ok(format!("welcome {user}"))
}

async fn assert_equal(ctx: &mut Ctx) -> Result<&'static str> {
    ctx.assert(ctx.query_value("a") == ctx.query_value("b"), 422, "a != b")?;
    Ok("equal")
}
