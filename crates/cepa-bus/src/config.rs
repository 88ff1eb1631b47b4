//! Where a bus is kept, as the configuration says it.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::BusLimits;

/// Where a bus is kept, and what becomes of what is sent there while it is lost; the section `bus`, for
/// [`Bus::connect`](crate::Bus::connect).
///
/// ```
/// use cepa_bus::BusConfig;
///
/// let config: BusConfig = serde_json::from_str(r#"{"backend": "agent:/run/app/bus", "wait": "500ms"}"#)?;
/// assert_eq!(config.backend.to_string(), "agent:/run/app/bus");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// `memory`, the default: this process. `agent:/path`: the agent that listens on this Unix socket, for all processes
    /// of a machine. `redis://host`: a Redis server, for all machines that use it.
    pub backend: Backend,
    /// The file that `memory` keeps durable shares in, default none. An agent has one of its own, and Redis keeps them
    /// by itself.
    pub store: Option<PathBuf>,
    /// What the keys in Redis begin with, default `cepa:`. Those that share a database without sharing a bus need one each.
    pub prefix: String,
    /// What becomes of messages that are published while the backend is out of reach: `buffer`, the default, sends them
    /// when it is back; `refuse` fails at once.
    pub while_lost: WhileLost,
    /// Messages that wait to be sent, or were sent and are not answered, default 1,024, at most 65,536.
    pub buffer_messages: usize,
    /// Bytes of those, default 8 MiB.
    #[serde(with = "cepa_core::units::size")]
    pub buffer_bytes: usize,
    /// Time that everything else waits for a backend that is out of reach before it fails, default 1 s.
    #[serde(with = "cepa_core::units::duration")]
    pub wait: Duration,
    /// Time without a sign of life after which the backend is taken for lost, default 10 s, at least 1 s.
    #[serde(with = "cepa_core::units::duration")]
    pub silence: Duration,
    /// How much the bus may hold in this process.
    pub limits: BusLimits,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            store: None,
            prefix: "cepa:".to_owned(),
            while_lost: WhileLost::default(),
            buffer_messages: 1024,
            buffer_bytes: 8 << 20,
            wait: Duration::from_secs(1),
            silence: Duration::from_secs(10),
            limits: BusLimits::default(),
        }
    }
}

/// What a process is for the others of its bus, see [`Bus::connect_as`](crate::Bus::connect_as).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// One of those that serve.
    #[default]
    Worker,
    /// The one that does what is to be done once.
    Agent,
}

/// What becomes of messages that are published while the backend is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhileLost {
    /// They are kept, and sent in order when it is back.
    #[default]
    Buffer,
    /// They are refused at once.
    Refuse,
}

/// What keeps a bus.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Backend {
    /// The memory of this process.
    #[default]
    Memory,
    /// The agent that listens on this Unix socket.
    Agent(PathBuf),
    /// The Redis server of this address, which may have a password.
    Redis(String),
}

/// A text that names no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no backend: write \"memory\", \"agent:/path/of/a/socket\" or \"redis://host:6379\"")]
pub struct BackendNameError {
    /// What comes before the first `:`; the rest may be a secret.
    shown: String,
}

impl FromStr for Backend {
    type Err = BackendNameError;

    fn from_str(text: &str) -> Result<Self, BackendNameError> {
        let scheme = text.split(':').next().unwrap_or_default();
        let shown = || scheme.chars().take(40).collect();
        match (scheme, text.strip_prefix("agent:")) {
            ("memory", _) if text == scheme => Ok(Self::Memory),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Agent(path.into())),
            ("redis" | "rediss" | "redis+unix" | "unix", _) => Ok(Self::Redis(text.to_owned())),
            _ => Err(BackendNameError { shown: shown() }),
        }
    }
}

/// Without what may be secret: of a Redis server the name and the port alone.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Agent(path) => write!(f, "agent:{}", path.display()),
            Self::Redis(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split(['?', '#']).next().unwrap_or_default();
                write!(f, "{scheme}://{place}")
            }
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_one_line() {
        let shown = |text: &str| text.parse::<Backend>().map(|backend| format!("{backend:?}"));
        for text in ["memory", "agent:/run/bus", "agent:bus.sock", "redis://localhost:6379/2"] {
            assert_eq!(shown(text), Ok(text.to_owned()));
        }
        assert_eq!(shown("redis://user:se@cret@host/1?pass=secret"), Ok("redis://host/1".to_owned()));
        for text in ["", "memory:", "agent:", "agent", "sqlite:/secret", "redi"] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
        let error =
            serde_json::from_str::<BusConfig>(r#"{"backend": "http://secret"}"#).unwrap_err().to_string();
        assert!(error.contains("\"http\" is no backend") && !error.contains("secret"), "{error}");
    }
}
