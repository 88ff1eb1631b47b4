//! WebSockets over HTTP/2 end to end (RFC 8441), in clear and over TLS, with the handlers that serve HTTP/1.1.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{App, Ctx, Error};
use cepa_layers::proxy;
use cepa_server::tls::{CertificateFiles, TlsConfig, self_signed};
use cepa_tests::{Served, Serving, serve, stats::eventually, wire::PATIENCE};
use cepa_websocket::{Options, Socket, WebSocketExt as _, deflate::Deflate};
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Method, Request, Response};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// `/echo` echoes; `/fail` fails with the first message; `/flood` sends for ever; the handlers that run are counted.
fn app(options: Options, running: &Arc<AtomicUsize>) -> App {
    let options = Arc::new(options);
    let [echo, fail, flood] = std::array::from_fn(|_| Arc::clone(&options));
    let [echoing, flooding] = std::array::from_fn(|_| Arc::clone(running));
    App::new()
        .get("/echo", async move |ctx: &mut Ctx| {
            let running = Arc::clone(&echoing);
            ctx.websocket(&echo, async move |socket: &mut Socket| {
                running.fetch_add(1, SeqCst);
                let echoed = async {
                    while let Some(message) = socket.recv().await? {
                        socket.send(message).await?;
                    }
                    Ok(())
                };
                let ended = echoed.await;
                running.fetch_sub(1, SeqCst);
                ended
            })
        })
        .get("/fail", async move |ctx: &mut Ctx| {
            ctx.websocket(&fail, async |socket: &mut Socket| {
                socket.recv().await?;
                Err(Error::new(500, "failed"))
            })
        })
        .get("/flood", async move |ctx: &mut Ctx| {
            let running = Arc::clone(&flooding);
            ctx.websocket(&flood, async move |socket: &mut Socket| {
                running.fetch_add(1, SeqCst);
                while socket.send(vec![0; 100_000]).await.is_ok() {}
                running.fetch_sub(1, SeqCst);
                Ok(())
            })
        })
        .get("/plain", async |_: &mut Ctx| "plain")
}

fn served(options: Options) -> Served {
    serve(app(options, &Arc::default())).unwrap()
}

/// An HTTP/2 connection of a client.
struct Client {
    send: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Client {
    async fn clear(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap()).await
    }

    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: S) -> Self {
        let (send, connection) =
            h2::client::Builder::new().initial_connection_window_size(1 << 20).handshake(io).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { send, connection }
    }

    /// Asks for a WebSocket, with fields beside the usual ones.
    async fn ask(
        &mut self,
        path: &str,
        protocol: &'static str,
        fields: &[(&str, &str)],
    ) -> (Response<RecvStream>, SendStream<Bytes>) {
        // The server's settings come with its first frames; before, no client may ask.
        self.send = self.send.clone().ready().await.unwrap();
        let plain = Request::get("http://a.test/plain").body(()).unwrap();
        assert_eq!(self.send.send_request(plain, true).unwrap().0.await.unwrap().status(), 200);
        assert!(self.send.is_extended_connect_protocol_enabled());
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://a.test{path}"))
            .extension(h2::ext::Protocol::from_static(protocol))
            .header("sec-websocket-version", "13");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (response, send) = self.send.send_request(request.body(()).unwrap(), false).unwrap();
        (response.await.unwrap(), send)
    }

    async fn open(&mut self, path: &str, fields: &[(&str, &str)]) -> WebSocket {
        let (response, send) = self.ask(path, "websocket", fields).await;
        assert_eq!(response.status(), 200);
        let (head, recv) = response.into_parts();
        WebSocket { fields: head.headers, send, recv, left: Vec::new() }
    }
}

/// A WebSocket of a client, by hand.
struct WebSocket {
    fields: HeaderMap,
    send: SendStream<Bytes>,
    recv: RecvStream,
    left: Vec<u8>,
}

impl WebSocket {
    /// Sends a frame, masked with zeros.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first, 0x80 | 127];
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        if payload.len() < 126 {
            frame = vec![first, 0x80 | payload.len() as u8];
        } else if let Ok(length) = u16::try_from(payload.len()) {
            frame = [&[first, 0x80 | 126][..], &length.to_be_bytes()].concat();
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        let mut rest = Bytes::from(frame);
        while !rest.is_empty() {
            self.send.reserve_capacity(rest.len());
            let room = poll_fn(|cx| self.send.poll_capacity(cx)).await.unwrap().unwrap();
            self.send.send_data(rest.split_to(room.min(rest.len())), false).unwrap();
        }
    }

    /// Takes bytes that came; `None` at the end, or the reason of a reset.
    async fn take(&mut self, length: usize) -> Result<Option<Vec<u8>>, Reason> {
        while self.left.len() < length {
            match timeout(PATIENCE, self.recv.data()).await.expect("something comes in time") {
                Some(Ok(data)) => {
                    self.recv.flow_control().release_capacity(data.len()).unwrap();
                    self.left.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(error.reason().unwrap()),
                None => return Ok(None),
            }
        }
        Ok(Some(self.left.drain(..length).collect()))
    }

    /// The next frame: its first byte and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2).await.unwrap().expect("a frame comes");
        let length = match head[1] {
            126 => self.take(2).await,
            127 => self.take(8).await,
            length => Ok(Some(vec![length])),
        };
        let length = length.unwrap().unwrap().iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        (head[0], self.take(length).await.unwrap().unwrap())
    }

    /// The code of the Close frame that comes next, after which the stream ends in order once it is `answered`.
    async fn closed(&mut self, answered: bool) -> u16 {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x88);
        if !answered {
            self.send(0x88, &payload[..2]).await;
        }
        assert_eq!(self.take(1).await, Ok(None));
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// A server with a certificate for `a.test`, and a client that trusts it and speaks HTTP/2.
async fn over_tls(app: App) -> (Served, Client) {
    let folder = tempfile::tempdir().unwrap();
    let made = self_signed(&["a.test".to_owned()]).unwrap();
    let [cert, key] = [("cert", made.cert), ("key", made.key)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cert).unwrap()).unwrap();
    let files = CertificateFiles { cert, key, names: vec!["a.test".to_owned()] };
    let tls = TlsConfig::new(vec![files]);
    let server = Serving::new(app).tls(&tls).start().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("a.test").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    (server, Client::over(stream).await)
}

async fn messages_come_back(client: &mut Client) {
    let (mut one, mut two) = (client.open("/echo", &[]).await, client.open("/echo", &[]).await);
    for size in [0, 1, 125, 126, 4097, 65_536, 1_000_000] {
        for socket in [&mut one, &mut two] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            socket.send(0x82, &bytes).await;
            assert!(socket.frame().await == (0x82, bytes), "{size}");
        }
    }
    one.send(0x89, b"p").await;
    assert_eq!(one.frame().await, (0x8a, b"p".to_vec()));
    one.send(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(one.closed(true).await, 1000);
    two.send(0x81, b"still here").await;
    assert_eq!(two.frame().await, (0x81, b"still here".to_vec()));
}

#[test]
fn in_clear_with_prior_knowledge() {
    let server = served(Options::default());
    run(async { messages_come_back(&mut Client::clear(server.address()).await).await });
}

#[test]
fn over_tls_with_alpn() {
    run(async {
        let (_server, mut client) = over_tls(app(Options::default(), &Arc::default())).await;
        messages_come_back(&mut client).await;
    });
}

#[test]
fn through_the_proxy_to_a_server_of_http1() {
    let behind = served(Options::default());
    let options =
        proxy::Options { upstreams: vec![format!("http://{}", behind.address())], ..Default::default() };
    let server = serve(App::new().with(proxy::proxy(options).unwrap())).unwrap();
    run(async { messages_come_back(&mut Client::clear(server.address()).await).await });
}

#[test]
fn what_is_agreed_on_is_that_of_http1() {
    let deflate = Some(Deflate { from: 10, ..Deflate::default() });
    let protocols = vec!["v2".to_owned(), "v1".to_owned()];
    let server = served(Options { deflate, protocols, ..Options::default() });
    run(async {
        let mut client = Client::clear(server.address()).await;
        for (fields, status) in [
            (&[("origin", "https://evil.example")][..], 403),
            (&[("origin", "http://a.test")], 200),
            (&[("sec-websocket-version", "8")], 426),
        ] {
            assert_eq!(client.ask("/echo", "websocket", fields).await.0.status(), status, "{fields:?}");
        }
        for (path, protocol, status) in
            [("/echo", "connect-udp", 501), ("/plain", "websocket", 200), ("/nowhere", "websocket", 404)]
        {
            assert_eq!(client.ask(path, protocol, &[]).await.0.status(), status, "{path} {protocol}");
        }
        let fields = [
            ("sec-websocket-protocol", "v1, v2"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ];
        let mut socket = client.open("/echo", &fields).await;
        assert_eq!(socket.fields["sec-websocket-protocol"], "v2");
        assert!(
            socket.fields["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate")
        );
        assert!(
            !socket.fields.contains_key("sec-websocket-accept") && !socket.fields.contains_key("upgrade")
        );
        // "Hello" (RFC 7692, section 7.2.3.1), then something that is worth compressing.
        socket.send(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).await;
        assert_eq!(socket.frame().await, (0x81, b"Hello".to_vec()));
        socket.send(0x81, &[b'a'; 1000]).await;
        let (first, payload) = socket.frame().await;
        assert!(first == 0xc1 && payload.len() < 50);
    });
}

#[test]
fn the_drain_says_1001_on_every_stream() {
    let server = served(Options::default());
    run(async {
        let mut client = Client::clear(server.address()).await;
        let (mut one, mut two) = (client.open("/echo", &[]).await, client.open("/echo", &[]).await);
        one.send(0x81, b"x").await;
        assert_eq!(one.frame().await, (0x81, b"x".to_vec()));
        server.stopper().drain();
        assert_eq!((one.closed(false).await, two.closed(false).await), (1001, 1001));
        drop(client.send);
        timeout(PATIENCE, client.connection).await.expect("the connection ends").unwrap();
    });
    server.join().unwrap();
}

#[test]
fn clients_that_go_end_the_handlers() {
    let running = Arc::<AtomicUsize>::default();
    let server = serve(app(Options::default(), &running)).unwrap();
    run(async {
        let mut client = Client::clear(server.address()).await;
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let mut socket = client.open("/echo", &[]).await;
            socket.send(0x81, b"x").await;
            socket.frame().await;
            sockets.push(socket);
        }
        assert_eq!(running.load(SeqCst), 3);
        // A reset; an end of the client's side without a Close; the end of the connection.
        sockets[0].send.send_reset(Reason::CANCEL);
        sockets[1].send.send_data(Bytes::new(), true).unwrap();
        assert_eq!(sockets[1].take(1).await, Ok(None));
        while running.load(SeqCst) != 1 {
            tokio::task::yield_now().await;
        }
        sockets[2].send(0x81, b"still here").await;
        assert_eq!(sockets[2].frame().await, (0x81, b"still here".to_vec()));
        client.connection.abort();
    });
    eventually("the last handler ends", || running.load(SeqCst) == 0);
}

#[test]
fn a_handler_that_fails_closes_with_1011_and_a_bad_frame_with_1002() {
    let server = served(Options::default());
    run(async {
        let mut client = Client::clear(server.address()).await;
        let mut socket = client.open("/fail", &[]).await;
        socket.send(0x81, b"x").await;
        assert_eq!(socket.closed(false).await, 1011);
        let mut socket = client.open("/echo", &[]).await;
        socket.send(0x83, b"x").await;
        let (first, payload) = socket.frame().await;
        assert_eq!((first, &payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
    });
}

#[test]
fn attack_stream_that_takes_nothing() {
    let running = Arc::<AtomicUsize>::default();
    let options = Options { write_stall: Duration::from_secs(1), ..Options::default() };
    let server = serve(app(options, &running)).unwrap();
    run(async {
        let mut client = Client::clear(server.address()).await;
        let mut slow = client.open("/flood", &[]).await;
        let mut polite = client.open("/echo", &[]).await;
        for _ in 0..15 {
            polite.send(0x81, b"x").await;
            assert_eq!(polite.frame().await, (0x81, b"x".to_vec()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The stream's window, and then it is cut; the connection and its other streams are not.
        assert_eq!(running.load(SeqCst), 1);
        let mut total = 0;
        let reason = loop {
            match slow.take(1).await {
                Ok(Some(_)) => total += 1 + std::mem::take(&mut slow.left).len(),
                Ok(None) => panic!("it ends in order"),
                Err(reason) => break reason,
            }
        };
        assert!(reason == Reason::CANCEL && total <= 65_535, "{reason} after {total}");
        polite.send(0x81, b"x").await;
        assert_eq!(polite.frame().await, (0x81, b"x".to_vec()));
    });
}
