//! Behind proxies: `/px` and `/pq` believe what anybody writes into forwarding headers, as Koa does with
//! `proxy = true`. An app of one's own names its proxies instead: [`App::trust`].

use cepa_core::{App, Ctx, Proxies, Result, cookie::CookieOptions};
use http::HeaderName;

use crate::{describe::describe, keys};

/// `X-Forwarded-For`, all of it.
pub(crate) fn px() -> App {
    App::new()
        .keys(keys())
        .proxies(Proxies::Everybody { header: HeaderName::from_static("x-forwarded-for"), max_ips: 0 })
        .all("/px/cookie", async |ctx: &mut Ctx| -> Result<&'static str> {
            ctx.cookies().set("s", "v", &CookieOptions { secure: Some(true), ..Default::default() })?;
            Ok("ok")
        })
        .all("/px/cookie-auto", async |ctx: &mut Ctx| -> Result<&'static str> {
            ctx.cookies().set("s", "v", &CookieOptions::default())?;
            Ok("ok")
        })
        .all("/px/back", async |ctx: &mut Ctx| ctx.back("/alt"))
        .fallback(describe)
}

/// A header of its own, of which the last two addresses count, and a domain of three labels.
pub(crate) fn pq() -> App {
    App::new()
        .proxies(Proxies::Everybody { header: HeaderName::from_static("x-real-chain"), max_ips: 2 })
        .subdomain_offset(3)
        .fallback(describe)
}
