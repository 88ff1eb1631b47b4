//! One connection of a client that sends bytes as they are, and reads answers one by one.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    http::{Failure, Response},
    stats::most_connections,
};

/// The longest that anything may take before a test takes it for a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub struct Wire {
    reader: BufReader<TcpStream>,
}

/// How the server has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In order: what was sent before is whole.
    Closed,
    /// By a reset: something was cut off.
    Reset,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::from_stream(TcpStream::connect_timeout(&to, PATIENCE)?)
    }

    /// Goes on with a connection made elsewhere.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn from_stream(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Connects and sends.
    ///
    /// # Panics
    /// When that fails.
    pub fn open(to: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut wire = Self::connect(to).expect("the server listens");
        wire.send(bytes);
        wire
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When that fails.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The server has closed, or takes nothing.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// Reads one response, to `GET` or the like.
    ///
    /// # Panics
    /// When none comes.
    pub fn response(&mut self) -> Response {
        self.try_response(false).expect("a response comes")
    }

    /// Reads one response, to `HEAD` if `head` says so.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn try_response(&mut self, head: bool) -> Result<Response, Failure> {
        Response::read(&mut self.reader, head)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Resets the connection.
    ///
    /// # Panics
    /// When the system cannot.
    pub fn reset(self) {
        let stream = self.reader.into_inner();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket has a linger time");
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    /// The connection ends before.
    pub fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads until the connection ends: what came, and how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn rest(&mut self) -> (Vec<u8>, Ended) {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            match self.reader.read(&mut piece) {
                Ok(0) => return (bytes, Ended::Closed),
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
                Err(error) if is_reset(&error) => return (bytes, Ended::Reset),
                Err(error) => panic!("the connection neither ends nor brings anything: {error}"),
            }
        }
    }

    /// Asserts that the server closes the connection and sends nothing before.
    ///
    /// # Panics
    /// When it does not.
    pub fn assert_closed(&mut self) {
        let (rest, _) = self.rest();
        assert!(rest.is_empty(), "after the last answer came {:?}", String::from_utf8_lossy(&rest));
    }

    /// Whether nothing comes for so long, and the connection stays open.
    ///
    /// # Panics
    /// When the connection fails.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream().set_read_timeout(Some(time)).expect("a time that is not zero");
        let silent = match self.reader.fill_buf() {
            Ok(_) => false,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => true,
            Err(error) => panic!("the connection has failed: {error}"),
        };
        self.stream().set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        silent
    }
}

/// Whether the peer has reset the connection.
pub fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Ten thousand connections, or as many as this process may have, that ask for nothing; each tenth has sent a part of a
/// request.
///
/// # Panics
/// When the server takes none of them.
pub fn idle(address: SocketAddr, request: &[u8]) -> Vec<TcpStream> {
    let connect = |at: usize| {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        if at.is_multiple_of(10) {
            stream.write_all(&request[..at % request.len()]).expect("it is taken");
        }
        stream
    };
    (0..most_connections().min(10_000)).map(connect).collect()
}
