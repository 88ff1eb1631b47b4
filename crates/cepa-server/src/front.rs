//! What a listener speaks, and which front servers it believes.

use cepa_core::{
    Peer,
    forwarded::{InvalidTrust, Trust},
};
use serde::{Deserialize, Serialize};

/// The protocol that a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2, over TLS if there are certificates.
    #[default]
    Http,
    /// FastCGI, behind nginx, Apache, lighttpd or the like.
    FastCgi,
    /// SCGI, behind the same.
    Scgi,
    /// The tora protocol, behind Apache with mod_tora, and with clients that speak it themselves.
    Tora,
}

/// The front servers that are believed what they say of their clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct FrontServers {
    entries: Vec<String>,
    trust: Trust,
}

impl FrontServers {
    /// Those that are named so; see [`Trust`].
    ///
    /// # Errors
    /// The first entry that is neither a name nor a block of addresses.
    pub fn new(entries: Vec<String>) -> Result<Self, InvalidTrust> {
        let trust = Trust::new(entries.iter().map(String::as_str))?;
        Ok(Self { entries, trust })
    }

    pub(crate) fn trust(&self, peer: &Peer) -> bool {
        !matches!(peer, Peer::None) && self.trust.trusts_peer(peer.ip())
    }
}

impl Default for FrontServers {
    fn default() -> Self {
        let entries = ["loopback", "unix"].map(str::to_owned).to_vec();
        Self::new(entries).expect("these are names that a trust knows")
    }
}

impl TryFrom<Vec<String>> for FrontServers {
    type Error = InvalidTrust;

    fn try_from(entries: Vec<String>) -> Result<Self, InvalidTrust> {
        Self::new(entries)
    }
}

impl From<FrontServers> for Vec<String> {
    fn from(front: FrontServers) -> Self {
        front.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_and_unix_sockets_are_believed_unless_others_are_named() {
        let peers = ["127.0.0.1:1", "10.1.2.3:1", "[::1]:1"].map(|peer| Peer::Ip(peer.parse().unwrap()));
        let peers: Vec<_> = peers.into_iter().chain([Peer::Unix(None), Peer::None]).collect();
        for (front, believed) in [
            (FrontServers::default(), [true, false, true, true, false]),
            (FrontServers::new(vec!["10.0.0.0/8".to_owned()]).unwrap(), [false, true, false, false, false]),
            (FrontServers::new(Vec::new()).unwrap(), [false; 5]),
        ] {
            assert_eq!(peers.iter().map(|peer| front.trust(peer)).collect::<Vec<_>>(), believed);
        }
        assert!(serde_json::from_str::<FrontServers>(r#"["everybody"]"#).is_err());
        let written = serde_json::to_string(&FrontServers::default()).unwrap();
        assert_eq!(written, r#"["loopback","unix"]"#);
    }
}
