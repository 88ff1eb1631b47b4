//! Tokens against cross-site requests: what `koa-csrf` does, with a session that ends with the browser.

use cepa::layers::{
    CsrfExt, When,
    csrf::{self, Tokens},
    session,
};
use cepa_core::{App, Ctx, Result};
use http::Method;
use serde_json::{Value, json};

use crate::keys;

/// GET answers a token, other methods are let through with one.
pub(crate) fn csrf() -> App {
    const SOUND: &str = "these options do not contradict each other";
    let session = session(session::Options { key: "csrf.sess".to_owned(), ..session::Options::koa() });
    let csrf = csrf::csrf(csrf::Options { tokens: Some(Tokens::Koa), query: true, ..Default::default() });
    App::new()
        .keys(keys())
        .with(session.expect(SOUND))
        .with(csrf.expect(SOUND).except("/csrf/ignored"))
        .fallback(answer)
}

async fn answer(ctx: &mut Ctx) -> Result<Value> {
    match *ctx.method() {
        Method::GET => Ok(json!({ "token": ctx.csrf_token()? })),
        ref method => Ok(json!({ "ok": true, "method": method.as_str() })),
    }
}
