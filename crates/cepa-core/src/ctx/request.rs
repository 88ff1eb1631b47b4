//! Reading the request: target, host, client, headers.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderName, Method, header};
use serde_json::{Map, Value};

use super::Ctx;
use crate::{
    Request,
    app::{Proxies, Settings},
    form,
    forwarded::{Headers, Hops, Node, XForwarded, resolve, resolve_trusting_all},
    host,
};

/// Query strings are read up to this many pairs.
const MAX_PAIRS: usize = 1000;

impl Ctx {
    /// The method.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Changes the method that routing sees.
    pub fn set_method(&mut self, method: Method) {
        self.request.set_method(method);
    }

    /// The target that routing sees: path and query, not decoded.
    pub fn url(&self) -> &str {
        self.request.target().as_str()
    }

    /// Changes the target that routing sees; [`original_url`](Self::original_url) stays.
    pub fn set_url(&mut self, url: &str) {
        self.keep_params();
        self.request.change_target(|target| *target = crate::Target::new(url));
    }

    /// The target at arrival, whatever layers and mounts have made of it.
    pub fn original_url(&self) -> &str {
        self.request.original_target().as_str()
    }

    /// The path, not decoded; below a mount without its prefix.
    pub fn path(&self) -> &str {
        self.request.target().path()
    }

    /// Changes the path and keeps the query; a `?` or `#` in it is escaped.
    pub fn set_path(&mut self, path: &str) {
        self.keep_params();
        self.request.change_target(|target| target.set_path(path));
    }

    /// The query without its `?`; empty when there is none.
    pub fn querystring(&self) -> &str {
        self.request.target().query()
    }

    /// Changes the query, given with or without its `?`; empty removes it.
    pub fn set_querystring(&mut self, query: &str) {
        self.keep_params();
        self.request.change_target(|target| target.set_query(query));
    }

    /// Changes the query to these pairs, encoded as a form; none remove it.
    pub fn set_query<'p>(&mut self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) {
        self.set_querystring(&form::to_string(pairs));
    }

    /// The query with its `?`; empty when there is none.
    pub fn search(&self) -> &str {
        self.request.target().search()
    }

    /// The pairs of the query, decoded, in order; at most 1,000 of them.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form::parse(self.querystring(), MAX_PAIRS)
    }

    /// The first value of a key of the query, decoded.
    pub fn query_value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The query as an object: a text for a key given once, a list of texts for one given more often.
    pub fn query_map(&self) -> Map<String, Value> {
        form::to_json_map(self.query_pairs())
    }

    /// The value of a request header, `None` when it is missing or not visible ASCII.
    ///
    /// `Referer` and `Referrer` are one header.
    pub fn get(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.request.get(name)
    }

    /// The host that the client asked for, with its port if it named one; empty when it named none.
    ///
    /// Taken from `X-Forwarded-Host` or `Forwarded` where the app [trusts](crate::App::trust) the proxy.
    pub fn host(&self) -> &str {
        host_of(&self.request, self.settings())
    }

    /// The host without its port; an IPv6 address in brackets; empty when malformed.
    pub fn hostname(&self) -> &str {
        host::hostname(self.host())
    }

    /// `https` or `http`, as the client used it: from TLS, or from a proxy that the app trusts.
    pub fn protocol(&self) -> &'static str {
        if self.request.connection().tls().is_some() {
            return "https";
        }
        self.hops().and_then(|hops| hops.proto).unwrap_or("http")
    }

    /// Whether the client uses TLS.
    pub fn secure(&self) -> bool {
        self.protocol() == "https"
    }

    /// The `Origin` header.
    pub fn origin(&self) -> Option<&str> {
        self.request.get(header::ORIGIN)
    }

    /// The whole URL that the client asked for.
    pub fn href(&self) -> String {
        let original = self.request.original_target();
        if original.is_absolute() {
            return original.as_str().to_owned();
        }
        format!("{}://{}{original}", self.protocol(), self.host())
    }

    /// The labels of the host name below its domain, the nearest to the domain first.
    ///
    /// `tobi.ferrets.example.com` gives `["ferrets", "tobi"]`; the domain has two labels unless
    /// [`App::subdomain_offset`](crate::App::subdomain_offset) says otherwise.
    pub fn subdomains(&self) -> Vec<&str> {
        host::subdomains(self.hostname(), self.settings().subdomain_offset.unwrap_or(2))
    }

    /// The client: the peer of the connection, or the hop before the last proxy that the app
    /// [trusts](crate::App::trust).
    pub fn client(&self) -> Node<'_> {
        match self.hops() {
            Some(hops) => hops.client,
            None => self.peer_ip().map_or(Node::Unknown, |ip| Node::Ip(ip.to_canonical())),
        }
    }

    /// The client's address, see [`client`](Self::client).
    pub fn ip(&self) -> Option<IpAddr> {
        self.client().ip()
    }

    /// The hops that trusted proxies named, from the client on; empty when no proxy is trusted.
    pub fn ips(&self) -> Vec<Node<'_>> {
        self.hops().map_or_else(Vec::new, |hops| hops.chain)
    }

    fn peer_ip(&self) -> Option<IpAddr> {
        peer_ip(&self.request)
    }

    fn hops(&self) -> Option<Hops<'_>> {
        hops(&self.request, self.settings())
    }
}

/// The host that a client has asked for; see [`Ctx::host`].
pub(super) fn host_of<'r>(request: &'r Request, settings: &Settings) -> &'r str {
    let asked = || host::first_item(request.get(header::HOST).unwrap_or_default());
    hops(request, settings).and_then(|hops| hops.host).unwrap_or_else(asked)
}

fn peer_ip(request: &Request) -> Option<IpAddr> {
    request.connection().peer().ip()
}

/// What trusted proxies say of the client; `None` when none is trusted at all.
fn hops<'r>(request: &'r Request, settings: &Settings) -> Option<Hops<'r>> {
    let proxies = settings.proxies.as_deref()?;
    let lines = |name: &HeaderName| -> Vec<&'r str> { request.get_all(name.as_str()).collect() };
    let x_proto = || lines(&HeaderName::from_static("x-forwarded-proto"));
    let x_host = || lines(&HeaderName::from_static("x-forwarded-host"));
    let peer = peer_ip(request);
    Some(match proxies {
        Proxies::Forwarded(trust) => resolve(peer, Headers::Forwarded(&lines(&header::FORWARDED)), trust),
        Proxies::XForwarded(trust) => {
            let chain = lines(&HeaderName::from_static("x-forwarded-for"));
            let (proto, host) = (x_proto(), x_host());
            let headers = XForwarded { chain: &chain, proto: &proto, host: &host };
            resolve(peer, Headers::XForwarded(headers), trust)
        }
        Proxies::Everybody { header, max_ips } => {
            let (chain, proto, host) = (lines(header), x_proto(), x_host());
            resolve_trusting_all(peer, XForwarded { chain: &chain, proto: &proto, host: &host }, *max_ips)
        }
    })
}
