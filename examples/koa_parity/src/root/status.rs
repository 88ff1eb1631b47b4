//! The status, its reason phrase, and what a body has to do with it.

use cepa_core::{Ctx, Result, router::Router};
use http::StatusCode;

pub(super) fn routes() -> Router {
    Router::new()
        .all("/status", async |ctx: &mut Ctx| -> Result {
            let status = wanted(ctx)?;
            ctx.set_status(status)
        })
        .all("/status-then-body", async |ctx: &mut Ctx| -> Result {
            let status = wanted(ctx)?;
            ctx.set_status(status)?;
            ctx.set_body("hello")
        })
        .all("/body-then-status", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("hello")?;
            let status = wanted(ctx)?;
            ctx.set_status(status)
        })
        .all("/message", async |ctx: &mut Ctx| -> Result {
            ctx.set_status(StatusCode::OK)?;
            ctx.response.set_reason("Custom Message");
            ctx.set_body("x")
        })
        .all("/message-default-body", async |ctx: &mut Ctx| -> Result {
            ctx.set_status(StatusCode::NOT_FOUND)?;
            ctx.response.set_reason("Nothing Here");
            Ok(())
        })
}

/// The status that `c` in the query names.
///
/// # Errors
/// 500 when it names none: the one who sets an impossible status is the app.
pub(super) fn wanted(ctx: &Ctx) -> Result<StatusCode> {
    Ok(ctx.query_value("c").unwrap_or_default().parse()?)
}
