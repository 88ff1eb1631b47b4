//! Where to listen, as people write it: `127.0.0.1:3000`, `unix:/run/app.sock`, `fd:web`.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// The longest path that fits into a Unix socket address, `sun_path` less its final NUL; unix(7).
const UNIX_PATH_MAX: usize = 107;
/// The longest name that systemd gives a descriptor; `sd_pid_notify_with_fds(3)`.
const FD_NAME_MAX: usize = 255;
/// The first descriptor that can be handed over; 0 to 2 are the standard streams.
const FD_FIRST: i32 = 3;

/// Where to listen.
///
/// | text | means |
/// | --- | --- |
/// | `127.0.0.1:3000`, `[::1]:3000`, `0.0.0.0:80` | TCP; port 0 asks for any free one |
/// | `localhost:3000` | TCP on 127.0.0.1, and not on ::1, which needs a listener of its own |
/// | `tcp:127.0.0.1:3000` | the same as without `tcp:` |
/// | `unix:/run/app.sock` | a Unix stream socket; the path is absolute |
/// | `fd:3` | the descriptor of that number, handed over by systemd or its like |
/// | `fd:web` | the one handed over under that name (`FileDescriptorName=`) |
///
/// ```
/// use cepa_server::listen::Address;
///
/// let address: Address = "tcp:localhost:3000".parse()?;
/// assert_eq!(address.to_string(), "127.0.0.1:3000");
///
/// let error = "3000".parse::<Address>().unwrap_err();
/// assert_eq!(error.to_string(), "\"3000\" is no address to listen on: there is no port; write 127.0.0.1:3000");
/// # Ok::<(), cepa_server::listen::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
    /// The number of an inherited descriptor.
    Fd(i32),
    /// The name of an inherited descriptor.
    FdName(String),
}

/// A text that names no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address to listen on: {fault}")]
pub struct AddressError {
    /// The text, cut to 200 characters.
    pub text: String,
    /// What is wrong with it.
    pub fault: AddressFault,
}

/// What is wrong with the text of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// No `:` before a port.
    #[error("there is no port; write 127.0.0.1:3000")]
    NoPort,
    /// The port is not a number up to 65535.
    #[error("the port is not a number from 0 to 65535")]
    Port,
    /// Colons in the host and no brackets around it.
    #[error("an IPv6 address stands in brackets; write [::1]:3000")]
    Brackets,
    /// The host is neither an IP address nor `localhost`.
    #[error(
        "the host is not an IP address; write 0.0.0.0 or [::] for all interfaces, localhost for this machine"
    )]
    Host,
    /// The path of a Unix socket does not begin with `/`.
    #[error("the path must be absolute; write unix:/run/app.sock")]
    RelativePath,
    /// The path of a Unix socket does not fit into its address.
    #[error("the path is longer than {UNIX_PATH_MAX} bytes, which is all that a Unix socket can have")]
    LongPath,
    /// The path of a Unix socket holds a NUL byte.
    #[error("the path holds a NUL byte")]
    Nul,
    /// The descriptor is one of the standard streams.
    #[error("descriptors are handed over from number 3 on; write fd:3")]
    Fd,
    /// The name of a descriptor is empty, too long, or holds a colon or a control character.
    #[error(
        "a descriptor has a number from 3 on, or a name of 1 to 255 printable characters without a colon"
    )]
    FdName,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed = if let Some(path) = text.strip_prefix("unix:") {
            unix(path)
        } else if let Some(fd) = text.strip_prefix("fd:") {
            descriptor(fd)
        } else {
            tcp(text.strip_prefix("tcp:").unwrap_or(text))
        };
        parsed.map_err(|fault| AddressError { text: text.chars().take(200).collect(), fault })
    }
}

fn tcp(text: &str) -> Result<Address, AddressFault> {
    let (host, port) = text.rsplit_once(':').ok_or(AddressFault::NoPort)?;
    if port.is_empty() || port.ends_with(']') {
        return Err(AddressFault::NoPort);
    }
    // `u16::from_str` takes a sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressFault::Port);
    }
    let port = port.parse().map_err(|_| AddressFault::Port)?;
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(Address::Tcp((Ipv4Addr::LOCALHOST, port).into()));
    }
    if let Some(inside) = host.strip_prefix('[') {
        let host = inside.strip_suffix(']').ok_or(AddressFault::Host)?;
        if host.contains('%') {
            // A scope: only the parser of whole socket addresses knows it.
            return text.parse().map(Address::Tcp).map_err(|_| AddressFault::Host);
        }
        let ip = host.parse::<Ipv6Addr>().map_err(|_| AddressFault::Host)?;
        return Ok(Address::Tcp((ip, port).into()));
    }
    if host.contains(':') {
        return Err(AddressFault::Brackets);
    }
    let ip = host.parse::<IpAddr>().map_err(|_| AddressFault::Host)?;
    Ok(Address::Tcp((ip, port).into()))
}

fn unix(path: &str) -> Result<Address, AddressFault> {
    if !path.starts_with('/') {
        return Err(AddressFault::RelativePath);
    }
    if path.len() > UNIX_PATH_MAX {
        return Err(AddressFault::LongPath);
    }
    if path.contains('\0') {
        return Err(AddressFault::Nul);
    }
    Ok(Address::Unix(path.into()))
}

fn descriptor(text: &str) -> Result<Address, AddressFault> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().map_err(|_| AddressFault::Fd)?;
        return if number < FD_FIRST { Err(AddressFault::Fd) } else { Ok(Address::Fd(number)) };
    }
    let printable = text.chars().all(|c| !c.is_control() && c != ':');
    if text.is_empty() || text.len() > FD_NAME_MAX || !printable {
        return Err(AddressFault::FdName);
    }
    Ok(Address::FdName(text.to_owned()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::FdName(name) => write!(f, "fd:{name}"),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:3000", "[::1]:3000"),
            ("[::]:80", "[::]:80"),
            ("[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("localhost:65535", "127.0.0.1:65535"),
            ("LocalHost:1", "127.0.0.1:1"),
            ("tcp:127.0.0.1:3000", "127.0.0.1:3000"),
            ("tcp:[::1]:3000", "[::1]:3000"),
            ("tcp:localhost:3000", "127.0.0.1:3000"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:/run/a b:c", "unix:/run/a b:c"),
            ("fd:3", "fd:3"),
            ("fd:007", "fd:7"),
            ("fd:web", "fd:web"),
            ("fd:3a", "fd:3a"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        use AddressFault::*;
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_MAX));
        for (text, fault) in [
            ("", NoPort),
            ("3000", NoPort),
            ("127.0.0.1", NoPort),
            ("127.0.0.1:", NoPort),
            (":3000", Host),
            ("*:3000", Host),
            ("example.com:80", Host),
            ("127.0.0.1:+80", Port),
            ("127.0.0.1:65536", Port),
            ("127.0.0.1: 80", Port),
            ("127.0.0.1:http", Port),
            ("127.1:80", Host),
            ("::1:3000", Brackets),
            ("[::1]", NoPort),
            ("[::1:80", Host),
            ("[::1]x:80", Host),
            ("[127.0.0.1]:80", Host),
            ("tcp:tcp:1.2.3.4:1", Brackets),
            ("http://127.0.0.1:80", Brackets),
            ("unix:", RelativePath),
            ("unix:app.sock", RelativePath),
            ("unix:@abstract", RelativePath),
            (&long, LongPath),
            ("unix:/a\0b", Nul),
            ("fd:", FdName),
            ("fd:2", Fd),
            ("fd:99999999999", Fd),
            ("fd:a:b", FdName),
            ("fd:a\n", FdName),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.fault, fault, "{text}");
            assert!(error.to_string().len() < 500);
        }
    }

    #[test]
    fn is_text_in_a_configuration() {
        let address: Address = serde_json::from_str("\"fd:web\"").unwrap();
        assert_eq!(address, Address::FdName("web".to_owned()));
        assert_eq!(serde_json::to_string(&address).unwrap(), "\"fd:web\"");
        let error = serde_json::from_str::<Address>("\"localhost\"").unwrap_err();
        assert!(
            error.to_string().contains("\"localhost\" is no address to listen on: there is no port"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_what_it_writes(text in "(tcp:|unix:/|fd:|\\[)?[0-9a-f.:\\]%]{0,20}\\PC{0,8}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }

        #[test]
        fn every_socket_address_is_read(addr in any::<SocketAddr>()) {
            prop_assert_eq!(addr.to_string().parse::<Address>().map(|it| it.to_string()), Ok(addr.to_string()));
        }
    }
}
