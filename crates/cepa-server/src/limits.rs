//! Every limit of a connection: what it bounds, its default, and the answer when it is passed.
//!
//! All are on by default, in one table of the configuration. Times are `"30s"`, sizes `"1 MiB"` (see [`units`]);
//! a time of `"0s"` switches that limit off, a count or a size has no such value unless its field says so.
//!
//! ```
//! use cepa_server::limits::Limits;
//!
//! let limits: Limits = toml::from_str("body = '50 MiB'\n[http2]\nstreams = 64").unwrap();
//! assert_eq!((limits.body, limits.http2.streams, limits.headers), (50 << 20, 64, 100));
//!
//! let error = toml::from_str::<Limits>("headers = 0").unwrap_err();
//! assert!(error.to_string().contains("headers is 0: it must be from 1 to 128"));
//! ```

use cepa_core::Memory;
pub use cepa_core::units;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{ops::RangeInclusive, time::Duration};
use units::{duration, size};

/// The most fields a head may have, whatever [`Limits::headers`] says.
pub(crate) const MOST_FIELDS: usize = 128;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What a connection and its requests may cost.
///
/// Deserialising checks the ranges; after changing fields in code, call [`check`](Self::check).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections per process, default 20,000, shared out evenly among its workers: 503 and close.
    pub connections: usize,
    /// Bytes of the HTTP/1 request line, of path and query behind a front server, default 8 KiB: 414.
    #[serde(with = "size")]
    pub request_line: usize,
    /// Header fields of a request, trailers apart, default 100: 431.
    pub headers: usize,
    /// Bytes of all HTTP/1 header lines of a request, and of headers as variables, default 32 KiB: 431.
    #[serde(with = "size")]
    pub header_bytes: usize,
    /// Bytes of all variables of a FastCGI, SCGI or tora request, default 64 KiB: 431. Of those that are headers the three
    /// limits above hold too.
    #[serde(with = "size")]
    pub variable_bytes: usize,
    /// Bytes of a request body, default 10 MiB, which a route may override: 413.
    #[serde(with = "size")]
    pub body: u64,
    /// Time for the header of the PROXY protocol, and then for the TLS handshake, default 10 s each: close.
    #[serde(with = "duration")]
    pub handshake: Duration,
    /// Time from the start of a connection (after TLS) to the first byte of its first request, default 30 s: close.
    #[serde(with = "duration")]
    pub first_byte: Duration,
    /// Time from the first byte of a request to the end of its head, default 10 s: 408 and close.
    #[serde(with = "duration")]
    pub header_time: Duration,
    /// Bytes per second that a request body must bring on average once `body_grace` is over, default 500, 0 = any:
    /// 408 and close.
    #[serde(with = "size")]
    pub body_rate: u64,
    /// Time before `body_rate` is asked for, default 10 s; with 0 it is asked for from the start.
    #[serde(with = "duration")]
    pub body_grace: Duration,
    /// Time between a response and the next request of the same connection, default 75 s: close.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// Time from the end of a request's head to the head of its response, default 60 s, which a route may override:
    /// 503.
    #[serde(with = "duration")]
    pub request_time: Duration,
    /// Time in which the peer takes no byte of a response, default 30 s: the connection is aborted.
    #[serde(with = "duration")]
    pub write_stall: Duration,
    /// Requests served on one connection, default 100,000, 0 = any number: `Connection: close` (HTTP/2: GOAWAY) with
    /// the last one.
    pub requests_per_connection: u64,
    /// Age of a connection, default 1 h: `Connection: close` (HTTP/2: GOAWAY) with the next response.
    #[serde(with = "duration")]
    pub connection_age: Duration,
    /// Bytes read ahead while a request is answered, of a body that the app does not ask for and of further requests,
    /// default 64 KiB: no more is read until then, and that the client leaves is not seen.
    #[serde(with = "size")]
    pub pipeline: usize,
    /// Work that handlers have put off until after their responses and that is not done, per worker, default 1,000:
    /// putting off more fails, with 503.
    pub deferred: usize,
    /// How deep handlers may call for other requests in the same process, which call for others, default 8: calling deeper
    /// fails, with 508. With 0 none may call.
    pub call_depth: u32,
    /// Time that open connections get to finish when a worker stops, default 30 s: close.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// The limits that only HTTP/2 knows.
    pub http2: Http2Limits,
}

/// What an HTTP/2 connection may cost beyond [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http2Limits {
    /// Streams open at once per connection (SETTINGS_MAX_CONCURRENT_STREAMS), default 128: REFUSED_STREAM.
    pub streams: u32,
    /// Bytes of a decoded header list as RFC 9113 counts them, section 6.5.2, default 32 KiB: 431.
    #[serde(with = "size")]
    pub header_list: u32,
    /// Body bytes that a connection may have on the way, default 1 MiB: the peer waits.
    #[serde(with = "size")]
    pub connection_window: u32,
    /// Body bytes that a stream may have on the way, default 256 KiB: the peer waits.
    #[serde(with = "size")]
    pub stream_window: u32,
    /// Streams that the peer may reset within `reset_window` (CVE-2023-44487), default 100: GOAWAY.
    pub resets: u32,
    /// The time over which `resets` and `local_resets` are counted, default 30 s.
    #[serde(with = "duration")]
    pub reset_window: Duration,
    /// Streams that the peer's errors may make us reset within `reset_window` (CVE-2025-8671), default 100: GOAWAY.
    pub local_resets: u32,
    /// SETTINGS, PING, PRIORITY, WINDOW_UPDATE and empty frames within `control_window` without progress of any
    /// stream, default 1,000: GOAWAY.
    pub control_frames: u32,
    /// The time over which `control_frames` is counted, default 10 s.
    #[serde(with = "duration")]
    pub control_window: Duration,
    /// Time for which the peer's window may hold up a stream that has something to send, default 30 s: the stream is
    /// reset.
    #[serde(with = "duration")]
    pub stream_stall: Duration,
    /// Time for the connection preface and the first SETTINGS, default 10 s: close.
    #[serde(with = "duration")]
    pub preface: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            request_line: 8 * KIB,
            headers: 100,
            header_bytes: 32 * KIB,
            variable_bytes: 64 * KIB,
            body: 10 * MIB as u64,
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            header_time: Duration::from_secs(10),
            body_rate: 500,
            body_grace: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            request_time: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            requests_per_connection: 100_000,
            connection_age: Duration::from_secs(3600),
            pipeline: 64 * KIB,
            deferred: 1_000,
            call_depth: Memory::CALL_DEPTH,
            drain: Duration::from_secs(30),
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            header_list: 32 * KIB as u32,
            connection_window: MIB as u32,
            stream_window: 256 * KIB as u32,
            resets: 100,
            reset_window: Duration::from_secs(30),
            local_resets: 100,
            control_frames: 1_000,
            control_window: Duration::from_secs(10),
            stream_stall: Duration::from_secs(30),
            preface: Duration::from_secs(10),
        }
    }
}

/// A limit outside of the range in which the server can keep it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: it must be from {least} to {most}")]
pub struct OutOfRange {
    /// The field, as it is named in the configuration below the table of limits.
    pub field: &'static str,
    /// What was asked for.
    pub value: u64,
    /// The least that is allowed.
    pub least: u64,
    /// The most that is allowed.
    pub most: u64,
}

impl Limits {
    /// The share of [`connections`](Self::connections) that one of `workers` workers may have open, rounded up.
    #[must_use]
    pub fn connections_per_worker(&self, workers: usize) -> usize {
        self.connections.div_ceil(workers.max(1))
    }

    /// Checks that every count and size is within the range that the server can keep.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        const LARGEST: u64 = 16 << 20;
        within("connections", self.connections as u64, 1..=100_000_000)?;
        within("request_line", self.request_line as u64, 64..=LARGEST)?;
        within("headers", self.headers as u64, 1..=MOST_FIELDS as u64)?;
        within("header_bytes", self.header_bytes as u64, 256..=LARGEST)?;
        within("variable_bytes", self.variable_bytes as u64, 256..=LARGEST)?;
        within("deferred", self.deferred as u64, 1..=1_000_000)?;
        within("call_depth", self.call_depth.into(), 0..=64)?;
        within("pipeline", self.pipeline as u64, 1 << 10..=LARGEST)?;
        self.http2.check()
    }
}

impl Http2Limits {
    fn check(&self) -> Result<(), OutOfRange> {
        // RFC 9113, section 6.9.1: a window has 31 bits; section 6.9.2: a connection's starts at 65,535.
        const LARGEST_WINDOW: u64 = (1 << 31) - 1;
        within("http2.streams", self.streams.into(), 1..=100_000)?;
        within("http2.header_list", self.header_list.into(), 256..=16 << 20)?;
        within("http2.connection_window", self.connection_window.into(), 65_535..=LARGEST_WINDOW)?;
        within("http2.stream_window", self.stream_window.into(), 1..=LARGEST_WINDOW)?;
        within("http2.resets", self.resets.into(), 1..=1_000_000)?;
        within("http2.local_resets", self.local_resets.into(), 1..=1_000_000)?;
        within("http2.control_frames", self.control_frames.into(), 1..=1_000_000)
    }
}

fn within(field: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), OutOfRange> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(OutOfRange { field, value, least: *range.start(), most: *range.end() })
}

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function: `remote = "Self"` makes it an inherent one and leaves the trait to us.
        let limits = Self::deserialize(deserializer)?;
        limits.check().map_err(D::Error::custom)?;
        Ok(limits)
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_default_is_deliberate() {
        let text = toml::to_string(&Limits::default()).unwrap();
        assert_eq!(
            text,
            r#"connections = 20000
request_line = "8 KiB"
headers = 100
header_bytes = "32 KiB"
variable_bytes = "64 KiB"
body = "10 MiB"
handshake = "10s"
first_byte = "30s"
header_time = "10s"
body_rate = "500"
body_grace = "10s"
idle = "75s"
request_time = "1m"
write_stall = "30s"
requests_per_connection = 100000
connection_age = "1h"
pipeline = "64 KiB"
deferred = 1000
call_depth = 8
drain = "30s"

[http2]
streams = 128
header_list = "32 KiB"
connection_window = "1 MiB"
stream_window = "256 KiB"
resets = 100
reset_window = "30s"
local_resets = 100
control_frames = 1000
control_window = "10s"
stream_stall = "30s"
preface = "10s"
"#
        );
        assert_eq!(toml::from_str::<Limits>(&text).unwrap(), Limits::default());
        assert_eq!(toml::from_str::<Limits>("").unwrap(), Limits::default());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_name() {
        for (text, fault) in [
            ("connections = 0", "connections is 0: it must be from 1"),
            ("headers = 5000", "headers is 5000: it must be from 1 to 128"),
            ("header_bytes = '1 GiB'", "header_bytes is 1073741824"),
            ("variable_bytes = 0", "variable_bytes is 0"),
            ("call_depth = 65", "call_depth is 65: it must be from 0 to 64"),
            ("pipeline = 0", "pipeline is 0"),
            ("[http2]\nstreams = 0", "http2.streams is 0"),
            ("[http2]\nconnection_window = '1 KiB'", "http2.connection_window is 1024"),
            ("[http2]\nstream_window = '3 GiB'", "http2.stream_window is 3221225472"),
            ("[http2]\nstream_window = '4 GiB'", "too large"),
            ("idle = '75 parsecs'", "unknown unit"),
            ("idle = 75", "write \"75s\""),
            ("ilde = '75s'", "unknown field `ilde`"),
            ("[http2]\nwindow = 1", "unknown field `window`"),
        ] {
            let error = toml::from_str::<Limits>(text).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }

    #[test]
    fn connections_are_shared_out() {
        let limits = Limits { connections: 10, ..Limits::default() };
        for (workers, share) in [(0, 10), (1, 10), (3, 4), (4, 3), (100, 1)] {
            assert_eq!(limits.connections_per_worker(workers), share, "{workers}");
        }
    }
}
