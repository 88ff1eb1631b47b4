//! The floor: HTTP/1.1 on tokio and httparse with no framework above. Each worker thread has a
//! current_thread runtime and its own SO_REUSEPORT listener. The read and write buffers belong to
//! the thread, so an idle connection holds none. Not a peer: it has no ctx, no layers, no limits.
mod http;

use http::Core;
use peer_common::*;
use rustix::net::SendFlags;
use std::{cell::RefCell, fs::File, future::poll_fn, io, net::SocketAddr, pin::Pin, sync::OnceLock, task::Poll};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpListener, TcpStream},
};

static FILE: OnceLock<(File, usize)> = OnceLock::new();

struct Buffers {
    core: Core,
    input: Vec<u8>,
    out: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        core: Core::new(FILE.get().unwrap().1),
        input: vec![0; 64 * 1024],
        out: Vec::with_capacity(64 * 1024),
    });
}

/// What is left to do after one synchronous turn.
enum Turn {
    Idle,
    Rest { out: Vec<u8>, file: bool, close: bool },
}

async fn connection(mut socket: TcpStream) -> io::Result<()> {
    let mut left = Vec::new();
    loop {
        match poll_fn(|cx| BUFFERS.with(|b| turn(&mut b.borrow_mut(), &mut socket, &mut left, cx))).await? {
            Turn::Idle => {}
            Turn::Rest { out, file, close } => {
                // boxed, so that an idle connection does not carry its future
                if !Box::pin(finish(&mut socket, &mut left, out, file, close)).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// One read, every whole request in it answered, one write.
fn turn(
    b: &mut Buffers,
    socket: &mut TcpStream,
    left: &mut Vec<u8>,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<Turn>> {
    let mut read = ReadBuf::new(&mut b.input);
    match Pin::new(&mut *socket).poll_read(cx, &mut read) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(r) => r?,
    }
    let input = read.filled();
    if input.is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    b.core.tick();
    b.out.clear();
    let step = if left.is_empty() {
        let step = b.core.run(input, &mut b.out);
        left.extend_from_slice(&input[step.consumed..]);
        step
    } else {
        left.extend_from_slice(input);
        let step = b.core.run(left, &mut b.out);
        left.drain(..step.consumed);
        step
    };
    let mut written = 0;
    if !step.file && !b.out.is_empty() {
        if let Poll::Ready(n) = Pin::new(socket).poll_write(cx, &b.out) {
            written = n?;
        }
    }
    Poll::Ready(Ok(if written == b.out.len() && !step.close {
        Turn::Idle
    } else {
        Turn::Rest { out: b.out[written..].to_vec(), file: step.file, close: step.close }
    }))
}

/// The uncommon rest of a turn: a short write, the file, requests behind the file, or the end
/// (false).
async fn finish(
    socket: &mut TcpStream,
    left: &mut Vec<u8>,
    mut out: Vec<u8>,
    mut file: bool,
    mut close: bool,
) -> io::Result<bool> {
    loop {
        if file {
            // the head waits in the socket for the first bytes of the file
            let more = SendFlags::MORE | SendFlags::NOSIGNAL;
            let sent = socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(&*socket, &out, more)?));
            out.drain(..sent.unwrap_or(0));
        }
        socket.write_all(&out).await?;
        if file {
            let (f, len) = FILE.get().unwrap();
            let mut at = 0u64;
            while (at as usize) < *len {
                let n = *len - at as usize;
                socket
                    .async_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(&*socket, f, Some(&mut at), n)?))
                    .await?;
            }
        }
        if close {
            return Ok(false);
        }
        out.clear();
        let step = BUFFERS.with(|b| b.borrow().core.run(left, &mut out));
        left.drain(..step.consumed);
        if step.consumed == 0 {
            return Ok(true);
        }
        (file, close) = (step.file, step.close);
    }
}

fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // accepted sockets inherit it: one system call less per connection
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = connection(socket).await;
            });
        }
    }
}

fn main() -> io::Result<()> {
    let args = args();
    let file = File::open(file_path())?;
    let len = file.metadata()?.len() as usize;
    let _ = FILE.set((file, len));
    let workers: Vec<_> = (0..args.workers)
        .map(|_| {
            let listener = listen(args.port)?;
            Ok(std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve(listener))
            }))
        })
        .collect::<io::Result<_>>()?;
    workers.into_iter().try_for_each(|w| w.join().unwrap())
}
