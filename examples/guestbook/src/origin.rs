//! A layer against cross-site request forgery: what changes something must come from a page of this site.

use cepa::prelude::*;

/// Refuses requests that change something (neither GET, HEAD, OPTIONS nor TRACE) if another site's page sent them.
///
/// - `Sec-Fetch-Site` decides where it is sent: by every current browser, but to `https` and `localhost` only.
/// - Otherwise `Origin` must name the host that was asked. The scheme is not compared: TLS may end at a proxy.
/// - With neither of them it is no browser, and nobody's cookies are abused.
pub(crate) async fn same_site_only(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let is_allowed = ctx.method().is_safe() || is_own(ctx.get("sec-fetch-site"), ctx.origin(), ctx.host());
    ctx.assert(is_allowed, 403, "the request comes from another site")?;
    next.run(ctx).await
}

fn is_own(fetch_site: Option<&str>, origin: Option<&str>, host: &str) -> bool {
    match (fetch_site, origin) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_site_and_programs_are_own() {
        for (fetch_site, origin, own) in [
            (None, None, true),
            (None, Some("http://book.test"), true),
            (None, Some("https://Book.test"), true),
            (None, Some("https://book.test:8443"), false),
            (None, Some("https://evil.test"), false),
            (None, Some("https://book.test.evil.test"), false),
            (None, Some("null"), false),
            (None, Some(""), false),
            (Some("same-origin"), Some("https://proxied.test"), true),
            (Some("none"), None, true),
            (Some("same-site"), Some("https://book.test"), false),
            (Some("cross-site"), None, false),
            (Some("?"), None, false),
        ] {
            assert_eq!(is_own(fetch_site, origin, "book.test"), own, "{fetch_site:?} {origin:?}");
        }
    }
}
