//! Small layers that every request passes.

use cepa::{prelude::*, tracing};

/// Nothing but the page's own files, no inline code, no frames around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Writes a line to the log for each request.
pub(crate) async fn log(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let started = Instant::now();
    let result = next.run(ctx).await;
    let status = result.as_ref().map_or_else(Error::status, |()| ctx.status());
    tracing::info!(
        target: "guestbook",
        "{} {} {} {:.1?}", ctx.method(), ctx.original_url(), status.as_u16(), started.elapsed()
    );
    result
}

/// Says how long it took to answer, up to the first byte of a stream.
pub(crate) async fn response_time(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let started = Instant::now();
    let result = next.run(ctx).await;
    ctx.set("x-response-time", format!("{:.3} ms", started.elapsed().as_secs_f64() * 1e3))?;
    result
}

/// Tells browsers what these pages never do. Set on the way in, so that errors have it too.
pub(crate) async fn security_headers(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)?;
    ctx.set(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    ctx.set(header::REFERRER_POLICY, "same-origin")?;
    next.run(ctx).await
}
