//! How to bind: the options of a listening socket.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// How to bind; all of it has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindOptions {
    /// Connections that may wait to be accepted, per socket and thus per worker, default 4096. Taken as 1 to 65,535;
    /// the kernel lowers it to `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether an IPv6 listener takes IPv6 connections only, default true, whatever `net.ipv6.bindv6only` says:
    /// `[::]:80` and `0.0.0.0:80` are two listeners then. If false, `[::]:80` takes both, and is
    /// `0.0.0.0:80` on a machine without IPv6.
    pub ipv6_only: bool,
    /// Who may connect to a Unix socket: the permissions of its file, default `"0660"`.
    pub mode: FileMode,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { backlog: 4096, ipv6_only: true, mode: FileMode(0o660) }
    }
}

/// Permissions of a file: in a configuration octal text, `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The permissions `bits`, or `None` if there are others than `rwxrwxrwx`.
    #[must_use]
    pub const fn new(bits: u32) -> Option<Self> {
        if bits <= 0o777 { Some(Self(bits)) } else { None }
    }

    /// The nine bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Octal)
    }
}

struct Octal;

impl de::Visitor<'_> for Octal {
    type Value = FileMode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not a number: in decimal, 440 would be rw-rwx---.
        f.write_str("permissions in octal, as text: \"0660\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FileMode, E> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let bits = if octal { u32::from_str_radix(digits, 8).ok() } else { None };
        bits.and_then(FileMode::new).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_text() {
        let read =
            |text: &str| toml::from_str::<BindOptions>(&format!("mode = {text}")).map(|it| it.mode.bits());
        for (text, bits) in [("'0660'", 0o660), ("'600'", 0o600), ("'0o777'", 0o777), ("'000'", 0)] {
            assert_eq!(read(text), Ok(bits), "{text}");
        }
        for text in ["660", "0o660", "'1777'", "'99'", "'888'", "''", "'+77'", "'7'", "'00660'", "'rw'"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("permissions in octal, as text: \"0660\""), "{text}: {error}");
        }
    }

    #[test]
    fn defaults_are_written_as_they_are_read() {
        let text = toml::to_string(&BindOptions::default()).unwrap();
        assert_eq!(text, "backlog = 4096\nipv6_only = true\nmode = \"0660\"\n");
        assert_eq!(toml::from_str::<BindOptions>(&text), Ok(BindOptions::default()));
    }
}
