//! Where requests may go: the guard against requests that somebody else forges (SSRF).

use std::net::{IpAddr, SocketAddr};

use cepa_core::forwarded::{Cidr, InvalidCidr};

use super::{Failure, address::embedded, is_public};
use crate::hosts::{Hosts, InvalidHostName};

/// Decides for each host, and for each address that it resolves to, whether it may be asked.
///
/// 1. If `only_hosts` has entries, no other host is asked.
/// 2. A host of `allow_hosts` is asked wherever it is.
/// 3. An address of `allow` is.
/// 4. An address of `deny` is not, nor an IPv6 address that leads to an IPv4 address of `deny`: mapped, translated
///    (NAT64) or tunnelled (6to4, Teredo, ISATAP). A NAT64 with a prefix of its own network cannot be told from other
///    addresses: where there is one, `deny` names its prefix.
/// 5. With `public_only`, one that is not [public](super::is_public) is not.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    only_hosts: Hosts,
    allow_hosts: Hosts,
    allow: Vec<Cidr>,
    deny: Vec<Cidr>,
    public_only: bool,
}

/// What is wrong with the options of a guard.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGuard {
    /// An entry of `allow` or `deny` is no block of addresses.
    #[error("{entry:?} is no address block such as 10.0.0.0/8: {reason}")]
    Block {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: InvalidCidr,
    },
    /// An entry of `only_hosts` or `allow_hosts` is no host.
    #[error(transparent)]
    Host(#[from] InvalidHostName),
}

impl Guard {
    pub(crate) fn new(options: &super::Options) -> Result<Self, InvalidGuard> {
        let blocks = |entries: &[String]| {
            let block = |entry: &String| {
                entry.parse().map_err(|reason| InvalidGuard::Block { entry: entry.clone(), reason })
            };
            entries.iter().map(block).collect::<Result<Vec<Cidr>, _>>()
        };
        Ok(Self {
            only_hosts: Hosts::new(options.only_hosts.iter().map(String::as_str))?,
            allow_hosts: Hosts::new(options.allow_hosts.iter().map(String::as_str))?,
            allow: blocks(&options.allow)?,
            deny: blocks(&options.deny)?,
            public_only: options.public_only,
        })
    }

    /// Whether a host, given without a port, may be asked at all.
    pub fn allows_host(&self, host: &str) -> bool {
        self.only_hosts.is_empty() || self.only_hosts.contains(host)
    }

    /// Whether a host may be asked at one of its addresses.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        let is_in = |blocks: &[Cidr]| blocks.iter().any(|block| block.contains(address));
        self.allows_host(host)
            && (self.allow_hosts.contains(host)
                || is_in(&self.allow)
                || !self.denies(address) && (!self.public_only || is_public(address)))
    }

    fn denies(&self, address: IpAddr) -> bool {
        let is_in = |address: IpAddr| self.deny.iter().any(|block| block.contains(address));
        let leads_in = |address| embedded(address).any(|address| is_in(address.into()));
        is_in(address) || matches!(address, IpAddr::V6(address) if leads_in(address))
    }

    /// The addresses that may be connected to.
    pub(crate) fn choose(&self, host: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
        let refused =
            addresses.first().map(|first| Failure::Address { host: host.to_owned(), address: first.ip() });
        let allowed: Vec<_> =
            addresses.into_iter().filter(|address| self.allows(host, address.ip())).collect();
        match refused {
            Some(refused) if allowed.is_empty() => Err(refused),
            _ => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Options;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn as_egg_checks_addresses() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/vectors/egg_security_helpers.json");
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let guard = Guard::new(&Options {
            public_only: false,
            deny: list(&["10.0.0.0/8", "127.0.0.1", "0.0.0.0/32", "192.168.0.0/16"]),
            allow: list(&["10.1.1.1", "10.10.0.0/24"]),
            allow_hosts: list(&["ok.test"]),
            ..Options::default()
        })
        .unwrap();
        let mut seen = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if !vector["helper"].as_str().unwrap().starts_with("ssrf.checkAddress") {
                continue;
            }
            let address = vector["input"][0].as_str().unwrap().parse().unwrap();
            let host = vector["input"][1].as_str().unwrap_or("some.test");
            assert_eq!(guard.allows(host, address), vector["output"].as_bool().unwrap(), "{vector}");
            seen += 1;
        }
        assert_eq!(seen, 4);
        assert!(guard.allows("ok.test", "10.2.3.4".parse().unwrap()));
    }

    #[test]
    fn exceptions_and_limits() {
        let guard = Guard::new(&Options {
            allow: list(&["10.0.0.0/24"]),
            deny: list(&["1.1.1.0/24"]),
            allow_hosts: list(&[".internal.test"]),
            only_hosts: list(&["api.test", ".internal.test"]),
            ..Options::default()
        })
        .unwrap();
        let table = [
            ("api.test", "9.9.9.9", true),
            ("api.test", "1.1.1.1", false),
            ("api.test", "10.0.0.7", true),
            ("api.test", "::ffff:10.0.0.7", true),
            ("api.test", "10.0.1.7", false),
            ("a.internal.test", "127.0.0.1", true),
            ("a.internal.test.", "127.0.0.1", true),
            ("other.test", "9.9.9.9", false),
            ("other.test", "10.0.0.7", false),
        ];
        for (host, address, expected) in table {
            assert_eq!(guard.allows(host, address.parse().unwrap()), expected, "{host} {address}");
        }
    }

    #[test]
    fn what_leads_to_a_denied_address_is_denied() {
        let guard = |deny: &str, allow: &[&str]| {
            let (deny, allow) = (list(&[deny]), list(allow));
            Guard::new(&Options { public_only: false, deny, allow, ..Options::default() }).unwrap()
        };
        let denying = guard("1.2.3.4", &[]);
        let allows = |address: &str| denying.allows("a.test", address.parse().unwrap());
        for address in [
            "1.2.3.4",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "::ffff:0:1.2.3.4",
            "64:ff9b::1.2.3.4",
            "64:ff9b:1:102:3:400::",
            "64:ff9b:1:ff01:2:304::",
            "64:ff9b:1:ffff:1:203:400:0",
            "64:ff9b:1:ffff::1.2.3.4",
            "2002:102:304::1",
            "2001:0:102:304::1",
            "2001:0:506:708:0:0:fefd:fcfb",
            "2a00::5efe:1.2.3.4",
            "fe80::200:5efe:1.2.3.4",
        ] {
            assert!(!allows(address), "{address}");
        }
        for address in
            ["1.2.3.5", "64:ff9b::1.2.3.5", "2002:102:305::", "2a00::1.2.3.4", "64:ff9b:2::1.2.3.4"]
        {
            assert!(allows(address), "{address}");
        }
        // With public addresses only, too; and what is allowed stays an exception.
        let by_default = Guard::new(&Options { deny: list(&["1.0.0.0/8"]), ..Options::default() }).unwrap();
        assert!(!by_default.allows("a.test", "64:ff9b::1.2.3.4".parse().unwrap()));
        assert!(by_default.allows("a.test", "64:ff9b::9.9.9.9".parse().unwrap()));
        let excepted = guard("1.2.3.4", &["64:ff9b::/96"]);
        assert!(excepted.allows("a.test", "64:ff9b::1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn of_several_addresses_the_allowed_ones_are_left() {
        let guard = Guard::new(&Options::default()).unwrap();
        let mixed = ["127.0.0.1:80", "9.9.9.9:80", "10.0.0.1:80"].map(|text| text.parse().unwrap());
        assert_eq!(guard.choose("a.test", mixed.to_vec()).unwrap(), [mixed[1]]);
        let error = guard.choose("a.test", mixed[..1].to_vec()).unwrap_err();
        assert!(matches!(error, Failure::Address { address, .. } if address.is_loopback()));
    }
}
