//! Who answers a request: by the address that it came to, then by the name that it asks for.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};

use crate::names::{HostName, Pattern, normal};

/// Addresses of this machine that a host is limited to.
///
/// `10.0.0.1:443`, `[::1]:443`, an address alone for all of its ports, or `*:443` for that port of all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// An address and a port.
    Socket(SocketAddr),
    /// All ports of an address.
    Ip(IpAddr),
    /// A port of all addresses.
    Port(u16),
}

/// Why a text is no place to be reached at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: write `10.0.0.1:443`, `10.0.0.1`, `[::1]:443` or `*:443`")]
pub struct InvalidAt(String);

impl FromStr for At {
    type Err = InvalidAt;

    fn from_str(text: &str) -> Result<Self, InvalidAt> {
        let port = text.strip_prefix("*:").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let at = port.map(Self::Port).or_else(|| text.parse().ok().map(Self::Socket));
        at.or_else(|| bare.parse().ok().map(Self::Ip)).ok_or_else(|| InvalidAt(text.to_owned()))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Port(port) => write!(f, "*:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl At {
    fn is(self, local: SocketAddr) -> bool {
        // A socket of both families sees clients of the older one so.
        let ip = local.ip().to_canonical();
        match self {
            Self::Socket(address) => address.port() == local.port() && address.ip().to_canonical() == ip,
            Self::Ip(address) => address.to_canonical() == ip,
            Self::Port(port) => port == local.port(),
        }
    }
}

/// The hosts by address and name, each as its place in a list.
///
/// Those for the address and port that a request came to go before those for the address, then for the port, then those
/// for any. Among them an exact name goes before `*.name`, that of a longer name before that of a shorter one, these
/// before expressions in the order in which they are written, and `*` comes last. What none of them answers is looked for
/// among the next.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The more special first.
    limited: Vec<(At, Names)>,
    everywhere: Names,
}

/// The hosts of one address.
#[derive(Debug, Default)]
struct Names {
    exact: HashMap<String, usize>,
    /// By what stands behind the first dot, or a later one.
    below: HashMap<String, usize>,
    patterns: Vec<(Pattern, usize)>,
    any: Option<usize>,
}

impl Table {
    /// Adds a name of a host.
    ///
    /// # Errors
    /// The place of the host that has it already.
    pub(crate) fn add(&mut self, at: Option<At>, name: &HostName, place: usize) -> Result<(), usize> {
        let Some(at) = at else { return self.everywhere.add(name, place) };
        let known = match self.limited.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(known) => known,
            Err(new) => {
                self.limited.insert(new, (at, Names::default()));
                new
            }
        };
        self.limited[known].1.add(name, place)
    }

    /// The host that answers to a name, as a request has it but without the port, at an address of this machine.
    pub(crate) fn find(&self, name: &str, local: Option<SocketAddr>) -> Option<usize> {
        let name = &*normal(name);
        let here = |(at, _): &&(At, Names)| local.is_some_and(|local| at.is(local));
        let limited = self.limited.iter().filter(here).find_map(|(_, names)| names.find(name));
        limited.or_else(|| self.everywhere.find(name))
    }

    /// The host that a name means to somebody who comes to no address, such as another app.
    pub(crate) fn find_named(&self, name: &str) -> Option<usize> {
        let name = &*normal(name);
        let limited = || self.limited.iter().find_map(|(_, names)| names.named(name));
        self.everywhere.named(name).or_else(limited).or(self.everywhere.any)
    }
}

impl Names {
    fn add(&mut self, name: &HostName, place: usize) -> Result<(), usize> {
        let put = |map: &mut HashMap<String, usize>, name: &String| match map.get(name) {
            Some(known) => Err(*known),
            None => {
                map.insert(name.clone(), place);
                Ok(())
            }
        };
        match name {
            HostName::Exact(name) => put(&mut self.exact, name),
            HostName::Below(name) => put(&mut self.below, name),
            HostName::Domain(name) => put(&mut self.exact, name).and_then(|()| put(&mut self.below, name)),
            HostName::Pattern(pattern) => {
                self.patterns.push((pattern.clone(), place));
                Ok(())
            }
            HostName::Any => self.any.replace(place).map_or(Ok(()), Err),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.named(name).or(self.any)
    }

    fn named(&self, name: &str) -> Option<usize> {
        if let Some(place) = self.exact.get(name) {
            return Some(*place);
        }
        // Longer names before shorter ones; no label in front is none.
        let dots = name.match_indices('.').map(|(at, _)| at).filter(|at| *at > 0);
        let below = || dots.clone().find_map(|at| self.below.get(&name[at + 1..]));
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.matches(name));
        below().copied().or_else(|| pattern().map(|(_, place)| *place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(hosts: &[(&str, &str)]) -> Table {
        let mut table = Table::default();
        for (place, (at, names)) in hosts.iter().enumerate() {
            let at = (!at.is_empty()).then(|| at.parse().unwrap());
            for name in names.split(' ') {
                table.add(at, &name.parse().unwrap(), place).unwrap();
            }
        }
        table
    }

    #[test]
    fn the_most_special_name_answers() {
        let table = table(&[
            ("", "a.test www.a.test"),
            ("", "*.a.test"),
            ("", "*.b.a.test"),
            ("", r"~.*\.c\.test"),
            ("", r"~x\.c\.test"),
            ("", ".d.test [::1] 10.0.0.1"),
            ("", "*"),
        ]);
        for (name, place) in [
            ("a.test", 0),
            ("A.Test.", 0),
            ("www.a.test", 0),
            ("x.a.test", 1),
            ("x.y.a.test", 1),
            ("b.a.test", 1),
            ("x.b.a.test", 2),
            (".a.test", 6),
            ("xa.test", 6),
            ("x.c.test", 3),
            ("c.test", 6),
            ("d.test", 5),
            ("x.d.test", 5),
            ("[0::1]", 5),
            ("10.0.0.1", 5),
            ("a.test.evil", 6),
            ("", 6),
            (".", 6),
        ] {
            assert_eq!(table.find(name, None), Some(place), "{name:?}");
            assert_eq!(table.find_named(name), Some(place), "{name:?}");
        }
    }

    #[test]
    fn the_address_goes_before_the_name() {
        let table = table(&[
            ("127.0.0.1:80", "a.test *"),
            ("127.0.0.1", "a.test b.test"),
            ("*:80", "a.test b.test c.test"),
            ("", "a.test d.test"),
            ("[::1]:80", "e.test"),
        ]);
        for (local, name, place) in [
            ("127.0.0.1:80", "a.test", Some(0)),
            ("127.0.0.1:80", "d.test", Some(0)),
            ("[::ffff:127.0.0.1]:80", "b.test", Some(0)),
            ("127.0.0.1:81", "a.test", Some(1)),
            ("127.0.0.1:81", "c.test", None),
            ("127.0.0.1:81", "d.test", Some(3)),
            ("10.0.0.1:80", "a.test", Some(2)),
            ("10.0.0.1:81", "a.test", Some(3)),
            ("10.0.0.1:81", "b.test", None),
            ("[::1]:80", "e.test", Some(4)),
            ("[::1]:81", "e.test", None),
        ] {
            assert_eq!(table.find(name, Some(local.parse().unwrap())), place, "{local} {name}");
        }
        // From no address, what is limited to one is out of reach, but for who asks by name.
        assert_eq!((table.find("e.test", None), table.find_named("e.test")), (None, Some(4)));
    }

    #[test]
    fn a_name_belongs_to_one_host_of_an_address() {
        let mut table = table(&[("", "a.test *.b.test *"), ("*:80", "a.test")]);
        for (at, name, taken) in [
            (None, "A.test", Err(0)),
            (None, ".a.test", Err(0)),
            (None, "*.b.test", Err(0)),
            (None, "*", Err(0)),
            (Some(At::Port(80)), "a.test", Err(1)),
            (Some(At::Port(81)), "a.test", Ok(())),
            (None, "b.test", Ok(())),
        ] {
            assert_eq!(table.add(at, &name.parse().unwrap(), 9), taken, "{name}");
        }
    }

    #[test]
    fn places_are_read_and_written() {
        for text in ["10.0.0.1:443", "[::1]:443", "10.0.0.1", "::1", "*:443"] {
            assert_eq!(text.parse::<At>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]".parse(), Ok(At::Ip("::1".parse().unwrap())));
        for text in ["", "*", "*:", "*:0", "443", "localhost:443", "10.0.0.1:", "unix:/run/a", "*:70000"] {
            assert!(text.parse::<At>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_looked_up_without_a_panic(name in "\\PC{0,40}") {
            let table = table(&[("", "*.a.test"), ("", r"~.*\.c\.test")]);
            let _ = table.find(&name, None);
        }
    }
}
