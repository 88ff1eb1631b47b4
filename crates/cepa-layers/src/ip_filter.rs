//! Lets clients in by their address.
//!
//! It belongs outside of all layers that do work for a request, and inside of [`logger`](crate::logger()).

use cepa_core::{
    Ctx, Error, LocalBoxFuture, Middleware, Next, Peer, Result,
    forwarded::{Node, Trust},
};
use serde::Deserialize;

/// Who is let in. Both lists have blocks of addresses, such as `10.0.0.0/8`, and the names `loopback`, `private` and
/// `unix` (the other end of a Unix socket).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Those who are let in, default everybody.
    pub allow: Option<Trust>,
    /// Those who are not, also if the other list has them, default nobody.
    pub deny: Trust,
}

/// Neither list was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ip_filter: without allow and deny it would let everybody in")]
pub struct EmptyFilter;

/// A layer that answers 403 to those who are not let in.
///
/// The address is that of [`Ctx::client`], which believes only trusted proxies: behind one that
/// [`App::trust`](cepa_core::App::trust) does not name, every request comes from the proxy. With
/// [`Proxies::Everybody`](cepa_core::Proxies::Everybody) anybody can claim any address. A client whose address is not
/// known is not let in.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::ip_filter;
///
/// let inside = ip_filter::Options { allow: Some("private, loopback".parse()?), ..Default::default() };
/// let app = App::new().with(ip_filter(inside)?).get("/", async |_: &mut Ctx| "inside");
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/").await.text(), "inside");
/// assert_eq!(client.from("192.0.2.1:5000".parse().unwrap()).get("/").await.status(), 403);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When there is no list.
pub fn ip_filter(options: Options) -> Result<IpFilter, EmptyFilter> {
    match options.allow.is_none() && options.deny == Trust::NONE {
        true => Err(EmptyFilter),
        false => Ok(IpFilter { options }),
    }
}

/// See [`ip_filter()`].
#[derive(Clone, Debug)]
pub struct IpFilter {
    options: Options,
}

impl Middleware for IpFilter {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        match self.lets_in(ctx) {
            true => next.run(ctx).boxed(),
            false => Box::pin(async { Err(Error::status_only(403)) }),
        }
    }
}

impl IpFilter {
    fn lets_in(&self, ctx: &Ctx) -> bool {
        let client = match ctx.client() {
            Node::Ip(ip) => Some(ip),
            // Of a proxy on a Unix socket, an unknown client is no end of that socket.
            Node::Unknown if matches!(ctx.connection().peer(), Peer::Unix(_)) && ctx.ips().is_empty() => None,
            Node::Unknown | Node::Named(_) => return false,
        };
        let Options { allow, deny } = &self.options;
        !deny.trusts_peer(client) && allow.as_ref().is_none_or(|allow| allow.trusts_peer(client))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use cepa_core::{App, Memory, Request, test::block_on};
    use http::Method;

    fn status(options: &Options, proxies: &str, peer: Peer, forwarded: &str) -> u16 {
        let app = App::new()
            .trust(proxies.parse().unwrap())
            .with(ip_filter(options.clone()).unwrap())
            .get("/", async |_: &mut Ctx| "a");
        let mut request = Request::new(Method::GET, "/");
        request.set_connection(Rc::new(Memory { peer, tls: None }));
        if !forwarded.is_empty() {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        block_on(app.build().unwrap().handle(request)).status().as_u16()
    }

    fn ip(text: &str) -> Peer {
        Peer::Ip((text.parse::<std::net::IpAddr>().unwrap(), 1).into())
    }

    fn options(allow: Option<&str>, deny: &str) -> Options {
        Options { allow: allow.map(|allow| allow.parse().unwrap()), deny: deny.parse().unwrap() }
    }

    #[test]
    fn lists_decide() {
        let both = options(Some("10.0.0.0/8, unix"), "10.6.0.0/16");
        let deny = options(None, "192.0.2.0/24, 2001:db8::/32");
        for (options, proxies, peer, forwarded, expected) in [
            (&both, "", ip("10.1.1.1"), "", 200),
            (&both, "", ip("::ffff:10.1.1.1"), "", 200),
            (&both, "", ip("10.6.1.1"), "", 403),
            (&both, "", ip("11.1.1.1"), "", 403),
            (&both, "", Peer::Unix(None), "", 200),
            (&both, "", Peer::None, "", 403),
            (&deny, "", ip("192.0.2.1"), "", 403),
            (&deny, "", ip("192.0.3.1"), "", 200),
            (&deny, "", ip("2001:db8::1"), "", 403),
            (&deny, "", Peer::None, "", 403),
            // A header is believed only of a proxy that is trusted.
            (&both, "", ip("11.1.1.1"), "10.1.1.1", 403),
            (&both, "11.1.1.1", ip("11.1.1.1"), "10.1.1.1", 200),
            (&both, "11.1.1.1", ip("11.1.1.1"), "10.1.1.1, 12.1.1.1", 403),
            (&deny, "11.1.1.1", ip("11.1.1.1"), "unknown", 403),
            (&both, "unix", Peer::Unix(None), "unknown", 403),
            (&both, "unix", Peer::Unix(None), "10.1.1.1", 200),
        ] {
            assert_eq!(status(options, proxies, peer.clone(), forwarded), expected, "{peer:?} {forwarded}");
        }
    }

    #[test]
    fn a_filter_without_a_list_is_refused() {
        assert_eq!(ip_filter(Options::default()).unwrap_err(), EmptyFilter);
        let none = ip_filter(Options { allow: Some(Trust::NONE), ..Options::default() }).unwrap();
        assert!(none.options.allow.is_some());
    }
}
