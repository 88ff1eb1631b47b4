//! The answering side of the control socket.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    os::unix::net,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::spawn_local,
    time::timeout,
};

use super::{Answer, LONGEST_REQUEST, Request, line};

/// Connections at once; more wait until one of them closes.
const MOST: u32 = 32;
/// How long a connection may be silent, or not take what is answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who has asked for something.
#[derive(Debug)]
pub(crate) struct Asker {
    stream: Rc<UnixStream>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Asker {
    /// Answers; whoever is gone misses it.
    pub(crate) fn answer(&self, answer: Answer) {
        let _ = self.answers.send(answer);
    }

    /// The connection, for the next program of this process.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }
}

/// The control socket at work.
#[derive(Debug)]
pub(crate) struct Desk {
    requests: mpsc::Sender<(Request, Asker)>,
    open: Arc<Semaphore>,
}

impl Desk {
    /// Takes requests from all who connect, and hands them on.
    pub(crate) fn open(listener: net::UnixListener) -> io::Result<(Self, mpsc::Receiver<(Request, Asker)>)> {
        let listener = UnixListener::from_std(listener)?;
        let (requests, asked) = mpsc::channel(MOST as usize);
        let desk = Self { requests, open: Arc::new(Semaphore::new(MOST as usize)) };
        spawn_local(accept(listener, desk.requests.clone(), Arc::clone(&desk.open)));
        Ok((desk, asked))
    }

    /// Goes on with a connection whose request an earlier program has taken.
    pub(crate) fn resume(&self, socket: OwnedFd) -> io::Result<Asker> {
        let socket = net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let stream = Rc::new(UnixStream::from_std(socket)?);
        let (asker, answers) = asker(&stream);
        let (requests, open) = (self.requests.clone(), Arc::clone(&self.open));
        spawn_local(async move {
            let Ok(permit) = open.acquire_owned().await else { return };
            if send(&stream, answers).await {
                serve(stream, requests, permit).await;
            }
        });
        Ok(asker)
    }

    /// Waits until everything that was answered is sent, or it is taken too slowly.
    pub(crate) async fn close(self, at_most: Duration) {
        let Self { requests, open } = self;
        drop(requests);
        let _ = timeout(at_most, open.acquire_many(MOST)).await;
    }
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<(Request, Asker)>, open: Arc<Semaphore>) {
    loop {
        let next = async {
            let permit = Arc::clone(&open).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = requests.closed() => None,
        };
        let Some((permit, accepted)) = accepted else { return };
        match accepted {
            Ok((stream, _)) => drop(spawn_local(serve(Rc::new(stream), requests.clone(), permit))),
            // Too many descriptors are open: the others are closed before this one can be.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection. It ends when nobody takes requests any more.
async fn serve(
    stream: Rc<UnixStream>,
    requests: mpsc::Sender<(Request, Asker)>,
    _permit: OwnedSemaphorePermit,
) {
    let mut read = Vec::new();
    loop {
        let next = async {
            tokio::select! {
                line = read_line(&stream, &mut read) => line,
                () = requests.closed() => None,
            }
        };
        let Ok(Some(line)) = timeout(PATIENCE, next).await else { return };
        let (asker, answers) = asker(&stream);
        match serde_json::from_slice(&line) {
            Ok(request) => {
                if requests.send((request, asker)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                asker.answer(Answer::Error(format!("no request: {error}")));
                drop(asker);
            }
        }
        if !send(&stream, answers).await {
            return;
        }
    }
}

fn asker(stream: &Rc<UnixStream>) -> (Asker, mpsc::UnboundedReceiver<Answer>) {
    let (answers, answered) = mpsc::unbounded_channel();
    (Asker { stream: Rc::clone(stream), answers }, answered)
}

/// Sends answers up to the last; whether the connection goes on.
async fn send(stream: &UnixStream, mut answers: mpsc::UnboundedReceiver<Answer>) -> bool {
    while let Some(answer) = answers.recv().await {
        let is_last = !matches!(answer, Answer::Progress(_));
        let line = line(&answer);
        match timeout(PATIENCE, write_all(stream, line.as_bytes())).await {
            Ok(Ok(())) if is_last => return true,
            Ok(Ok(())) => {}
            _ => return false,
        }
    }
    false
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next line, without its end; `None` when there is none, or it is too long.
async fn read_line(stream: &UnixStream, read: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = read.drain(..=end).collect();
            line.pop();
            return Some(line);
        }
        if read.len() > LONGEST_REQUEST {
            return None;
        }
        stream.readable().await.ok()?;
        let mut piece = [0; 1024];
        match stream.try_read(&mut piece) {
            Ok(0) => return None,
            Ok(length) => read.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}
