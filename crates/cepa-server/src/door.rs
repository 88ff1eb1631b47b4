//! From an accepted connection to the door that serves it.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker, ready},
    time::Duration,
};

use cepa_core::{LocalBoxFuture, Peer, TlsInfo};
use http::StatusCode;
use tokio::task::spawn_local;

use crate::{
    cgi::{self, Codec, Front},
    ends::Ends,
    fastcgi,
    floor::{Floor, Seat},
    front::FrontServers,
    http1::{self, Arriving, End, Link, date},
    http2,
    listen::{Accepted, Endpoint, Stream},
    moved::MovedConnection,
    proxy_protocol::{self, Announced, ProxyProtocol},
    scgi,
    tls::{self, Protocol, Tls},
    tora,
};

/// A connection that was accepted, and where.
pub(crate) struct Arrival {
    stream: Stream,
    peer: Peer,
    local: Option<SocketAddr>,
    /// The peer is another one than the kernel knows.
    is_announced: bool,
}

impl Arrival {
    /// `listener` is the address that is listened on, which is the connection's own unless it is a wildcard.
    pub(crate) fn new(accepted: Accepted, listener: &Endpoint) -> Self {
        let local = match listener {
            Endpoint::Tcp(address) if !address.ip().is_unspecified() => Some(*address),
            Endpoint::Tcp(_) => match accepted.stream.local_addr() {
                Ok(Endpoint::Tcp(address)) => Some(address),
                // The client is gone already; the first read will say so.
                _ => None,
            },
            Endpoint::Unix(_) => None,
        };
        Self::of(accepted, local)
    }

    fn of(accepted: Accepted, local: Option<SocketAddr>) -> Self {
        let Accepted { stream, peer } = accepted;
        let peer = match peer {
            Endpoint::Tcp(address) => Peer::Ip(address),
            Endpoint::Unix(path) => Peer::Unix(path.map(|path| path.into_path_buf())),
        };
        Self { stream, peer, local, is_announced: false }
    }

    /// Takes the ends of the connection that a proxy passes on.
    fn announce(&mut self, announced: Announced) {
        match announced {
            Announced::Nobody => return,
            Announced::Ip { client, server } => {
                self.peer = Peer::Ip(canonical(client));
                self.local = Some(canonical(server));
            }
            Announced::Unix(path) => {
                self.peer = Peer::Unix(path);
                self.local = None;
            }
        }
        self.is_announced = true;
    }
}

/// What is spoken on a listener.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Http,
    Https(Tls),
    FastCgi(FrontServers),
    Scgi(FrontServers),
    Tora(FrontServers, tora::Hosts),
    /// Any of those, behind proxies that announce their clients.
    Announced(Arc<(ProxyProtocol, Door)>),
}

/// Serves a connection on that comes from another process.
pub(crate) fn adopt(moved: MovedConnection, floor: &Rc<Floor>) {
    let MovedConnection { socket, served, age, unfinished, receipt } = moved;
    let arriving = unfinished.map(|unfinished| Box::new(Arriving { unfinished: *unfinished, receipt }));
    let arrival = Stream::from_socket(socket).and_then(|stream| {
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        let local = if let Endpoint::Tcp(address) = local { Some(address) } else { None };
        Ok(Arrival::of(Accepted { stream, peer }, local))
    });
    match arrival {
        Ok(arrival) => {
            let seat = Seat::of_adopted(floor);
            drop(spawn_local(plain(arrival, Some((served, age, arriving)), Rc::clone(floor), seat)));
        }
        // The client has reset it on the way.
        Err(error) => tracing::debug!(target: "cepa::server", %error, "a connection was not adopted"),
    }
}

/// Serves a connection in a task of its own.
pub(crate) fn open(arrival: Arrival, door: &Door, floor: &Rc<Floor>, seat: Seat) {
    let floor = Rc::clone(floor);
    match door {
        Door::Announced(listener) => {
            let (proxy, door) = &**listener;
            if proxy.from.trust(&arrival.peer) {
                drop(spawn_local(announced(arrival, Arc::clone(listener), floor, seat)));
            } else {
                open(arrival, door, &floor, seat);
            }
        }
        Door::Http => drop(spawn_local(plain(arrival, None, floor, seat))),
        Door::Https(tls) => drop(spawn_local(encrypted(arrival, tls.clone(), floor, seat))),
        Door::FastCgi(front) => {
            let codec = fastcgi::Door::new(&floor.limits);
            drop(spawn_local(behind(arrival, codec, front, floor, seat)));
        }
        Door::Scgi(front) => {
            let codec = scgi::Door::new(&floor.limits);
            drop(spawn_local(behind(arrival, codec, front, floor, seat)));
        }
        Door::Tora(front, hosts) => {
            let codec = tora::Door::new(front.trust(&arrival.peer), &floor.limits, hosts.clone());
            drop(spawn_local(behind(arrival, codec, front, floor, seat)));
        }
    }
}

/// Serves a connection once its proxy has said whose it is.
async fn announced(mut arrival: Arrival, listener: Arc<(ProxyProtocol, Door)>, floor: Rc<Floor>, seat: Seat) {
    let (proxy, door) = &*listener;
    let read = proxy_protocol::read(&arrival.stream, proxy);
    let fault = match within(floor.limits.handshake, &floor, read).await {
        Some(Ok(announced)) => {
            arrival.announce(announced);
            return open(arrival, door, &floor, seat);
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => error,
        // As when a proxy looks whether anybody listens.
        Some(Err(error)) => {
            return tracing::debug!(target: "cepa::server", %error, "a connection ended before its PROXY header");
        }
        None => io::Error::new(io::ErrorKind::TimedOut, "the header took longer than limits.handshake"),
    };
    tracing::warn!(target: "cepa::server", proxy = ?arrival.peer, %fault, "a proxy that should announce its client was refused");
}

fn canonical(address: SocketAddr) -> SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

/// Serves what a front server brings.
fn behind<C: Codec>(
    arrival: Arrival,
    codec: C,
    front: &FrontServers,
    floor: Rc<Floor>,
    seat: Seat,
) -> impl Future<Output = ()> + use<C> {
    let Arrival { stream, peer, local, .. } = arrival;
    let front = Front { is_trusted: front.trust(&peer), peer, local };
    let mut serve = cgi::Serve::new(stream, codec, floor, front);
    poll_fn(move |cx| {
        let _ = &seat;
        Pin::new(&mut serve).poll(cx)
    })
}

fn plain(
    arrival: Arrival,
    before: Option<(u32, u32, Option<Box<Arriving>>)>,
    floor: Rc<Floor>,
    seat: Seat,
) -> impl Future<Output = ()> {
    let Arrival { stream, peer, local, is_announced } = arrival;
    let ends = Rc::new(Ends { peer, local, tls: None });
    let link = Link::new(floor, ends);
    if is_announced {
        link.announced();
    }
    let mut speaks = Speaks::Http1(match before {
        None => http1::Serve::new(stream, link),
        Some((served, age, arriving)) => http1::Serve::resumed(stream, link, (served, age), arriving),
    });
    // Not an `async` block: it would hold the connection twice, and every idle one is one of these.
    poll_fn(move |cx| {
        let _ = &seat;
        loop {
            match &mut speaks {
                Speaks::Http2(serve) => return serve.as_mut().poll(cx),
                Speaks::Http1(serve) => match ready!(Pin::new(serve).poll(cx)) {
                    End::Closed => return Poll::Ready(()),
                    End::Http2(io, read, link) => {
                        let (floor, ends) = (Rc::clone(&link.floor), Rc::clone(&link.ends));
                        speaks = Speaks::Http2(Box::pin(http2::serve(io, read, floor, ends)));
                    }
                },
            }
        }
    })
}

/// The protocol of a connection in clear, whose first bytes decide.
enum Speaks {
    Http1(http1::Serve<Stream>),
    Http2(LocalBoxFuture<'static, ()>),
}

async fn encrypted(arrival: Arrival, tls: Tls, floor: Rc<Floor>, seat: Seat) {
    let Arrival { stream, peer, local, .. } = arrival;
    let handshake = Box::pin(tls.accept(stream));
    let stream = match within(floor.limits.handshake, &floor, handshake).await {
        Some(Ok(Some(stream))) => Box::new(stream),
        Some(Ok(None)) => return tracing::info!(target: "cepa::tls", "a challenge of ACME was answered"),
        Some(Err(error)) => return tracing::debug!(target: "cepa::tls", %error, "handshake failed"),
        None => return tracing::debug!(target: "cepa::tls", "handshake took longer than limits.handshake"),
    };
    let info = tls::peer_info(&stream);
    let protocol = info.protocol;
    let info = TlsInfo {
        server_name: info.server_name.map(str::to_owned),
        alpn: protocol.map(|protocol| protocol.name().to_owned()),
        version: Some(info.version),
        cipher: Some(info.cipher.to_owned()),
    };
    let ends = Rc::new(Ends { peer, local, tls: Some(Box::new(info)) });
    if protocol == Some(Protocol::Http2) {
        Box::pin(http2::serve(stream, Vec::new(), floor, ends)).await;
    } else {
        http1::Serve::new(stream, Link::new(floor, ends)).await;
    }
    drop(seat);
}

/// Answers 503 to a connection for which there is no room, without a task and without waiting: whatever the
/// kernel does not take at once is dropped. Who speaks TLS or FastCGI
/// learns no more than that the connection is closed.
pub(crate) fn refuse(arrival: &Arrival, door: &Door) {
    let mut answer = Vec::new();
    match door {
        Door::Announced(listener) => return refuse(arrival, &listener.1),
        Door::Http => http1::answer(&mut answer, StatusCode::SERVICE_UNAVAILABLE, &date::now()),
        Door::Scgi(_) => answer.extend_from_slice(scgi::BUSY),
        Door::Tora(..) => answer.extend_from_slice(tora::BUSY),
        // There is no request yet that could be answered; a front server answers 502 or asks another one.
        Door::Https(_) | Door::FastCgi(_) => return,
    }
    // What the client has sent already must be read, or closing resets the connection and takes the answer along.
    let mut thrown = [0; 8 * 1024];
    let _ = arrival.stream.try_write(&answer);
    let _ = arrival.stream.try_read(&mut thrown);
}

async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Runs a future for at most as long as a limit allows; `None` when that was not long enough.
async fn within<F: Future>(limit: Duration, floor: &Rc<Floor>, future: F) -> Option<F::Output> {
    let timer = floor.timers.register(own_waker().await);
    if let Some(time) = Floor::limit(limit) {
        timer.set(time);
    }
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.poll_expired(cx).map(|()| None)
    })
    .await
}
