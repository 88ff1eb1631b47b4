//! What is taken of a client, and how long it is waited for.

use std::time::Duration;

use cepa_core::units;
use serde::Deserialize;

#[cfg(feature = "deflate")]
use crate::deflate::Deflate;

/// What is taken of a client, and how long it is waited for. A time or a rate of zero is no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes of a message, inflated, default 1 MiB; a larger one ends the WebSocket with 1009.
    #[serde(with = "units::size")]
    pub message: usize,
    /// Frames of a message, default 16,384: 1008.
    pub fragments: u32,
    /// How many times its size a compressed message may become once it is larger than 64 KiB, default 200: 1009.
    pub ratio: u32,
    /// Messages, pings and pongs that are taken in a second, default 1,000. What comes faster waits in the client.
    pub rate: u32,
    /// Most time from the first byte of a message to its last, default 60 s: 1008.
    #[serde(with = "units::duration")]
    pub message_time: Duration,
    /// A client that has sent nothing for so long is pinged, default 30 s.
    #[serde(with = "units::duration")]
    pub ping: Duration,
    /// A client that sends nothing for so long after a ping is gone, default 20 s: it is cut.
    #[serde(with = "units::duration")]
    pub pong: Duration,
    /// A client that takes nothing of what is sent for so long is cut, default 30 s.
    #[serde(with = "units::duration")]
    pub write_stall: Duration,
    /// How long the client's last word, or the end of the connection, is waited for, default 5 s; zero is 5 s.
    #[serde(with = "units::duration")]
    pub close_time: Duration,
    /// Pages of which other origins may connect, such as `https://admin.example.com`; default none, `*` for any.
    ///
    /// A page of the host that was asked may, and a client that is no browser and names no origin. Browsers send cookies
    /// along with a WebSocket of any page, so that this is the only protection against pages of others.
    pub origins: Vec<String>,
    /// The subprotocols that are spoken, the best first, default none. The first that the client offers is taken.
    pub protocols: Vec<String>,
    /// Compression of messages, off by default: it costs time.
    #[cfg(feature = "deflate")]
    pub deflate: Option<Deflate>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            message: 1 << 20,
            fragments: 16_384,
            ratio: 200,
            rate: 1000,
            message_time: Duration::from_secs(60),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(20),
            write_stall: Duration::from_secs(30),
            close_time: Duration::from_secs(5),
            origins: Vec::new(),
            protocols: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_a_configuration() {
        let options: Options =
            toml::from_str("message = \"64 KiB\"\nping = \"1m\"\norigins = [\"*\"]").unwrap();
        assert_eq!((options.message, options.ping), (65_536, Duration::from_secs(60)));
        assert!(toml::from_str::<Options>("mesage = 1").is_err());
    }
}
