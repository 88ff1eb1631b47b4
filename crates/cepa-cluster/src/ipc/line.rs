//! A line at work: reads and writes messages with their descriptors.

use std::{
    cell::Cell,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net,
    },
    rc::Rc,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{Notify, mpsc},
    task::spawn_local,
    time::sleep,
};

use super::codec::{Decoder, Frame, IpcError, MOST_DESCRIPTORS};

/// Messages that wait until the other end reads.
const QUEUE: usize = 1024;

/// What may be received at once.
const READ: usize = 16 * 1024;

/// How long a line pauses when the system has no room for descriptors on their way.
const PAUSE: Duration = Duration::from_millis(5);

// A socket that is closed is an error to us, and no signal. Elsewhere std has seen to that.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND: SendFlags = SendFlags::empty();
#[cfg(any(target_os = "linux", target_os = "android"))]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// Opens one end of a line, in a runtime and a local set.
pub(crate) fn open(end: net::UnixStream) -> io::Result<(Reader, Writer)> {
    end.set_nonblocking(true)?;
    let stream = Rc::new(UnixStream::from_std(end)?);
    let (queue, waiting) = mpsc::channel(QUEUE);
    let unwritten = Rc::new(Unwritten::default());
    spawn_local(write(Rc::clone(&stream), waiting, Rc::clone(&unwritten)));
    let partial = Rc::new(Cell::new(false));
    let reader =
        Reader { stream: Rc::clone(&stream), decoder: Decoder::default(), partial: Rc::clone(&partial) };
    Ok((reader, Writer { stream, queue, unwritten, partial }))
}

/// The reading half of a line.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: Rc<UnixStream>,
    decoder: Decoder<OwnedFd>,
    partial: Rc<Cell<bool>>,
}

impl Reader {
    /// The next message; `None` when the other end is closed. May be dropped at any time: nothing is lost.
    pub(crate) async fn receive<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, IpcError> {
        loop {
            let message = self.decoder.next()?;
            self.partial.set(!self.decoder.is_empty());
            if message.is_some() {
                return Ok(message);
            }
            self.stream.readable().await?;
            let read = self.stream.try_io(Interest::READABLE, || read(&*self.stream, &mut self.decoder));
            match read {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(None),
                Ok(Err(error)) => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The other end is gone with messages of ours unread, which is an end as well.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Messages that were sent and are not yet written.
#[derive(Debug, Default)]
struct Unwritten {
    count: Cell<usize>,
    /// Tells those who wait for none.
    none: Notify,
}

impl Unwritten {
    fn add(&self) {
        self.count.set(self.count.get() + 1);
    }

    fn written(&self, count: usize) {
        self.count.set(self.count.get().saturating_sub(count));
        if self.count.get() == 0 {
            self.none.notify_waiters();
        }
    }
}

/// The writing half of a line; a clone writes to the same. What was sent is written even if all clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    stream: Rc<UnixStream>,
    queue: mpsc::Sender<Frame<OwnedFd>>,
    unwritten: Rc<Unwritten>,
    /// The reader has a part of a message.
    partial: Rc<Cell<bool>>,
}

impl Writer {
    /// Sends a message without waiting: who does not read for long enough is an error.
    pub(crate) fn send(&self, message: &impl Serialize, descriptors: Vec<OwnedFd>) -> Result<(), IpcError> {
        match self.queue.try_send(Frame::new(message, descriptors)?) {
            Ok(()) => {
                self.unwritten.add();
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(IpcError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(closed()),
        }
    }

    /// Sends a message when there is room for it.
    pub(crate) async fn send_in_turn(
        &self,
        message: &impl Serialize,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), IpcError> {
        let frame = Frame::new(message, descriptors)?;
        let room = self.queue.reserve().await.map_err(|_| closed())?;
        self.unwritten.add();
        room.send(frame);
        Ok(())
    }

    /// Whether nothing is on its way here that the socket alone would not keep.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.unwritten.count.get() == 0 && !self.partial.get()
    }

    /// Waits until everything that was sent is written, or nobody reads any more.
    pub(crate) async fn flush(&self) {
        loop {
            // Made first: what is told between the question and the wait is not missed.
            let none = self.unwritten.none.notified();
            if self.unwritten.count.get() == 0 {
                return;
            }
            none.await;
        }
    }

    /// The socket, for the next program of this process.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }
}

fn closed() -> IpcError {
    IpcError::Io(io::ErrorKind::BrokenPipe.into())
}

/// Writes what is sent, until nobody can send any more or nobody reads.
async fn write(
    stream: Rc<UnixStream>,
    mut waiting: mpsc::Receiver<Frame<OwnedFd>>,
    unwritten: Rc<Unwritten>,
) {
    while let Some(frame) = waiting.recv().await {
        if write_frame(&stream, &frame).await.is_err() {
            // The reader of this line sees the end of it. Who waits for this to be written waits for nothing.
            waiting.close();
            return unwritten.written(usize::MAX);
        }
        unwritten.written(1);
    }
}

async fn write_frame(stream: &UnixStream, frame: &Frame<OwnedFd>) -> io::Result<()> {
    let mut written = 0;
    while written < frame.bytes.len() {
        let descriptors = if written == 0 { &frame.descriptors[..] } else { &[] };
        let bytes = &frame.bytes[written..];
        stream.writable().await?;
        match stream.try_io(Interest::WRITABLE, || send(stream, bytes, descriptors)) {
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // So many descriptors are on their way that the system wants some of them to arrive first.
            Err(error) if error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error()) => {
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends a message on a socket that nothing else is sent on, without waiting.
///
/// # Errors
/// Also when the kernel does not take all of it at once.
pub(crate) fn send_now(
    stream: &net::UnixStream,
    message: &impl Serialize,
    descriptors: Vec<OwnedFd>,
) -> Result<(), IpcError> {
    let frame = Frame::new(message, descriptors)?;
    stream.set_nonblocking(true)?;
    let mut written = 0;
    while written < frame.bytes.len() {
        let descriptors = if written == 0 { &frame.descriptors[..] } else { &[] };
        written += send(stream, &frame.bytes[written..], descriptors)?;
    }
    Ok(())
}

/// Reads the messages that wait in a socket whose other end is closed.
pub(crate) fn read_all<T: DeserializeOwned>(
    stream: &net::UnixStream,
) -> Result<Vec<(T, Vec<OwnedFd>)>, IpcError> {
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    while read(stream, &mut decoder)?? {
        while let Some(message) = decoder.next()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("no room for descriptors"));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SEND) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Reads once; whether the other end is still open.
fn read(socket: impl AsFd, decoder: &mut Decoder<OwnedFd>) -> io::Result<Result<bool, IpcError>> {
    let mut bytes = [0; READ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RECEIVE) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    decoder.feed(&bytes[..received.bytes], descriptors);
    // There was no room for all descriptors, most likely because the process has too many open already.
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Ok(Err(IpcError::Missing));
    }
    Ok(Ok(received.bytes > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read, Seek, Write as _},
    };
    use tokio::runtime::{Builder, LocalOptions};

    fn file(text: &str) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file.into()
    }

    fn text(descriptor: OwnedFd) -> String {
        let mut text = String::new();
        File::from(descriptor).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn messages_bring_their_own_descriptors() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let (ours, theirs) = net::UnixStream::pair().unwrap();
            let (_, writer) = open(ours).unwrap();
            let (mut reader, _theirs) = open(theirs).unwrap();
            // More than the socket holds.
            let long = "x".repeat(900_000);
            writer.send(&"one", vec![file("a"), file("b")]).unwrap();
            writer.send(&long, Vec::new()).unwrap();
            writer.send_in_turn(&"three", (0..64).map(|n| file(&n.to_string())).collect()).await.unwrap();
            drop(writer);

            let (message, files) = reader.receive::<String>().await.unwrap().unwrap();
            assert_eq!(message, "one");
            assert_eq!(files.into_iter().map(text).collect::<Vec<_>>(), ["a", "b"]);
            let (message, files) = reader.receive::<String>().await.unwrap().unwrap();
            assert_eq!((message == long, files.len()), (true, 0));
            let (message, files) = reader.receive::<String>().await.unwrap().unwrap();
            assert_eq!((message.as_str(), files.len()), ("three", 64));
            assert_eq!(files.into_iter().map(text).next_back().unwrap(), "63");
        });
    }

    #[test]
    fn who_does_not_read_holds_nobody_up() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let (ours, theirs) = net::UnixStream::pair().unwrap();
            let (_, writer) = open(ours).unwrap();
            let message = "x".repeat(10_000);
            let failed = (0..100_000).find_map(|_| writer.send(&message, Vec::new()).err());
            assert!(matches!(failed, Some(IpcError::Full)));
            drop(theirs);
        });
    }

    #[test]
    fn what_was_sent_before_the_end_is_read_after_it() {
        let (ours, theirs) = net::UnixStream::pair().unwrap();
        send_now(&ours, &"one", vec![file("a")]).unwrap();
        send_now(&ours, &"two", vec![file("b")]).unwrap();
        drop(ours);
        let messages = read_all::<String>(&theirs).unwrap();
        let messages: Vec<_> = messages
            .into_iter()
            .map(|(message, files)| (message, files.into_iter().map(text).collect::<String>()))
            .collect();
        assert_eq!(messages, [("one".to_owned(), "a".to_owned()), ("two".to_owned(), "b".to_owned())]);
    }
}
