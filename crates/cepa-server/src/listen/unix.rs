//! Unix sockets as files: replacing a stale one, permissions.

use super::{Address, BindOptions, ListenError, Socket, socket::listen, socket_file::SocketFile};
use socket2::{Domain, SockAddr, Type};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

/// Binds a path and listens there.
pub(super) fn bind(path: &Path, address: &Address, options: &BindOptions) -> Result<Socket, ListenError> {
    let socket = new().map_err(ListenError::at(address, "making a socket"))?;
    let addr = SockAddr::unix(path).map_err(ListenError::at(address, "making its address"))?;
    let lock = match socket.bind(&addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let lock = remove_stale(path, &addr, address)?;
            socket.bind(&addr).map_err(ListenError::at(address, "binding"))?;
            Some(lock)
        }
        bound => bound.map(|()| None).map_err(ListenError::at(address, "binding"))?,
    };
    // From here on the file is removed if anything fails.
    let file = SocketFile::bound(path).map_err(ListenError::at(address, "looking at the socket file"))?;
    // Before it listens nobody can connect, whatever the umask has made of the permissions.
    fs::set_permissions(path, Permissions::from_mode(options.mode.bits()))
        .map_err(ListenError::at(address, "setting the permissions of the socket file"))?;
    listen(&socket, options).map_err(ListenError::at(address, "listening"))?;
    drop(lock);
    Ok(Socket::of_unix(socket, file))
}

fn new() -> io::Result<socket2::Socket> {
    socket2::Socket::new(Domain::UNIX, Type::STREAM, None)
}

/// Removes the socket file at `path` if nobody listens on it.
///
/// The folder stays locked for as long as the returned file is open: of two processes that find the same stale file,
/// the second must not remove the socket that the first has just put in its place.
fn remove_stale(path: &Path, addr: &SockAddr, address: &Address) -> Result<File, ListenError> {
    let in_use = || ListenError::InUse { address: address.clone() };
    let kind = fs::symlink_metadata(path).map_err(ListenError::at(address, "looking at the file there"))?;
    if !kind.file_type().is_socket() {
        return Err(ListenError::NotASocketFile { address: address.clone() });
    }
    let folder = File::open(path.parent().unwrap_or(Path::new("/")));
    let folder = folder.map_err(ListenError::at(address, "opening the folder of the socket file"))?;
    folder.try_lock().map_err(|_| in_use())?;

    let probe = new().map_err(ListenError::at(address, "making a socket"))?;
    // A live server with a full backlog would block the probe.
    probe.set_nonblocking(true).map_err(ListenError::at(address, "making a socket"))?;
    match probe.connect(addr) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        // Answered, or at least present: not ours to remove.
        _ => return Err(in_use()),
    }
    fs::remove_file(path).map_err(ListenError::at(address, "removing the stale socket file"))?;
    Ok(folder)
}
