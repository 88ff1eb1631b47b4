//! One hop of a request's way (RFC 7239, section 6).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a request came from, as the next one on its way named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node<'h> {
    /// An address; IPv4 mapped into IPv6 is IPv4.
    Ip(IpAddr),
    /// A name that hides the address (`_secret`), or, where everything is believed, any other text.
    Named(&'h str),
    /// Not known: said so, not said, or not readable.
    Unknown,
}

impl<'h> Node<'h> {
    /// The address, when it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Node::Ip(ip) => Some(*ip),
            Node::Named(_) | Node::Unknown => None,
        }
    }

    /// A node of `Forwarded`: `192.0.2.1`, `[2001:db8::1]`, `unknown` or `_name`, each maybe with a port.
    pub(super) fn parse(text: &'h str) -> Self {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let node = address.parse::<Ipv6Addr>().map_or(Node::Unknown, |ip| Node::from_ip(ip.into()));
                return if is_port_part(rest) { node } else { Node::Unknown };
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        if !is_port_part(port) {
            return Node::Unknown;
        }
        if is_obfuscated(name) {
            return Node::Named(name);
        }
        name.parse::<std::net::Ipv4Addr>().map_or(Node::Unknown, |ip| Node::Ip(ip.into()))
    }

    /// An entry of `X-Forwarded-For`: as in `Forwarded`, and IPv6 without brackets.
    pub(super) fn parse_lenient(text: &'h str) -> Self {
        text.parse().map_or_else(|_| Node::parse(text), Node::from_ip)
    }

    /// Any text, an address where it is one.
    pub(super) fn from_text(text: &'h str) -> Self {
        text.parse().map_or(Node::Named(text), Node::Ip)
    }

    fn from_ip(ip: IpAddr) -> Self {
        Node::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Ip(ip) => ip.fmt(f),
            Node::Named(name) => f.write_str(name),
            Node::Unknown => f.write_str("unknown"),
        }
    }
}

/// Nothing, or `:` and a port: up to five digits, or an obfuscated name.
fn is_port_part(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    digits || is_obfuscated(port)
}

fn is_obfuscated(text: &str) -> bool {
    let name = text.strip_prefix('_').unwrap_or("");
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
