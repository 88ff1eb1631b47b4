//! Who sent a request that came through proxies: client address, scheme and host, as far as they can be believed.
//!
//! A forwarding header is a list: each proxy appends the address it received the request from. Only what a trusted
//! proxy appended is true; anything left of it may have been sent by the client. So the list is walked from the
//! right, starting at the peer of the connection, and ends at the first address that is not trusted: the client.

mod cidr;
mod node;
mod trust;

use std::net::IpAddr;

use crate::{grammar, host};

pub use cidr::{Cidr, InvalidCidr};
pub use node::Node;
pub use trust::{InvalidTrust, Trust};

/// How many entries of a list are read, from the right.
const MAX_HOPS: usize = 100;

/// The header lines of a request that speak of proxies, each kind in the order of arrival.
///
/// A header sent twice is one list, so all of its lines must be given: the client may have sent the first one.
/// Which header names the hops is the caller's setting; only one is read, since a proxy that appends to one passes
/// the other on as the client wrote it.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'l, 'h> {
    /// `Forwarded` (RFC 7239).
    Forwarded(&'l [&'h str]),
    /// The `X-Forwarded` family.
    XForwarded(XForwarded<'l, 'h>),
}

/// The lines of `X-Forwarded-For`, or a header of the same form, and of its companions.
#[derive(Debug, Clone, Copy, Default)]
pub struct XForwarded<'l, 'h> {
    /// `X-Forwarded-For`: a comma list of addresses.
    pub chain: &'l [&'h str],
    /// `X-Forwarded-Proto`.
    pub proto: &'l [&'h str],
    /// `X-Forwarded-Host`.
    pub host: &'l [&'h str],
}

/// What is known of a request's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hops<'h> {
    /// The client: the right-most hop that is not a trusted proxy.
    pub client: Node<'h>,
    /// The hops that headers named, from the client to the proxy before the peer; empty when none was believed.
    pub chain: Vec<Node<'h>>,
    /// `http` or `https`, as the client used it, when a trusted proxy said so.
    pub proto: Option<&'static str>,
    /// The host, maybe with a port, that the client asked for, when a trusted proxy said so; always valid.
    pub host: Option<&'h str>,
}

impl<'h> Hops<'h> {
    fn direct(peer: Option<IpAddr>) -> Self {
        let client = peer.map_or(Node::Unknown, |peer| Node::Ip(peer.to_canonical()));
        Hops { client, chain: Vec::new(), proto: None, host: None }
    }
}

/// Finds the client by walking from the peer through trusted proxies.
///
/// `peer` is the other end of the connection, `None` on a Unix socket. Headers from a peer that is not trusted are
/// not read at all. When every hop is trusted, the left-most one is the client. An entry that is no address ends the
/// walk: the client is then the name the proxy gave it, or [`Node::Unknown`], and never the proxy.
///
/// Scheme and host are those that the last trusted proxy on the walk named: in `Forwarded`, those of the client's
/// own element; of the `X-` lists, the entry as far from the right as the client is in its own list, or the
/// left-most one when the list is shorter, as where each proxy replaces the header. A proxy must therefore either
/// set or append to both; one that passes them on lets the client choose.
///
/// At most 100 entries are read.
///
/// ```
/// use cepa_core::forwarded::{Headers, Trust, XForwarded, resolve};
///
/// let trust: Trust = "loopback, 10.0.0.0/8".parse().unwrap();
/// let headers = XForwarded { chain: &["6.6.6.6, 203.0.113.7, 10.1.1.1"], proto: &["https"], host: &[] };
/// let hops = resolve(Some("127.0.0.1".parse().unwrap()), Headers::XForwarded(headers), &trust);
/// assert_eq!(hops.client.to_string(), "203.0.113.7");
/// assert_eq!(hops.proto, Some("https"));
/// ```
pub fn resolve<'h>(peer: Option<IpAddr>, headers: Headers<'_, 'h>, trust: &Trust) -> Hops<'h> {
    let mut hops = Hops::direct(peer);
    if !trust.trusts_peer(peer) {
        return hops;
    }
    match headers {
        Headers::Forwarded(lines) => {
            let elements = items_from_right(lines).map(Element::parse);
            for Element { node, proto, host } in elements {
                hops.chain.push(node);
                (hops.proto, hops.host) = (proto, host);
                if !trust.trusts(&node) {
                    break;
                }
            }
        }
        Headers::XForwarded(XForwarded { chain, proto, host }) => {
            for item in items_from_right(chain) {
                let node = Node::parse_lenient(item);
                hops.chain.push(node);
                if !trust.trusts(&node) {
                    break;
                }
            }
            let depth = hops.chain.len();
            hops.proto = item_at(proto, depth).and_then(known_proto);
            hops.host = item_at(host, depth).filter(|host| host::validate(host.as_bytes()).is_ok());
        }
    }
    hops.chain.reverse();
    if let Some(client) = hops.chain.first() {
        hops.client = *client;
    }
    hops
}

/// Believes every header, as Koa does with `proxy = true`: the left-most entry of the chain is the client.
///
/// Anybody who reaches the server can then claim any address; [`resolve`] is the safe way. `max_ips_count`, when it
/// is not 0, keeps only that many entries from the right. An entry that is not a bare IP address is kept as it is
/// written. Scheme and host are the first entry of the first line.
pub fn resolve_trusting_all<'h>(
    peer: Option<IpAddr>,
    headers: XForwarded<'_, 'h>,
    max_ips_count: usize,
) -> Hops<'h> {
    let mut hops = Hops::direct(peer);
    let limit = if max_ips_count == 0 { MAX_HOPS } else { max_ips_count.min(MAX_HOPS) };
    hops.chain = items_from_right(headers.chain).take(limit).map(Node::from_text).collect();
    hops.chain.reverse();
    if let Some(client) = hops.chain.first() {
        hops.client = *client;
    }
    let first = |lines: &[&'h str]| lines.first().map(|line| host::first_item(line));
    hops.proto = first(headers.proto).and_then(known_proto);
    hops.host = first(headers.host).filter(|host| host::validate(host.as_bytes()).is_ok());
    hops
}

/// The items of a list header, the last item of the last line first, empty ones left out.
fn items_from_right<'h>(lines: &[&'h str]) -> impl Iterator<Item = &'h str> {
    let items = lines.iter().rev().flat_map(|line| grammar::rsplit(line, b','));
    items.map(grammar::trim).filter(|item| !item.is_empty()).take(MAX_HOPS)
}

/// The item that many places from the right, counted from 1, or the left-most one.
fn item_at<'h>(lines: &[&'h str], place: usize) -> Option<&'h str> {
    items_from_right(lines).take(place.max(1)).last()
}

/// The two schemes a web server answers, also under their WebSocket names.
fn known_proto(text: &str) -> Option<&'static str> {
    let is = |name| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") { Some("https") } else { (is("http") || is("ws")).then_some("http") }
}

/// One element of `Forwarded`.
struct Element<'h> {
    node: Node<'h>,
    proto: Option<&'static str>,
    host: Option<&'h str>,
}

impl<'h> Element<'h> {
    /// Reads `for`, `proto` and `host`; an element that breaks the grammar, or names one of them twice, says nothing.
    fn parse(text: &'h str) -> Self {
        const SILENT: Element<'_> = Element { node: Node::Unknown, proto: None, host: None };
        let (mut node, mut proto, mut host) = (None, None, None);
        for pair in grammar::split(text, b';').map(grammar::trim) {
            let Some((name, value)) = pair.split_once('=') else { return SILENT };
            let Some(value) = plain_value(value) else { return SILENT };
            let slot = match name {
                name if name.eq_ignore_ascii_case("for") => &mut node,
                name if name.eq_ignore_ascii_case("proto") => &mut proto,
                name if name.eq_ignore_ascii_case("host") => &mut host,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return SILENT;
            }
        }
        Element {
            node: node.map_or(Node::Unknown, Node::parse),
            proto: proto.and_then(known_proto),
            host: host.filter(|host| host::validate(host.as_bytes()).is_ok()),
        }
    }
}

/// A token or the inside of a quoted string. One with a backslash is refused: no address, scheme or host needs it.
fn plain_value(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        None => grammar::is_token(value).then_some(value),
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\'])),
    }
}

#[cfg(test)]
mod tests;
