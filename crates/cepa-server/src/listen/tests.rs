//! Tests of listening over real sockets, with children of the test for what belongs to a whole process.

use super::*;
use crate::scratch::Folder;
use std::{
    env,
    fs::{self, File},
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

fn any_port() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

fn unix_at(path: &Path) -> Address {
    Address::Unix(path.to_owned())
}

fn bind_one(address: &Address) -> Result<Socket, ListenError> {
    bind(address, 1, &BindOptions::default()).map(|mut sockets| sockets.remove(0))
}

fn tcp_addr(endpoint: &Endpoint) -> SocketAddr {
    match endpoint {
        Endpoint::Tcp(addr) => *addr,
        Endpoint::Unix(_) => panic!("a Unix socket"),
    }
}

async fn accept(acceptor: &Acceptor) -> Accepted {
    timeout(Duration::from_secs(10), acceptor.accept()).await.expect("a connection").unwrap()
}

#[test]
fn at_least_one_socket() {
    assert_eq!(bind(&any_port(), 0, &BindOptions::default()).unwrap().len(), 1);
}

#[tokio::test]
async fn workers_share_a_port_and_its_connections() {
    let sockets = bind(&any_port(), 4, &BindOptions::default()).unwrap();
    let addr = tcp_addr(sockets[0].local_addr());
    assert!(sockets.iter().all(|socket| tcp_addr(socket.local_addr()) == addr));
    let acceptors: Vec<_> = sockets.into_iter().map(|socket| Acceptor::new(socket).unwrap()).collect();

    let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut counts = Vec::new();
    for acceptor in &acceptors {
        let mut count = 0;
        while let Ok(accepted) = timeout(Duration::from_millis(50), acceptor.accept()).await {
            let Accepted { stream: Stream::Tcp(stream), peer } = accepted.unwrap() else {
                panic!("a Unix socket")
            };
            assert!(stream.nodelay().unwrap(), "inherited from the listener");
            assert!(clients.iter().any(|client| client.local_addr().unwrap() == tcp_addr(&peer)));
            count += 1;
        }
        counts.push(count);
    }
    assert_eq!(counts.iter().sum::<i32>(), 200);
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
}

#[test]
fn an_address_in_use_is_an_error_also_of_our_own_kind() {
    let sockets = bind(&any_port(), 2, &BindOptions::default()).unwrap();
    let address = Address::Tcp(tcp_addr(sockets[0].local_addr()));
    let error = bind_one(&address).unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("something else listens there"));

    let sibling = sockets[0].sibling().unwrap();
    assert_eq!(sibling.local_addr(), sockets[0].local_addr());
    drop((sockets, sibling));
    bind_one(&address).unwrap();
}

#[test]
fn a_foreign_address_is_an_error() {
    let error = bind_one(&"192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, ListenError::NotHere { .. }), "{error:?}");
}

#[tokio::test]
async fn ipv6_takes_ipv4_only_when_asked() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return; // No IPv6 on this machine.
    }
    let any: Address = "[::]:0".parse().unwrap();
    let apart = bind_one(&any).unwrap();
    let port = apart.local_addr().port().unwrap();
    assert_eq!(TcpStream::connect(("127.0.0.1", port)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    bind_one(&Address::Tcp(([0, 0, 0, 0], port).into())).unwrap();

    let options = BindOptions { ipv6_only: false, ..BindOptions::default() };
    let both = bind(&any, 2, &options).unwrap().remove(1);
    let port = both.local_addr().port().unwrap();
    let acceptor = Acceptor::new(both).unwrap();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(accept(&acceptor).await.peer.ip(), Some([127, 0, 0, 1].into()));
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_its_last_owner() {
    let folder = Folder::new();
    let path = folder.path("s");
    let options = BindOptions { mode: FileMode::new(0o622).unwrap(), ..BindOptions::default() };
    let mut sockets = bind(&unix_at(&path), 2, &options).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o622);
    assert_eq!(sockets[1].local_addr().to_string(), format!("unix:{}", path.display()));

    let acceptor = Acceptor::new(sockets.remove(0)).unwrap();
    drop(sockets);
    let _client = UnixStream::connect(&path).unwrap();
    assert_eq!(accept(&acceptor).await.peer, Endpoint::Unix(None));
    drop(acceptor);
    assert!(!path.exists());
}

#[test]
fn a_socket_file_is_replaced_only_when_nobody_listens() {
    let folder = Folder::new();
    let path = folder.path("s");
    let address = unix_at(&path);

    let live = bind_one(&address).unwrap();
    assert!(matches!(bind_one(&address), Err(ListenError::InUse { .. })));
    UnixStream::connect(&path).expect("still there");

    // What a killed server leaves behind.
    live.keep_file();
    drop(live);
    assert!(path.exists());
    let next = bind_one(&address).unwrap();
    UnixStream::connect(&path).expect("listening anew");

    // Another process holds the lock: it is about to listen there.
    next.keep_file();
    drop(next);
    let lock = File::open(&folder).unwrap();
    lock.lock().unwrap();
    assert!(matches!(bind_one(&address), Err(ListenError::InUse { .. })));
    drop(lock);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "precious").unwrap();
    let error = bind_one(&address).unwrap_err();
    assert!(matches!(error, ListenError::NotASocketFile { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_live_server_with_a_full_backlog_is_in_use() {
    let folder = Folder::new();
    let address = unix_at(&folder.path("s"));
    let options = BindOptions { backlog: 1, ..BindOptions::default() };
    let _live = bind(&address, 1, &options).unwrap();
    let fill = || {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&socket2::SockAddr::unix(folder.path("s"))?)?;
        io::Result::Ok(socket)
    };
    let full: Vec<_> = (0..8).map_while(|_| fill().ok()).collect();
    assert!(full.len() < 8);
    assert!(matches!(bind_one(&address), Err(ListenError::InUse { .. })));
}

#[test]
fn a_successors_socket_file_stays() {
    let folder = Folder::new();
    let path = folder.path("s");
    let old = bind_one(&unix_at(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    let _new = UnixListener::bind(&path).unwrap();
    drop(old);
    assert!(path.exists());
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = bind_one(&"unix:/nowhere/at/all".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("unix:/nowhere/at/all: binding: "), "{error}");
}

#[test]
fn a_descriptor_must_be_a_listening_stream_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let folder = Folder::new();
    for fd in [
        OwnedFd::from(TcpStream::connect(addr).unwrap()),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixStream::pair().unwrap().0.into(),
        File::open(&folder).unwrap().into(),
    ] {
        let error = Socket::from_fd(fd).unwrap_err();
        assert!(matches!(error, ListenError::NotListening { .. }), "{error:?}");
    }
    let socket = Socket::from_fd(listener.into()).unwrap();
    assert_eq!(tcp_addr(socket.local_addr()), addr);
    assert!(socket.inner.nonblocking().unwrap() && socket.inner.tcp_nodelay().unwrap());
    assert_eq!(tcp_addr(socket.sibling().unwrap().local_addr()), addr);

    let path = folder.path("s");
    let socket = Socket::from_fd(UnixListener::bind(&path).unwrap().into()).unwrap();
    assert_eq!(socket.local_addr(), &Endpoint::Unix(Some(path.as_path().into())));
    drop(socket);
    assert!(path.exists(), "not ours to remove");
}

#[tokio::test]
async fn streams_of_both_kinds_read_and_write() {
    let folder = Folder::new();
    for address in [any_port(), unix_at(&folder.path("s"))] {
        let acceptor = Acceptor::new(bind_one(&address).unwrap()).unwrap();
        let local = acceptor.local_addr().clone();
        let client = std::thread::spawn(move || {
            let mut stream: Box<dyn ReadWrite> = match local {
                Endpoint::Tcp(addr) => Box::new(TcpStream::connect(addr).unwrap()),
                Endpoint::Unix(path) => Box::new(UnixStream::connect(path.unwrap()).unwrap()),
            };
            stream.write_all(b"ping").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let Accepted { mut stream, peer } = accept(&acceptor).await;
        assert_eq!(stream.peer_addr().unwrap(), peer);
        assert_eq!(&stream.local_addr().unwrap(), acceptor.local_addr());

        let mut bytes = [0; 16];
        let read = loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut bytes[..2]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => break read.unwrap(),
            }
        };
        assert_eq!(read, 2);
        stream.read_exact(&mut bytes[2..4]).await.unwrap();
        assert_eq!(&bytes[..4], b"ping");
        assert_eq!(stream.try_read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);

        assert_eq!(stream.try_write_vectored(&[IoSlice::new(b"po"), IoSlice::new(b"ng")]).unwrap(), 4);
        assert!(stream.is_write_vectored());
        assert_eq!(stream.write_vectored(&[IoSlice::new(b", "), IoSlice::new(b"pong")]).await.unwrap(), 6);
        stream.shutdown().await.unwrap();
        assert_eq!(client.join().unwrap(), "pong, pong");
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

#[tokio::test]
async fn an_aborted_connection_is_reset() {
    let acceptor = Acceptor::new(bind_one(&any_port()).unwrap()).unwrap();
    let mut client = TcpStream::connect(tcp_addr(acceptor.local_addr())).unwrap();
    let Accepted { stream, .. } = accept(&acceptor).await;
    stream.abort_on_drop().unwrap();
    drop(stream);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// This test program as a child in which the test `name` does its part, started by the shell command `start`, in which
/// `"$@"` stands for it.
fn child(name: &str, start: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", start, "sh"]).arg(env::current_exe().unwrap());
    command.args(["--exact", name]).env("CEPA_TEST_CHILD", name);
    command
}

/// Whether this is the child that [`child`] has made. In the parent such a test has nothing to do.
fn is_child(name: &str) -> bool {
    env::var("CEPA_TEST_CHILD").is_ok_and(|child| child == name)
}

#[test]
fn descriptors_are_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let start = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:udp exec \"$@\" 3<&0 4>&2 2>/dev/null";
    let mut child = child("listen::tests::child_with_descriptors", start)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(Stdio::from(OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap())))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut answer = String::new();
    TcpStream::connect(addr).unwrap().read_to_string(&mut answer).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answer, "handed over");
}

#[tokio::test]
async fn child_with_descriptors() {
    if !is_child("listen::tests::child_with_descriptors") {
        return;
    }
    let named = |text: &str| bind(&text.parse().unwrap(), 2, &BindOptions::default());
    assert!(matches!(named("fd:udp"), Err(ListenError::NotListening { .. })));
    assert!(matches!(named("fd:5"), Err(ListenError::NotInherited { count: 2, .. })));
    assert!(matches!(named("fd:nobody"), Err(ListenError::NotInherited { count: 2, .. })));
    let sockets = named("fd:web").unwrap();
    assert_eq!(sockets.len(), 2);
    assert!(matches!(named("fd:3"), Err(ListenError::NotInherited { .. })), "taken");
    let acceptors: Vec<_> = sockets.into_iter().map(|socket| Acceptor::new(socket).unwrap()).collect();
    let mut stream = accept(&acceptors[1]).await.stream;
    stream.write_all(b"handed over").await.unwrap();
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let output =
        child("listen::tests::child_without_descriptors", "ulimit -n 48; exec \"$@\"").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn child_without_descriptors() {
    if !is_child("listen::tests::child_without_descriptors") {
        return;
    }
    let acceptor = Acceptor::new(bind_one(&any_port()).unwrap()).unwrap();
    let addr = tcp_addr(acceptor.local_addr());
    // More than half of what is left: not all of them can be accepted.
    let left = 48 - fs::read_dir("/proc/self/fd").unwrap().count();
    let clients: Vec<_> = (0..left * 2 / 3).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut accepted = Vec::new();
    while let Ok(next) = timeout(Duration::from_millis(300), acceptor.accept()).await {
        accepted.push(next.unwrap());
    }
    let waiting = clients.len() - accepted.len();
    assert!(waiting > 0, "the limit is not in force");
    assert_eq!(File::open("/").unwrap_err().raw_os_error(), Some(24));
    assert!(acceptor.paused() >= Duration::from_millis(100), "{:?}", acceptor.paused());

    accepted.clear();
    for _ in 0..waiting {
        accepted.push(accept(&acceptor).await);
    }
    assert_eq!(acceptor.paused(), Duration::ZERO);
}
