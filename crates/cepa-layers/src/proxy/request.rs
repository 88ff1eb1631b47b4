//! The request as an upstream gets it.

use std::net::IpAddr;

use cepa_core::{Ctx, Error, Peer, Proxies, Request, Result};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{CONTENT_LENGTH, EXPECT, FORWARDED, HOST, TE, VIA},
    uri::PathAndQuery,
};

use super::{Forwarded, HostPolicy, Inner, path::climbs, upstream::Upstream};
use crate::outbound::hop::{remove_hop_by_hop, takes_trailers, via_of};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The head of a request for whichever upstream gets it.
pub(super) struct Head {
    pub(super) method: Method,
    /// The path, without what is stripped, and the query.
    target: String,
    headers: HeaderMap,
    /// The protocol that the client wants to switch to, if it may.
    pub(super) upgrade: Option<HeaderValue>,
}

impl Head {
    pub(super) fn new(ctx: &Ctx, inner: &Inner) -> Result<Self> {
        let target = target(ctx, &inner.options.strip)?;
        let request = &ctx.request;
        let mut headers = request.headers().clone();
        let upgrade = asked_upgrade(request, &inner.options.upgrades);
        let trailers = takes_trailers(&headers);
        remove_hop_by_hop(&mut headers);
        headers.remove(CONTENT_LENGTH);
        headers.remove(EXPECT);
        // CGI programs would take it for the proxy that they are to use.
        headers.remove("proxy");
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        forward(ctx, inner.options.forwarded, &mut headers)?;
        if let Some(via) = &inner.via {
            headers.append(VIA, via_of(via, request.version()));
        }
        Ok(Self { method: ctx.method().clone(), target, headers, upgrade })
    }

    /// The request for one upstream.
    pub(super) fn request<B>(
        &self,
        upstream: &Upstream,
        host: HostPolicy,
        body: B,
    ) -> Result<http::Request<B>> {
        let target = PathAndQuery::try_from(format!("{}{}", upstream.base, self.target));
        let target = target.map_err(|error| Error::status_only(400).with_cause(error))?;
        let mut request = http::Request::new(body);
        request.method_mut().clone_from(&self.method);
        *request.uri_mut() = target.into();
        request.headers_mut().clone_from(&self.headers);
        if host == HostPolicy::Upstream || !self.headers.contains_key(HOST) {
            request.headers_mut().insert(HOST, HeaderValue::try_from(upstream.origin.authority())?);
        }
        Ok(request)
    }
}

/// The path and query that are sent on.
fn target(ctx: &Ctx, strip: &str) -> Result<String> {
    let path = ctx.path();
    if climbs(path) {
        // Behind a prefix it would lead out of what the prefix was to open.
        return Err(Error::new(400, "the path has a segment `..`"));
    }
    let rest = match path.strip_prefix(strip) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    };
    let slash = if rest.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{rest}{}", ctx.search()))
}

/// The protocol to switch to, if the client may have it. A request with a body does not switch: its body would be taken
/// for the other protocol where the upstream does not read it.
fn asked_upgrade(request: &Request, allowed: &[String]) -> Option<HeaderValue> {
    let switches = matches!(request.version(), Version::HTTP_11 | Version::HTTP_2);
    if !switches || *request.method() != Method::GET || request.has_body() {
        return None;
    }
    let asks = request.get_all("connection").flat_map(|line| line.split(','));
    if !asks.into_iter().any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let mut asked = request.get_all("upgrade");
    let (protocol, further) = (asked.next()?.trim(), asked.next());
    let known = allowed.iter().find(|known| known.eq_ignore_ascii_case(protocol));
    known.filter(|_| further.is_none()).and_then(|known| HeaderValue::from_str(known).ok())
}

/// Says who the client is. What came from a trusted proxy is continued; anything else is replaced, under whatever
/// spelling a server may take for it.
fn forward(ctx: &Ctx, how: Forwarded, headers: &mut HeaderMap) -> Result {
    let peer = match ctx.connection().peer() {
        Peer::Ip(address) => Some(address.ip().to_canonical()),
        Peer::Unix(_) | Peer::None => None,
    };
    let (x, rfc) = trusted(ctx, peer);
    let before_x = joined(headers, &X_FORWARDED_FOR).filter(|_| x);
    let before_rfc = joined(headers, &FORWARDED).filter(|_| rfc);
    let spoofs: Vec<HeaderName> = headers.keys().filter(|name| speaks_of_client(name)).cloned().collect();
    for name in spoofs {
        headers.remove(name);
    }
    if matches!(how, Forwarded::XForwarded | Forwarded::Both) {
        let chain = match (before_x, peer) {
            (Some(before), Some(peer)) => Some(format!("{before}, {peer}")),
            (before, peer) => before.or_else(|| peer.map(|peer| peer.to_string())),
        };
        if let Some(chain) = chain {
            headers.insert(X_FORWARDED_FOR, HeaderValue::try_from(chain)?);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(ctx.protocol()));
        if !ctx.host().is_empty() {
            headers.insert(X_FORWARDED_HOST, HeaderValue::try_from(ctx.host())?);
        }
    }
    if matches!(how, Forwarded::Forwarded | Forwarded::Both) {
        let mut element = match peer {
            Some(IpAddr::V6(address)) => format!("for=\"[{address}]\""),
            Some(IpAddr::V4(address)) => format!("for={address}"),
            None => "for=unknown".to_owned(),
        };
        element.push_str(";proto=");
        element.push_str(ctx.protocol());
        // A host has neither quotes nor backslashes: the door has checked it.
        if !ctx.host().is_empty() {
            element.push_str(&format!(";host=\"{}\"", ctx.host()));
        }
        let value = before_rfc.map_or(element.clone(), |before| format!("{before}, {element}"));
        headers.insert(FORWARDED, HeaderValue::try_from(value)?);
    }
    Ok(())
}

/// Whether the peer is believed in `X-Forwarded-For`, and in `Forwarded`: it is a proxy that appends to one of them and
/// passes the other on as it came.
fn trusted(ctx: &Ctx, peer: Option<IpAddr>) -> (bool, bool) {
    match ctx.settings().proxies.as_deref() {
        Some(Proxies::XForwarded(trust)) => (trust.trusts_peer(peer), false),
        Some(Proxies::Forwarded(trust)) => (false, trust.trusts_peer(peer)),
        Some(Proxies::Everybody { header, .. }) => (*header == X_FORWARDED_FOR, false),
        None => (false, false),
    }
}

/// All lines of a list header as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Whether a header says who the client is, also with `_` for `-`: CGI and its heirs take both for one.
fn speaks_of_client(name: &HeaderName) -> bool {
    const FAMILY: &[u8] = b"x-forwarded-";
    let plain = name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    let is = |known: &[u8]| plain.clone().eq(known.iter().copied());
    plain.clone().take(FAMILY.len()).eq(FAMILY.iter().copied()) || is(b"forwarded") || is(b"x-real-ip")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_climbs_is_found_however_it_is_written() {
        let climbing = [
            "/..",
            "/../",
            "/a/../b",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/%2e./b",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a/..%5cb",
            "/a\\..\\b",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/%2e%2e%3b/b",
        ];
        let staying = [
            "/",
            "",
            "/a/b",
            "/a/./b",
            "/...",
            "/a/..b",
            "/a/b..",
            "/a..b",
            "/.a",
            "/a/%2e",
            "/a;..",
            "/a;b=../c",
            "/%2",
            "/%zz..",
            "/a/..%",
            "/%252e%252e/",
        ];
        for path in climbing {
            assert!(climbs(path), "{path}");
        }
        for path in staying {
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn what_speaks_of_the_client_is_known_by_any_spelling() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "x_real-ip",
            "x-forwarded-anything",
        ] {
            assert!(speaks_of_client(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-forward", "forwarded-for", "host", "x-request-id"] {
            assert!(!speaks_of_client(&HeaderName::from_static(name)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn climbing_never_panics(path in r"[/.\\;%25eEfFcC]{0,20}") {
            let _ = climbs(&path);
        }
    }
}
