//! A socket that may go on in another process.

use std::cell::Cell;

use super::*;

/// What another process says to taking a connection: yes, no, or nothing yet.
type Answer = Rc<Cell<Option<bool>>>;

/// A connection that may leave when it is told so.
struct Mobile {
    far: Far,
    may: Answer,
    left: Rc<RefCell<Option<Parked>>>,
}

impl Io for Mobile {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.far.poll_read(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.far.poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.far.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.far.poll_shutdown(cx)
    }

    fn poll_leave(&mut self, _: &mut Context<'_>) -> Poll<bool> {
        self.may.get().map_or(Poll::Pending, Poll::Ready)
    }

    fn leave(&mut self, parked: Parked) -> bool {
        self.left.replace(Some(parked));
        true
    }
}

struct Leaver {
    socket: Box<Socket>,
    far: Far,
    may: Answer,
    left: Rc<RefCell<Option<Parked>>>,
    drain: Rc<Notify>,
}

fn leaver(encoder: Encoder) -> Leaver {
    let (far, may, left, drain) = (Far::default(), Answer::default(), Rc::default(), Rc::new(Notify::new()));
    let io = Box::new(Mobile { far: far.clone(), may: Rc::clone(&may), left: Rc::clone(&left) });
    let (told, options) = (Rc::clone(&drain), Options::default());
    let draining = Box::pin(async move { told.notified().await });
    let decoder = Decoder::new(options.limits());
    let protocol = Some("talk".into());
    let socket = Box::new(Socket::new(io, decoder, encoder, Times::new(&options), protocol, draining));
    Leaver { socket, far, may, left, drain }
}

const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

#[tokio::test(start_paused = true)]
async fn at_rest_it_leaves_without_a_word() {
    let Leaver { mut socket, far, may, left, drain } = leaver(Encoder::default());
    assert!(!socket.resumed_by("it", &1).unwrap(), "nobody takes over");
    drain.notify_one();
    // However long others take; it lives on meanwhile.
    wait(&mut socket, seconds(25)).await;
    far.send(0x81, b"hear");
    assert_eq!(socket.recv().await.unwrap(), Some("hear".into()));
    socket.send("say").await.unwrap();
    assert_eq!(far.got(), b"\x81\x03say");
    assert!(!socket.resumed_by("it", &1).unwrap(), "it was not told to leave yet");
    may.set(Some(true));
    far.send(0x81, b"last");
    assert_eq!(socket.recv().await.unwrap(), Some("last".into()));
    assert_eq!(socket.recv().await.unwrap(), None);
    assert!(matches!(socket.send("late").await, Err(SocketError::Closed)));
    assert!(socket.resumed_by("it", &("a", 7)).unwrap());
    let parked = left.take().unwrap();
    assert_eq!((&*parked.handler, &*parked.state), ("it", "[\"a\",7]"));
    assert_eq!(parked.headers, [("sec-websocket-protocol".to_owned(), "talk".to_owned())]);
    assert_eq!(parked.farewell, GOING_AWAY);
    assert_eq!(socket.recv().await.unwrap(), None);
    socket.close(CloseCode::NORMAL, "").await;
    assert!(far.got().is_empty() && !far.0.borrow().shut);
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_finished_first() {
    let Leaver { mut socket, far, may, drain, .. } = leaver(Encoder::default());
    may.set(Some(true));
    let message = frame(0x81, b"a long one");
    far.send_raw(&message[..8]);
    wait(&mut socket, seconds(1)).await;
    drain.notify_one();
    wait(&mut socket, seconds(2)).await;
    far.send_raw(&message[8..]);
    assert_eq!(socket.recv().await.unwrap(), Some("a long one".into()));
    // What is fed goes out before.
    far.0.borrow_mut().takes = Some(3);
    socket.feed("fed").await.unwrap();
    wait(&mut socket, seconds(1)).await;
    far.0.borrow_mut().takes = None;
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(far.got(), b"\x81\x03fed");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_to_rest_is_closed() {
    let Leaver { mut socket, far, may, drain, .. } = leaver(Encoder::default());
    may.set(Some(true));
    far.send_raw(&frame(0x81, b"a long one")[..8]);
    wait(&mut socket, seconds(1)).await;
    drain.notify_one();
    wait(&mut socket, seconds(4)).await;
    assert!(far.got().is_empty());
    wait(&mut socket, seconds(2)).await;
    assert_eq!(far.got(), GOING_AWAY);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_leave_is_closed_at_once() {
    let Leaver { mut socket, far, may, drain, .. } = leaver(Encoder::default());
    drain.notify_one();
    wait(&mut socket, seconds(1)).await;
    // Nobody takes it any more.
    may.set(Some(false));
    far.send(0x89, b"");
    wait(&mut socket, seconds(1)).await;
    assert_eq!(far.got(), [b"\x8a\x00", GOING_AWAY].concat());
    assert!(!socket.resumed_by("it", &1).unwrap());
}

#[cfg(feature = "deflate")]
#[tokio::test(start_paused = true)]
async fn one_that_compresses_stays() {
    let offers = ["permessage-deflate"].into_iter();
    let (agreed, _) = crate::deflate::negotiate(offers, &Default::default()).unwrap();
    let Leaver { mut socket, far, may, drain, .. } = leaver(Encoder::with_deflate(&agreed));
    may.set(Some(true));
    drain.notify_one();
    wait(&mut socket, seconds(1)).await;
    assert_eq!(far.got(), GOING_AWAY);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_say_who_goes_on_has_it_closed_with_1001() {
    for fails in [false, true] {
        let Leaver { socket, far, may, drain, .. } = leaver(Encoder::default());
        may.set(Some(true));
        drain.notify_one();
        run(socket, async move |socket: &mut Socket| {
            assert_eq!(socket.recv().await?, None);
            if fails { Err(cepa_core::Error::new(500, "no")) } else { Ok(()) }
        })
        .await;
        assert_eq!(far.got(), GOING_AWAY);
    }
}
