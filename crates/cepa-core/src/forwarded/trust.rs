//! Which proxies are believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Cidr, InvalidCidr, Node};

/// The proxies whose headers are believed; by default none.
///
/// Read from a list of blocks and names: `loopback` (127.0.0.0/8, ::1), `private` (10.0.0.0/8, 172.16.0.0/12,
/// 192.168.0.0/16, fc00::/7) and `unix`, the other end of a Unix socket. In a configuration it is a list of texts,
/// as text a comma list.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Trust {
    blocks: Vec<Cidr>,
    unix: bool,
}

/// An entry of a list of trusted proxies that is neither a block of addresses nor a known name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} is neither `loopback`, `private` or `unix` nor an address block such as 10.0.0.0/8: {reason}"
)]
pub struct InvalidTrust {
    entry: String,
    reason: InvalidCidr,
}

impl Trust {
    /// Nobody is believed.
    pub const NONE: Trust = Trust { blocks: Vec::new(), unix: false };

    /// The trust that the entries of a list state.
    ///
    /// # Errors
    /// At the first entry that is neither a name nor a block.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e str>) -> Result<Self, InvalidTrust> {
        let mut trust = Trust::NONE;
        for entry in entries {
            trust.add(entry).map_err(|reason| InvalidTrust { entry: entry.to_string(), reason })?;
        }
        Ok(trust)
    }

    fn add(&mut self, entry: &str) -> Result<(), InvalidCidr> {
        let v4 = |a, b, prefix| Cidr::new(Ipv4Addr::new(a, b, 0, 0).into(), prefix);
        match entry {
            "unix" => self.unix = true,
            "loopback" => self.blocks.extend([v4(127, 0, 8)?, Cidr::new(Ipv6Addr::LOCALHOST.into(), 128)?]),
            "private" => {
                let unique_local = Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into();
                let blocks =
                    [v4(10, 0, 8)?, v4(172, 16, 12)?, v4(192, 168, 16)?, Cidr::new(unique_local, 7)?];
                self.blocks.extend(blocks);
            }
            block => self.blocks.push(block.parse()?),
        }
        Ok(())
    }

    /// Whether a connection's other end is believed; `None` is a Unix socket.
    pub fn trusts_peer(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |peer| self.contains(peer))
    }

    pub(super) fn trusts(&self, node: &Node<'_>) -> bool {
        node.ip().is_some_and(|ip| self.contains(ip))
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

impl FromStr for Trust {
    type Err = InvalidTrust;

    fn from_str(list: &str) -> Result<Self, InvalidTrust> {
        Trust::new(list.split(',').map(str::trim).filter(|entry| !entry.is_empty()))
    }
}

impl TryFrom<Vec<String>> for Trust {
    type Error = InvalidTrust;

    fn try_from(entries: Vec<String>) -> Result<Self, InvalidTrust> {
        Trust::new(entries.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets() {
        let table = [
            ("loopback", "127.9.9.9", "128.0.0.1"),
            ("loopback", "::1", "::2"),
            ("private", "172.31.0.1", "172.32.0.1"),
            ("private", "fd00::1", "fe80::1"),
            ("loopback, 192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
        ];
        for (list, inside, outside) in table {
            let trust: Trust = list.parse().unwrap();
            assert!(trust.trusts_peer(inside.parse().ok()), "{list} {inside}");
            assert!(!trust.trusts_peer(outside.parse().ok()), "{list} {outside}");
            assert!(!trust.trusts_peer(None));
        }
        assert!("unix".parse::<Trust>().unwrap().trusts_peer(None));
        assert_eq!("".parse(), Ok(Trust::NONE));
    }

    #[test]
    fn an_error_names_the_entry() {
        let error = serde_json::from_str::<Trust>(r#"["private", "10.0.0.1/8"]"#).unwrap_err().to_string();
        assert!(error.starts_with("\"10.0.0.1/8\" is neither") && error.contains("bits set"), "{error}");
    }
}
