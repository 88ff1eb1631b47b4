//! Where Redis is, and who connects to it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ::redis::{Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, io::tcp::TcpSettings};

/// A URL that names no Redis server that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// It has another form.
    #[error(
        "write redis://[user][:password@]host[:port][/database][?password_file=path], or unix:///path[?db=..&user=..&pass=..]"
    )]
    Malformed,
    /// It asks for TLS.
    #[error("connections to Redis are not encrypted here; run stunnel or the like beside it")]
    Tls,
}

/// Where Redis is, and who connects to it, for others who keep something there.
pub struct RedisAddress {
    info: ConnectionInfo,
    password_file: Option<PathBuf>,
}

/// More is not read of a file with a password.
const LONGEST_PASSWORD: u64 = 4096;

impl RedisAddress {
    /// Reads a URL: `redis://[user][:password@]host[:port][/database][?password_file=path]`, or
    /// `unix:///path[?db=..&user=..&pass=..]`.
    ///
    /// # Errors
    /// Another form, or one that asks for TLS.
    pub fn parse(url: &str) -> Result<Self, RedisUrlError> {
        let url = ::redis::parse_redis_url(url).ok_or(RedisUrlError::Malformed)?;
        if matches!(url.scheme(), "rediss" | "valkeys") {
            return Err(RedisUrlError::Tls);
        }
        let password_file = url.query_pairs().find(|(name, _)| name == "password_file");
        let password_file = password_file.map(|(_, path)| PathBuf::from(path.into_owned()));
        // The error of the crate may show what is secret.
        let info = url.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info =
            info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self { info, password_file })
    }

    pub(super) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// What connects, with the password that the file has now.
    ///
    /// # Errors
    /// A text for whoever looks after the server.
    pub fn client(&self) -> Result<Client, String> {
        let mut info = self.info.clone();
        if let Some(path) = &self.password_file {
            let password = read_password(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        Client::open(info).map_err(|error| error.to_string())
    }
}

/// Without what may be secret.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({:?})", self.info.addr())
    }
}

fn read_password(path: &Path) -> io::Result<String> {
    let mut password = String::new();
    File::open(path)?.take(LONGEST_PASSWORD).read_to_string(&mut password)?;
    password.truncate(password.trim_end_matches(['\r', '\n']).len());
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_server_a_database_and_a_user() {
        let address = RedisAddress::parse("redis://ada:secret@example.org:7000/3").unwrap();
        assert_eq!(address.database(), 3);
        let settings = address.info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("ada"), Some("secret")));
        let error = |url: &str| RedisAddress::parse(url).err();
        assert_eq!(error("rediss://example.org"), Some(RedisUrlError::Tls));
        for url in ["redis://", "redis://host/secret", "http://host", "redis://h:99999", "", "unix:"] {
            assert_eq!(error(url), Some(RedisUrlError::Malformed), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_file_is_read_each_time() {
        let path = std::env::temp_dir().join(format!("cepa-bus-password-{}", std::process::id()));
        let address = RedisAddress::parse(&format!("redis://host?password_file={}", path.display())).unwrap();
        assert!(address.client().unwrap_err().contains("cepa-bus-password"));
        for password in ["first", "second"] {
            std::fs::write(&path, format!("{password}\n")).unwrap();
            let client = address.client().unwrap();
            assert_eq!(client.get_connection_info().redis_settings().password(), Some(password));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
