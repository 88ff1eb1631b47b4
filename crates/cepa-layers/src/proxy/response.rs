//! The answer as the client gets it.

use cepa_core::{Body, Ctx, Reply, Response, Result};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, LOCATION, VIA},
};

use super::{Inner, upstream::Lease};
use crate::outbound::{
    Arriving, Received, Wait,
    hop::{remove_hop_by_hop, via_of},
};

impl Inner {
    /// Makes the answer of an upstream the response.
    pub(super) fn answer(&self, ctx: &mut Ctx, answer: http::Response<Arriving>, lease: Lease) -> Result {
        let (parts, body) = answer.into_parts();
        let mut headers = parts.headers;
        self.pass_on(ctx, &mut headers, parts.version, &lease);
        let is_head = *ctx.method() == Method::HEAD;
        let bodiless = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodiless {
            // The door says how long it is, from the body itself.
            headers.remove(CONTENT_LENGTH);
        }
        let mut response = Response::new();
        response.set_status(parts.status);
        *response.headers_mut() = headers;
        if !bodiless {
            let wait = Wait { pause: Some(self.options.pause), deadline: None, most: u64::MAX };
            response.replace_body(Body::new(Received::new(body, wait, lease)));
        }
        response.reply(ctx)
    }

    /// What of an answer's headers is for the client.
    pub(super) fn pass_on(&self, ctx: &Ctx, headers: &mut HeaderMap, version: http::Version, lease: &Lease) {
        remove_hop_by_hop(headers);
        if let Some(via) = &self.via {
            headers.append(VIA, via_of(via, version));
        }
        if self.options.rewrite_location
            && let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok())
        {
            let prefix = format!("{}{}", ctx.mount_path(), self.options.strip);
            let origin = lease.upstream.origin.to_string();
            let rewritten = rewrite(location, &origin, &lease.upstream.base, &prefix);
            if let Some(Ok(rewritten)) = rewritten.map(HeaderValue::try_from) {
                headers.insert(LOCATION, rewritten);
            }
        }
    }
}

/// The `Location` that leads a client to where an upstream at `origin`, asked below `base`, sends it: below `prefix`.
/// `None` where it is right as it is.
fn rewrite(location: &str, origin: &str, base: &str, prefix: &str) -> Option<String> {
    let local = match location.strip_prefix(origin) {
        Some("") => "/",
        Some(rest) if rest.starts_with(['/', '?', '#']) => rest,
        _ => location,
    };
    let is_local = cepa_core::location::is_local(local);
    let below = match local.strip_prefix(base) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => rest,
        _ if is_local => local,
        _ => return None,
    };
    // What would begin with two slashes then leads to another site.
    let rewritten = format!("{prefix}{below}");
    let changed = rewritten != location && cepa_core::location::is_local(&rewritten);
    changed.then_some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lead_back_through_the_proxy() {
        let origin = "http://10.0.0.5:8080";
        let table = [
            ("http://10.0.0.5:8080/login", "", "", Some("/login")),
            ("http://10.0.0.5:8080", "", "", Some("/")),
            ("http://10.0.0.5:8080/base/login?a", "/base", "/api", Some("/api/login?a")),
            ("/login", "", "", None),
            ("/login", "", "/api", Some("/api/login")),
            ("/base/login", "/base", "/api", Some("/api/login")),
            ("/baseball", "/base", "/api", Some("/api/baseball")),
            ("http://10.0.0.5:80801/x", "", "", None),
            ("http://10.0.0.5:8080.evil.test/x", "", "", None),
            ("http://10.0.0.5:8080//evil.test/x", "", "", None),
            ("https://else.test/login", "", "/api", None),
            ("//else.test/login", "", "", None),
            ("login", "", "/api", None),
        ];
        for (location, base, prefix, expected) in table {
            assert_eq!(
                rewrite(location, origin, base, prefix).as_deref(),
                expected,
                "{location} {base} {prefix}"
            );
        }
    }
}
