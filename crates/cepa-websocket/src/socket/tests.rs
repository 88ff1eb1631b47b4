//! Sockets over a connection in memory, with a clock that jumps.

mod leaving;

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use proptest::prelude::*;
use tokio::{sync::Notify, time::timeout};

use super::*;
use crate::{Limits, Options, ProtocolError, mask::unmask};

/// A connection whose other end is the test.
#[derive(Clone, Default)]
struct Far(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// What the client sends, a read for each; an empty one is the end.
    sends: VecDeque<Vec<u8>>,
    got: Vec<u8>,
    /// Bytes that the client still takes; `None` for any number.
    takes: Option<usize>,
    writes: usize,
    shut: bool,
    aborted: bool,
    waker: Option<std::task::Waker>,
}

impl Far {
    fn send(&self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload));
    }

    fn send_raw(&self, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        state.sends.push_back(bytes.to_vec());
        state.waker.take().into_iter().for_each(std::task::Waker::wake);
    }

    fn got(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().got)
    }

    /// How many writes there were since this was last asked.
    fn writes(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().writes)
    }
}

impl Io for Far {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let Some(bytes) = state.sends.pop_front() else {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        into[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let length = from.len().min(state.takes.unwrap_or(usize::MAX));
        if length == 0 {
            return Poll::Pending;
        }
        state.takes = state.takes.map(|takes| takes - length);
        state.got.extend_from_slice(&from[..length]);
        state.writes += 1;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().shut = true;
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.0.borrow_mut().aborted = true;
    }
}

/// A client's frame of at most 125 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | payload.len() as u8, 1, 2, 3, 4];
    bytes.extend_from_slice(payload);
    unmask(&mut bytes[6..], [1, 2, 3, 4], 0);
    bytes
}

fn open(options: &Options) -> (Socket, Far) {
    open_until(options, Box::pin(std::future::pending()))
}

fn open_until(options: &Options, draining: LocalBoxFuture<'static, ()>) -> (Socket, Far) {
    let far = Far::default();
    let decoder = Decoder::new(options.limits());
    let io = Box::new(far.clone());
    (Socket::new(io, decoder, Encoder::default(), Times::new(options), None, draining), far)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Cancels waiting for a message after so long.
async fn wait(socket: &mut Socket, time: Duration) {
    assert!(timeout(time, socket.recv()).await.is_err(), "something came");
}

#[tokio::test(start_paused = true)]
async fn messages_come_and_go_and_cancelling_loses_none() {
    let (mut socket, far) = open(&Options::default());
    far.send_raw(&frame(0x81, b"a long one")[..8]);
    wait(&mut socket, seconds(1)).await;
    far.send_raw(&[frame(0x81, b"a long one").split_off(8), frame(0x82, b"b"), frame(0x89, b"p")].concat());
    assert_eq!(socket.recv().await.unwrap(), Some("a long one".into()));
    assert_eq!(socket.recv().await.unwrap(), Some(b"b".to_vec().into()));
    wait(&mut socket, seconds(1)).await;
    assert_eq!(far.got(), b"\x8a\x01p");
    socket.send("text").await.unwrap();
    socket.send_prepared(&Prepared::new(vec![0; 3])).await.unwrap();
    assert_eq!(far.got(), b"\x81\x04text\x82\x03\0\0\0");
    assert_eq!((socket.input.held(), socket.output_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_send_goes_out_whole_before_the_next() {
    let (mut socket, far) = open(&Options::default());
    for size in [10, 100_000] {
        far.0.borrow_mut().takes = Some(5);
        let big = vec![b'x'; size];
        assert!(timeout(seconds(1), socket.send(big.clone())).await.is_err());
        assert!(socket.output_bytes() < 5000);
        far.0.borrow_mut().takes = None;
        socket.send("next").await.unwrap();
        let got = far.got();
        assert!(got.ends_with(&[&big[..], b"\x81\x04next"].concat()));
        assert_eq!(got.len(), size + if size == 10 { 2 } else { 10 } + 6);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_fed_goes_out_together_and_waits_when_it_is_much() {
    let (mut socket, far) = open(&Options::default());
    socket.feed("a").await.unwrap();
    socket.feed_prepared(&Prepared::new("b")).await.unwrap();
    assert_eq!(far.got(), b"");
    socket.flush().await.unwrap();
    assert_eq!((far.got(), far.writes()), (b"\x81\x01a\x81\x01b".to_vec(), 1));
    // Waiting for the client writes it as well, and so does whatever else is sent.
    socket.feed("c").await.unwrap();
    wait(&mut socket, seconds(1)).await;
    socket.feed("d").await.unwrap();
    socket.send("e").await.unwrap();
    assert_eq!((far.got(), far.writes()), (b"\x81\x01c\x81\x01d\x81\x01e".to_vec(), 2));
    assert_eq!(socket.output_bytes(), 0);
    // A client that takes nothing holds it up.
    far.0.borrow_mut().takes = Some(0);
    let piece = vec![b'x'; 1000];
    let mut fed = 0;
    while timeout(seconds(1), socket.feed(piece.clone())).await.is_ok() {
        fed += 1;
    }
    assert!(fed == 9 && socket.output_bytes() < 10_000, "{fed} {}", socket.output_bytes());
    // What was cancelled was not taken.
    far.0.borrow_mut().takes = None;
    socket.feed(vec![b'y'; 100_000]).await.unwrap();
    socket.feed("end").await.unwrap();
    socket.close(CloseCode::NORMAL, "").await;
    let got = far.got();
    assert_eq!(got.len(), fed * 1004 + 100_010 + 5 + 4);
    assert!(got.ends_with(b"yyy\x81\x03end\x88\x02\x03\xe8"));
    assert!(matches!(socket.feed("late").await, Err(SocketError::Closed)));
    assert!(matches!(socket.flush().await, Err(SocketError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_then_cut() {
    let (mut socket, far) = open(&Options::default());
    wait(&mut socket, seconds(31)).await;
    assert_eq!(far.got(), b"\x89\0");
    far.send(0x8a, b"");
    wait(&mut socket, seconds(25)).await;
    assert_eq!(far.got(), b"");
    wait(&mut socket, seconds(10)).await;
    assert_eq!(far.got(), b"\x89\0");
    let ended = timeout(seconds(21), socket.recv()).await.unwrap();
    assert!(matches!(ended, Err(SocketError::PongTime)));
    assert!(far.0.borrow().aborted);
    assert!(matches!(socket.recv().await, Ok(None)));
    assert!(matches!(socket.send("late").await, Err(SocketError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn slow_reader() {
    let (mut socket, far) = open(&Options::default());
    far.0.borrow_mut().takes = Some(1000);
    let ended = timeout(seconds(31), socket.send(vec![0; 100_000])).await.unwrap();
    assert!(matches!(ended, Err(SocketError::WriteStall)));
    assert!(far.0.borrow().aborted);
    // One that reads slowly is waited for.
    let (mut socket, far) = open(&Options::default());
    far.0.borrow_mut().takes = Some(0);
    let mut send = Box::pin(socket.send(vec![0; 100]));
    for _ in 0..102 {
        assert!(timeout(seconds(20), &mut send).await.is_err());
        far.0.borrow_mut().takes = Some(1);
    }
    assert!(timeout(seconds(20), &mut send).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn ping_flood() {
    let (mut socket, far) = open(&Options::default());
    far.0.borrow_mut().takes = Some(0);
    for _ in 0..300 {
        far.send_raw(&frame(0x89, &[b'p'; 125]).repeat(100));
    }
    let before = Instant::now();
    wait(&mut socket, seconds(10)).await;
    assert!(before.elapsed() >= seconds(10));
    // A thousand in a second, of which one answer waits.
    assert!((190..=210).contains(&far.0.borrow().sends.len()), "{}", far.0.borrow().sends.len());
    assert!(socket.output_bytes() < 300);
}

#[cfg(feature = "deflate")]
#[tokio::test(start_paused = true)]
async fn others_have_their_turn_in_a_flood_of_empty_blocks_and_frames() {
    let options = Options { rate: 0, ..Options::default() };
    let (agreed, _) = crate::deflate::negotiate(["permessage-deflate"], &Default::default()).unwrap();
    let blocks = frame(0x00, &[0x03, 0x00].repeat(60));
    for (first, flood) in [(0x41, blocks), (0x01, frame(0x00, b""))] {
        let (mut socket, far) = open(&options);
        socket.input = Input::new(Decoder::new(options.limits()).with_deflate(&agreed));
        far.send(first, b"");
        for _ in 0..20 {
            far.send_raw(&flood.repeat(30_000 / flood.len()));
        }
        let mut recv = std::pin::pin!(socket.recv());
        let polled = poll_fn(|cx| Poll::Ready(recv.as_mut().poll(cx).is_pending())).await;
        // 64 KiB of compressed bytes, or 4,096 frames.
        let read = 20 - far.0.borrow().sends.len();
        assert!(polled && (1..=3).contains(&read), "{read} reads in one turn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_must_arrive_in_time() {
    let (mut socket, far) = open(&Options::default());
    far.send(0x01, b"begun");
    for _ in 0..3 {
        wait(&mut socket, seconds(15)).await;
        far.send(0x00, b"and");
        far.send(0x89, b"");
    }
    let ended = timeout(seconds(16), socket.recv());
    let ended = async { (ended.await, ()) };
    let client = async {
        tokio::time::sleep(seconds(15) + Duration::from_millis(10)).await;
        far.send_raw(b"");
    };
    let ((ended, ()), ()) = tokio::join!(ended, client);
    assert!(matches!(ended, Ok(Err(SocketError::MessageTime))), "{ended:?}");
    assert!(far.got().windows(4).any(|bytes| bytes[..1] == [0x88] && bytes[2..] == 1008_u16.to_be_bytes()));
}

#[tokio::test(start_paused = true)]
async fn the_drain_says_1001_and_waits_for_the_client() {
    let drain = Rc::new(Notify::new());
    let told = Rc::clone(&drain);
    let (mut socket, far) = open_until(&Options::default(), Box::pin(async move { told.notified().await }));
    wait(&mut socket, seconds(1)).await;
    drain.notify_one();
    wait(&mut socket, seconds(1)).await;
    assert_eq!(far.got(), b"\x88\x02\x03\xe9");
    assert!(!socket.is_open());
    assert!(matches!(socket.send("late").await, Err(SocketError::Closed)));
    far.send(0x81, b"late");
    far.send(0x88, b"\x03\xe9");
    assert!(matches!(socket.recv().await, Ok(None)));
    assert_eq!(socket.closed_with().and_then(|close| close.code), Some(CloseCode::GOING_AWAY));
    assert!(far.0.borrow().shut);
}

#[tokio::test(start_paused = true)]
async fn closing_from_either_end() {
    let (mut socket, far) = open(&Options::default());
    far.send(0x88, b"\x0f\xa0because");
    assert!(matches!(socket.recv().await, Ok(None)));
    assert_eq!(far.got(), b"\x88\x02\x0f\xa0");
    assert_eq!(socket.closed_with().unwrap().reason, "because");

    let (mut socket, far) = open(&Options::default());
    let before = Instant::now();
    socket.close(CloseCode::NORMAL, "bye").await;
    assert!(before.elapsed() < seconds(6) && before.elapsed() >= seconds(5));
    assert_eq!(far.got(), b"\x88\x05\x03\xe8bye");

    let (mut socket, far) = open(&Options::default());
    far.send_raw(b"");
    assert!(matches!(socket.recv().await, Err(SocketError::Gone)));
}

#[tokio::test(start_paused = true)]
async fn what_is_against_the_protocol_is_told_and_the_rest_thrown_away() {
    let (mut socket, far) = open(&Options { message: 100, ..Options::default() });
    far.send_raw(&[frame(0x81, b"fine"), frame(0x82, &[0; 101])].concat());
    far.send_raw(&[0; 1000]);
    far.send_raw(b"");
    assert!(matches!(socket.recv().await, Ok(Some(_))));
    assert!(matches!(socket.recv().await, Err(SocketError::Protocol(ProtocolError::TooBig))));
    assert_eq!(far.got()[..4], [0x88, 36, 0x03, 0xf1]);
    assert!(far.0.borrow().shut);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_or_fails_closes() {
    for (status, code) in [(None, 1000_u16), (Some(500), 1011), (Some(422), 1008)] {
        let (socket, far) = open(&Options::default());
        run(Box::new(socket), async move |_: &mut Socket| {
            status.map_or(Ok(()), |status: u16| Err(cepa_core::Error::new(status, "no")))
        })
        .await;
        assert_eq!(far.got()[2..4], code.to_be_bytes());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_a_socket(reads: Vec<Vec<u8>>, message in 0_usize..100) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut socket, far) = open(&Options { message, ..Options::default() });
            reads.iter().for_each(|read| far.send_raw(read));
            far.send_raw(b"");
            while let Ok(Some(_)) = socket.recv().await {}
        });
    }
}

#[test]
fn limits_are_those_of_the_options() {
    let options = Options { message: 1, fragments: 2, ratio: 3, ..Options::default() };
    assert_eq!(options.limits(), Limits { message: 1, fragments: 2, ratio: 3 });
}

impl Socket {
    /// Bytes of buffers that this socket holds to write from.
    fn output_bytes(&self) -> usize {
        self.output.held()
    }
}

#[test]
fn a_silent_socket_is_small() {
    let echo = async |socket: &mut Socket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    };
    let (socket, _) = open(&Options::default());
    assert!(size_of_val(&socket) <= 512, "{}", size_of_val(&socket));
    let run = run(Box::new(socket), echo);
    assert!(size_of_val(&run) <= 256, "{}", size_of_val(&run));
}
