//! Lists of host names, as options have them.

/// Names of hosts: `example.com` is that host, `*.example.com` all below it, `.example.com` both.
///
/// Neither case nor a dot at the end counts.
///
/// ```
/// use cepa_layers::hosts::Hosts;
///
/// let hosts = Hosts::new([".example.com"])?;
/// assert!(hosts.contains("www.example.com") && !hosts.contains("wwwexample.com"));
/// # Ok::<(), cepa_layers::hosts::InvalidHostName>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    /// In lower case, without dots around it.
    name: String,
    itself: bool,
    below: bool,
}

/// Why an entry of a list is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host name: write `example.com`, `*.example.com` or, for both, `.example.com`")]
pub struct InvalidHostName(pub(crate) String);

impl Hosts {
    /// The hosts that the entries name.
    ///
    /// # Errors
    /// An entry that is no host name; a port, a scheme or a `*` elsewhere is none.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e str>) -> Result<Self, InvalidHostName> {
        entries.into_iter().map(Host::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `host`, given without a port, is on the list.
    pub fn contains(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().any(|known| known.is(host))
    }
}

impl Host {
    fn parse(entry: &str) -> Result<Self, InvalidHostName> {
        let (name, itself, below) = match (entry.strip_prefix("*."), entry.strip_prefix('.')) {
            (Some(name), _) => (name, false, true),
            (None, Some(name)) => (name, true, true),
            (None, None) => (entry, true, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_address = name.parse::<std::net::Ipv6Addr>().is_ok();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !(is_address || name.bytes().all(allowed)) {
            return Err(InvalidHostName(entry.to_owned()));
        }
        Ok(Self { name: name.to_ascii_lowercase(), itself, below })
    }

    fn is(&self, host: &str) -> bool {
        let Some(split) = host.len().checked_sub(self.name.len()) else { return false };
        let (before, same) = match (host.get(..split), host.get(split..)) {
            (Some(before), Some(end)) => (before, end.eq_ignore_ascii_case(&self.name)),
            _ => return false,
        };
        same && (self.itself && before.is_empty() || self.below && before.len() > 1 && before.ends_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_its_subdomains_or_both() {
        let table = [
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com.", true),
            ("Example.com.", "example.com", true),
            ("example.com", "www.example.com", false),
            ("example.com", "wwwexample.com", false),
            ("example.com", "example.com.evil.test", false),
            ("example.com", "evil.test", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "aexample.com", false),
            (".example.com", "example.com", true),
            (".example.com", "a.example.com", true),
            ("::1", "::1", true),
            ("example.com", "", false),
            ("example.com", "éxample.com", false),
        ];
        for (entry, host, expected) in table {
            assert_eq!(Hosts::new([entry]).unwrap().contains(host), expected, "{entry} {host}");
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for entry in ["", "*", "*.", ".", "..a", "http://a.com", "a.com:80", "a/b", "a@b", "*.*.com", "é.com"]
        {
            assert_eq!(Hosts::new([entry]), Err(InvalidHostName(entry.to_owned())), "{entry}");
        }
    }
}
