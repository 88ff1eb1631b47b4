//! The asking side of the control socket, for programs that wait.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, LONGEST_ANSWER, Request, Status, line};

/// A connection to the control socket of a running cluster.
///
/// ```no_run
/// use cepa_cluster::control::{Client, Request};
///
/// let mut cluster = Client::connect("run/app.sock".as_ref())?;
/// cluster.ask(&Request::Reload, |text| println!("{text}"))?;
/// for process in cluster.status()?.processes {
///     println!("{} {}", process.role.name(), process.pid);
/// }
/// # Ok::<(), cepa_cluster::control::ControlError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

/// Why a cluster has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody answers at the control socket.
    #[error("nothing runs here: {0}")]
    NotRunning(#[source] io::Error),
    /// The connection has failed.
    #[error("the master is gone before it has answered: {0}")]
    Lost(#[source] io::Error),
    /// What was answered is none of the protocol.
    #[error("the master has answered what this program does not understand: {0}")]
    Strange(#[source] serde_json::Error),
    /// The cluster has refused or failed; what it says.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`].
    pub fn connect(path: &Path) -> Result<Self, ControlError> {
        let stream = UnixStream::connect(path).map_err(ControlError::NotRunning)?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream) })
    }

    /// Asks for something, and waits until it is done: a reload takes as long as the new workers take to be ready.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn ask(&mut self, request: &Request, progress: impl FnMut(&str)) -> Result<Value, ControlError> {
        let asked = self.stream.get_mut().write_all(line(request).as_bytes());
        asked.map_err(ControlError::Lost)?;
        answered(&mut self.stream, progress)
    }

    /// Asks what runs.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn status(&mut self) -> Result<Status, ControlError> {
        let status = match self.ask(&Request::Status, |_| ()) {
            // A master that is being upgraded cuts off whom it has not heard.
            Err(ControlError::Lost(_)) => {
                *self = Self::connect(&self.path)?;
                self.ask(&Request::Status, |_| ())
            }
            status => status,
        }?;
        Status::deserialize(status).map_err(ControlError::Strange)
    }

    /// Waits until the master is gone, after it was asked to stop.
    ///
    /// # Errors
    /// [`ControlError::Lost`] when that cannot be known.
    pub fn wait_for_the_end(mut self) -> Result<(), ControlError> {
        let mut rest = [0; 512];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(ControlError::Lost(error)),
            }
        }
    }
}

/// Waits for the end of an answer.
pub(crate) fn answered(
    stream: &mut BufReader<UnixStream>,
    mut progress: impl FnMut(&str),
) -> Result<Value, ControlError> {
    loop {
        match answer(stream)? {
            Answer::Progress(text) => progress(&printable(&text)),
            Answer::Ok(value) => return Ok(value),
            Answer::Error(text) => return Err(ControlError::Refused(printable(&text))),
        }
    }
}

/// A text for a terminal: the cluster may run as somebody who is to have no power over the one who asks.
pub(crate) fn printable(text: &str) -> String {
    text.replace(|char: char| char.is_control() && char != '\n', " ")
}

fn answer(stream: &mut BufReader<UnixStream>) -> Result<Answer, ControlError> {
    let mut line = Vec::new();
    let mut bounded = stream.take(LONGEST_ANSWER as u64);
    bounded.read_until(b'\n', &mut line).map_err(ControlError::Lost)?;
    if line.last() != Some(&b'\n') {
        return Err(ControlError::Lost(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&line).map_err(ControlError::Strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &'static str) -> (Result<Value, ControlError>, Vec<String>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(lines.as_bytes()).unwrap();
        drop(theirs);
        let mut told = Vec::new();
        (answered(&mut BufReader::new(ours), |text| told.push(text.to_owned())), told)
    }

    #[test]
    fn an_answer_has_an_end_and_is_no_command_to_a_terminal() {
        let (ok, told) = answers("{\"progress\":\"a\\u001b[2Jb\"}\n{\"ok\":7}\n");
        assert_eq!((ok.unwrap(), told), (7.into(), vec!["a [2Jb".to_owned()]));
        let (refused, _) = answers("{\"error\":\"no\\n\\u009b31mway\"}\n");
        assert_eq!(refused.unwrap_err().to_string(), "no\n 31mway");
        for (lines, lost) in [("", true), ("{\"ok\":{}}", true), ("{}\n", false), ("{\"dance\":1}\n", false)]
        {
            let error = answers(lines).0.unwrap_err();
            assert_eq!(matches!(error, ControlError::Lost(_)), lost, "{lines}: {error}");
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory_without_an_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            let piece = vec![b'x'; 1 << 20];
            (0..64).find_map(|_| theirs.write_all(&piece).err())
        });
        let error = answered(&mut BufReader::new(ours), |_| ()).unwrap_err();
        assert!(matches!(error, ControlError::Lost(_)), "{error}");
        assert!(writer.join().unwrap().is_some());
    }
}
