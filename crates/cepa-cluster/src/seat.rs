//! Which part of a cluster this process is: said by a variable, with a line to the master as the standard input.

use std::{
    env,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

#[cfg(target_os = "linux")]
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, recv, sockopt::socket_domain},
};
use tokio::runtime::LocalRuntime;

use crate::{master::Signals, program::ROLE};

/// Which part of a cluster a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The master, going on as another program.
    Master,
    /// The agent.
    Agent,
    /// A worker.
    Worker,
    /// A process that says whether it could go on as the master.
    Probe,
}

impl Part {
    const ALL: [(Self, &str); 4] =
        [(Self::Master, "master"), (Self::Agent, "agent"), (Self::Worker, "worker"), (Self::Probe, "probe")];

    pub(crate) fn name(self) -> &'static str {
        let (_, name) = Self::ALL[self as usize];
        name
    }
}

/// The place of a process in a cluster: what it is, and its line to the master.
#[derive(Debug)]
pub struct Seat {
    pub(crate) part: Part,
    pub(crate) line: UnixStream,
    /// The signals of a master, which until they are taken would end it.
    pub(crate) signals: Option<(LocalRuntime, Signals)>,
}

impl Seat {
    /// The place of this process; `None` if somebody has started it, and not a master.
    ///
    /// Takes the standard input, in whose place there is nothing to read from then on. Programs that a process of a
    /// cluster starts in its turn inherit the variable, but no line, so that they are not mistaken.
    ///
    /// # Errors
    /// The line cannot be taken.
    pub fn of_process() -> io::Result<Option<Self>> {
        let Some(role) = env::var_os(ROLE) else { return Ok(None) };
        let Some((part, _)) = Part::ALL.into_iter().find(|(_, name)| *name == role) else { return Ok(None) };
        let signals = if part == Part::Master { Some(Signals::take_early()?) } else { None };
        let stdin = io::stdin();
        if socket_domain(&stdin).ok() != Some(AddressFamily::UNIX) {
            return Ok(None);
        }
        // Above the standard streams, and not for programs that this one starts.
        let line: OwnedFd = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
        read_nothing()?;
        if part != Part::Master {
            end_with_master(&line)?;
        }
        Ok(Some(Self { part, line: UnixStream::from(line), signals }))
    }

    /// Which part it is.
    pub fn part(&self) -> Part {
        self.part
    }
}

/// Has this process end when its master does, for as long as it does not listen to the line: what an app opens as it
/// starts may take any time. The system remembers it of this thread.
fn end_with_master(line: &OwnedFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that.
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(line, &mut [0; 1], peek) {
        Ok((_, 0)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the master is gone")),
        Ok(_) | Err(Errno::WOULDBLOCK) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lets this process decide itself what the end of its master means, by what the line says; on the thread on which it
/// was seated.
pub(crate) fn outlive_master() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    set_parent_process_death_signal(None)?;
    Ok(())
}

/// Puts an empty file in the place of the standard input.
pub(crate) fn read_nothing() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_name() {
        assert!(Part::ALL.into_iter().all(|(part, name)| part.name() == name));
    }
}
