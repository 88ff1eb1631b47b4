//! Redirects.

use cepa_core::{Ctx, Result, router::Router};
use serde::Deserialize;

use super::status;

pub(super) fn routes() -> Router {
    Router::new().all("/redirect", redirect).all("/redirect-after", redirect_after).all("/back", back)
}

#[derive(Deserialize)]
struct Redirect {
    #[serde(default)]
    to: String,
    c: Option<String>,
}

/// A redirect keeps a redirect status that was set before.
async fn redirect(ctx: &mut Ctx) -> Result {
    let Redirect { to, c } = ctx.query()?;
    if c.is_some() {
        let status = status::wanted(ctx)?;
        ctx.set_status(status)?;
    }
    ctx.redirect(&to)
}

async fn redirect_after(ctx: &mut Ctx) -> Result<&'static str> {
    let Redirect { to, .. } = ctx.query()?;
    ctx.redirect(&to)?;
    let status = status::wanted(ctx)?;
    ctx.set_status(status)?;
    Ok("moved")
}

async fn back(ctx: &mut Ctx) -> Result {
    let otherwise = ctx.query_value("alt").filter(|alt| !alt.is_empty());
    let otherwise = otherwise.map_or("/".to_owned(), |alt| alt.into_owned());
    ctx.back(&otherwise)
}
