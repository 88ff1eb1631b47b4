//! The PROXY protocol: a proxy that passes bytes on says first, in a header in front of them, who its client is.
//!
//! `proxy-protocol.txt` of HAProxy, versions 1 (a line) and 2 (binary). The [`Decoder`] takes bytes and has no socket.
//! A listener with [`ProxyProtocol`] expects the header from the proxies that it names, before TLS and whatever its door
//! is, and from nobody else: others are clients of their own, and to them a header is what it is to every door, an error.
//! What the header says becomes the peer itself and the local address, so that limits, logs and layers see the client.

mod crc32c;
mod decode;
mod read;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use serde::{Deserialize, Serialize};

use crate::{front::FrontServers, limits::units::size};

pub use self::decode::{Announced, Decoder, Fault};
pub(crate) use self::read::read;

/// Which proxies announce their clients on a listener by the PROXY protocol, and how.
///
/// Each connection of theirs begins with a header, within `limits.handshake`; one that does not is closed. Who else
/// connects is a client itself.
///
/// ```
/// use cepa_server::ListenConfig;
///
/// let listen: ListenConfig = toml::from_str(
///     "address = '0.0.0.0:443'\nproxy_protocol = { from = ['10.0.0.0/8'], version = 'v2' }",
/// )?;
/// assert_eq!(listen.proxy_protocol.map(|proxy| proxy.length), Some(2048));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// The proxies: addresses, blocks, `loopback`, `private` or `unix`.
    pub from: FrontServers,
    /// The version they must use: `v1`, `v2` or `any`, the default.
    #[serde(default)]
    pub version: Version,
    /// Bytes of a header of version 2 behind its first 16, default 2 KiB, at most 65,535: close. One of version 1 has
    /// 107 at most.
    #[serde(default = "default_length", with = "size")]
    pub length: u16,
}

/// Room for addresses, a client's certificate in short and what load balancers in clouds add.
fn default_length() -> u16 {
    2048
}

impl ProxyProtocol {
    /// Any version from these proxies.
    #[must_use]
    pub fn new(from: FrontServers) -> Self {
        Self { from, version: Version::Any, length: default_length() }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Either.
    #[default]
    Any,
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
