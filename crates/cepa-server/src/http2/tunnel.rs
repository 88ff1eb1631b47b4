//! The stream of an extended CONNECT as the raw connection that another protocol takes over (RFC 8441, section 5).

use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use cepa_core::{Io, LocalBoxFuture, OnUpgrade};
use h2::{Reason, RecvStream, SendStream};
use tokio::task::spawn_local;

use super::streams::{Wait, Work};

/// DATA both ways. Its windows are those of the stream: the client's is waited for before anything is handed to `h2`,
/// and ours opens again only with what was read.
pub(super) struct Tunnel {
    send: SendStream<Bytes>,
    inbox: Rc<RefCell<Inbox>>,
    /// Nothing more may be sent.
    shut: bool,
}

/// What comes, taken from `h2` as it comes, also while nobody reads: a client may send its messages in many small
/// frames, which `h2` bounds in number, where the window bounds their bytes.
struct Inbox {
    /// There as long as somebody may read.
    recv: Option<RecvStream>,
    /// What came and is not read yet, at most as much as the window of a stream.
    left: Option<Box<BytesMut>>,
    /// How the client's side has ended.
    end: Option<End>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    Broken,
}

/// The protocol at work. It counts as a handler, and keeps the connection open until it ends, also when the client has
/// reset the stream before.
struct Running {
    protocol: LocalBoxFuture<'static, ()>,
    inbox: Rc<RefCell<Inbox>>,
    _work: Work,
    _wait: Wait,
}

impl Tunnel {
    /// Runs the other protocol on a stream, in a task of its own.
    pub(super) fn run(
        send: SendStream<Bytes>,
        recv: RecvStream,
        protocol: OnUpgrade,
        (work, wait): (Work, Wait),
    ) {
        let inbox = Rc::new(RefCell::new(Inbox { recv: Some(recv), left: None, end: None, reader: None }));
        let tunnel = Self { send, inbox: Rc::clone(&inbox), shut: false };
        spawn_local(Running { protocol: protocol(Box::new(tunnel)), inbox, _work: work, _wait: wait });
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let reader = self.inbox.borrow_mut().fill(cx);
        // A reader that waits with the task's own waker is polled below.
        if let Some(reader) = reader.filter(|reader| !reader.will_wake(cx.waker())) {
            reader.wake();
        }
        self.protocol.as_mut().poll(cx)
    }
}

impl Inbox {
    /// Takes what is there; gives who waits for it, if something came.
    fn fill(&mut self, cx: &mut Context<'_>) -> Option<Waker> {
        let mut news = false;
        while let (Some(recv), None) = (&mut self.recv, self.end) {
            let Poll::Ready(came) = recv.poll_data(cx) else { break };
            news = true;
            match came {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => self.left.get_or_insert_default().extend_from_slice(&data),
                Some(Err(_)) => self.end = Some(End::Broken),
                None => self.end = Some(End::InOrder),
            }
        }
        self.reader.take_if(|_| news)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        // Whoever it gives is replaced by this one.
        let _ = self.fill(cx);
        let Some(left) = &mut self.left else {
            return match self.end {
                Some(End::InOrder) => Poll::Ready(Ok(0)),
                Some(End::Broken) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    self.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        let length = left.len().min(into.len());
        left.copy_to_slice(&mut into[..length]);
        if left.is_empty() {
            self.left = None;
        }
        if let Some(recv) = &mut self.recv {
            // Fails when the stream is gone, and then there is no window.
            let _ = recv.flow_control().release_capacity(length);
        }
        Poll::Ready(Ok(length))
    }
}

impl Io for Tunnel {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inbox.borrow_mut().poll_read(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if from.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(from.len());
        let mut room = self.send.capacity();
        if room == 0 {
            room = match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        let length = room.min(from.len());
        let sent = self.send.send_data(Bytes::copy_from_slice(&from[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(broken))
    }

    /// What `h2` has, it writes by itself.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(broken))
    }

    fn abort(&mut self) {
        self.shut = true;
        self.send.send_reset(Reason::CANCEL);
    }
}

impl Drop for Tunnel {
    /// Ends as a TCP connection that is dropped does. If the client has not ended its side, `h2` resets what is left of
    /// the stream with NO_ERROR behind it.
    fn drop(&mut self) {
        if !self.shut {
            let _ = self.send.send_data(Bytes::new(), true);
        }
        let mut inbox = self.inbox.borrow_mut();
        (inbox.recv, inbox.left) = (None, None);
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
