//! Descriptors handed over by systemd or its like, as `sd_listen_fds(3)` says.

use super::{Address, ListenError, Socket};
use listenfd::ListenFd;
use std::{
    env,
    os::fd::OwnedFd,
    sync::{Mutex, OnceLock, PoisonError},
};

/// All that were handed over, read from the environment once.
struct Inherited {
    fds: ListenFd,
    first: i32,
    names: String,
}

static INHERITED: OnceLock<Mutex<Inherited>> = OnceLock::new();

impl Inherited {
    fn from_env() -> Self {
        // The names first: `ListenFd` clears what it reads.
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        // An extension of the protocol that `ListenFd` heeds.
        let first = env::var("LISTEN_FDS_FIRST_FD").ok().and_then(|first| first.parse().ok()).unwrap_or(3);
        Self { fds: ListenFd::from_env(), first, names }
    }

    /// The place of the descriptor among those handed over, if it can be one of them.
    fn index(&self, address: &Address) -> Result<usize, ListenError> {
        let missing = || ListenError::NotInherited { address: address.clone(), count: self.fds.len() };
        match address {
            Address::Fd(number) => {
                number.checked_sub(self.first).and_then(|index| index.try_into().ok()).ok_or_else(missing)
            }
            Address::FdName(name) => find_name(&self.names, name)
                .ok_or_else(missing)?
                .ok_or_else(|| ListenError::Ambiguous { address: address.clone() }),
            Address::Tcp(_) | Address::Unix(_) => Err(missing()),
        }
    }
}

/// The index of `name` in the colon-separated list, `Some(None)` if it is there more than once.
fn find_name(names: &str, name: &str) -> Option<Option<usize>> {
    let mut found = names.split(':').enumerate().filter(|(_, other)| *other == name).map(|(index, _)| index);
    let first = found.next()?;
    Some(found.next().is_none().then_some(first))
}

/// Takes the descriptor that `address` names; it can be taken once.
pub(super) fn take(address: &Address) -> Result<Socket, ListenError> {
    let inherited = INHERITED.get_or_init(|| Mutex::new(Inherited::from_env()));
    let mut inherited = inherited.lock().unwrap_or_else(PoisonError::into_inner);
    let index = inherited.index(address)?;
    // Of the wrong kind, a descriptor stays for the second try, which then says what it is not.
    let fd = match inherited.fds.take_tcp_listener(index) {
        Ok(socket) => socket.map(OwnedFd::from),
        Err(_) => inherited
            .fds
            .take_unix_listener(index)
            .map_err(|_| ListenError::NotListening { what: address.to_string() })?
            .map(OwnedFd::from),
    };
    let fd =
        fd.ok_or_else(|| ListenError::NotInherited { address: address.clone(), count: inherited.fds.len() })?;
    Socket::from_fd_called(fd, |_| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_once() {
        for (names, name, found) in [
            ("web:admin", "web", Some(Some(0))),
            ("web:admin", "admin", Some(Some(1))),
            ("web:admin:web", "web", Some(None)),
            ("web", "we", None),
            ("", "web", None),
        ] {
            assert_eq!(find_name(names, name), found, "{names} {name}");
        }
    }
}
