//! How failures are told: to people as a page, to programs as JSON.

use cepa::{layers::ViewsExt, prelude::*};
use minijinja::{context, value::Serde};
use serde::Serialize;

use crate::entry::Invalid;

/// A failed request, to be told.
#[derive(Serialize)]
struct Failure {
    status: u16,
    title: &'static str,
    /// What the title does not say already.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Invalid>,
}

/// A layer that tells failures: below `/api` as problem details (RFC 9457), elsewhere as a page.
pub(crate) async fn told(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let Some(failure) = failure(ctx, next).await else { return Ok(()) };
    if ctx.path().starts_with("/api/") {
        ctx.set_type("application/problem+json")?;
        return ctx.set_json(&failure);
    }
    ctx.set_type("html")?;
    ctx.render("error.html", &context! { failure => Serde(&failure) })
}

/// Runs what is inside, and sets status and headers of a failure, of which the body is then to be told.
///
/// Not every failure is an error of a handler: where no route answers, and from mounted services, there is only a
/// status, without a body.
async fn failure(ctx: &mut Ctx, next: Next<'_>) -> Option<Failure> {
    let mut detail = None;
    let mut fields = None;
    match next.run(ctx).await {
        Err(error) => {
            ctx.fail(&error);
            detail = Some(error.public_message().to_owned());
            fields = error.downcast_ref().cloned();
        }
        Ok(()) => {
            let is_told = ctx.response.body().is_some_and(|body| !body.is_empty());
            let is_failure = ctx.status().is_client_error() || ctx.status().is_server_error();
            if is_told || !is_failure {
                return None;
            }
        }
    }
    let status = ctx.status();
    // A 404 that nobody has chosen would become a 200 with the body that follows.
    ctx.response.set_status(status);
    let title = status.canonical_reason().unwrap_or("Error");
    Some(Failure { status: status.as_u16(), title, detail: detail.filter(|detail| detail != title), fields })
}
