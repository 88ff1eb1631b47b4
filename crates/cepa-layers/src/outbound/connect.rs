//! Opening a connection: resolving, choosing among the addresses, TCP or a Unix socket, TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{DialOptions, Failure, Http, Origin, Place, Stage, tls::Tls};

/// The most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 8;

/// A connection, encrypted or not.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(crate) type Stream = Box<dyn Duplex>;

/// A connection and the protocol that is spoken on it.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) two: bool,
}

/// Says which of the addresses of a name may be connected to. What it lets through is connected to as it is: the name
/// is not resolved again, so that a name server cannot change its mind in between.
pub(crate) type Resolved<'g> = &'g dyn Fn(&str, Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure>;

/// Opens a connection within the time for it.
pub(super) async fn open(
    origin: &Origin,
    options: &DialOptions,
    tls: &Arc<Tls>,
    check: Option<Resolved<'_>>,
    one_only: bool,
) -> Result<Opened, Failure> {
    let deadline = Instant::now() + options.connect;
    let work = async {
        let stream = match &origin.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Box::new(stream.map_err(|source| Failure::Connect { to: origin.to_string(), source })?)
                    as Stream
            }
            Place::Host(name, port) => {
                let stream = tcp(origin, name, *port, deadline, check).await?;
                if origin.tls {
                    return handshake(origin, name, stream, tls, (options.http, one_only)).await;
                }
                Box::new(stream)
            }
        };
        Ok(Opened { stream, two: options.http == Http::Two && !one_only })
    };
    timeout_at(deadline, work).await.unwrap_or(Err(Failure::Timeout(Stage::Connect)))
}

async fn tcp(
    origin: &Origin,
    name: &Arc<str>,
    port: u16,
    deadline: Instant,
    check: Option<Resolved<'_>>,
) -> Result<TcpStream, Failure> {
    let mut addresses = resolve(name, port).await?;
    if let Some(check) = check {
        addresses = check(name, addresses)?;
    }
    addresses.truncate(MOST_ADDRESSES);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, address) in addresses.iter().enumerate() {
        // One that does not answer leaves time for the others.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - at) as u32;
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Heads and bodies are written whole; waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = error,
            Err(_) if at + 1 == addresses.len() => return Err(Failure::Timeout(Stage::Connect)),
            Err(_) => {}
        }
    }
    Err(Failure::Connect { to: origin.to_string(), source: failed })
}

async fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = lookup_host((name, port)).await;
    found.map(Iterator::collect).map_err(|source| Failure::Resolve { host: name.to_owned(), source })
}

async fn handshake(
    origin: &Origin,
    name: &str,
    stream: TcpStream,
    tls: &Arc<Tls>,
    (http, one_only): (Http, bool),
) -> Result<Opened, Failure> {
    let failed = |source| Failure::Tls { to: origin.to_string(), source };
    let config = if tls.is_ready() {
        tls.config()
    } else {
        let tls = Arc::clone(tls);
        tokio::task::spawn_blocking(move || tls.config())
            .await
            .map_err(io::Error::other)
            .and_then(|made| made)
    };
    let mut config = config.map_err(failed)?;
    if one_only {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let name = ServerName::try_from(name.to_owned());
    let name = name.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2") || http == Http::Two && !one_only;
    Ok(Opened { stream: Box::new(stream), two })
}
