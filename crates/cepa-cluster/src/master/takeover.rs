//! An upgrade, from one program of the process to the next: everything that is open goes by descriptors over a socket
//! that becomes the standard input, and what is known by a file that has no name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::{
        fd::OwnedFd,
        unix::{
            fs::OpenOptionsExt,
            net::{UnixListener, UnixStream},
        },
    },
};

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    core::Facts,
    ground::{Ground, Held},
    machine::Machine,
    world::{Id, Ticket},
};
use crate::{
    folder::{PidFile, RunFolder},
    ipc::{self, FORMAT, IpcError, MOST_DESCRIPTORS},
    seat::{Part, read_nothing},
};

/// The most bytes of what is known.
const LONGEST: u64 = 16 << 20;

/// What is known, and in which order the descriptors come.
#[derive(Debug, Serialize, Deserialize)]
struct State<F> {
    format: u32,
    facts: F,
    dir: std::path::PathBuf,
    name: String,
    listeners: Vec<Held>,
    lines: Vec<Id>,
    asked: bool,
}

/// What an earlier program has left.
pub(crate) struct Legacy {
    pub(crate) facts: Facts,
    pub(crate) pid_file: PidFile,
    pub(crate) control: UnixListener,
    pub(crate) bus: UnixListener,
    pub(crate) ground: Ground,
    pub(crate) lines: Vec<(Id, UnixStream)>,
    /// Who has asked for the upgrade.
    pub(crate) asker: Option<OwnedFd>,
}

/// Why an upgrade has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    #[error("what is open cannot be handed over: {0}")]
    Line(#[from] IpcError),
    #[error("the state of the master cannot be handed over: {0}")]
    Io(#[from] io::Error),
    #[error("the state of the master cannot be understood: {0}")]
    State(#[from] serde_json::Error),
    #[error("the state of the master is that of another version: {0}, and this one knows {FORMAT}")]
    Format(u32),
    #[error("something that was open is missing")]
    Missing,
    #[error(transparent)]
    Listen(#[from] cepa_server::listen::ListenError),
    #[error(transparent)]
    Folder(#[from] crate::folder::FolderError),
}

/// Goes on as the program that is on disk, or gives why not.
pub(crate) fn leave(machine: &Machine, facts: &Facts, ticket: Option<Ticket>) -> TakeoverError {
    let theirs = match pack(machine, facts, ticket) {
        Ok(theirs) => theirs,
        Err(error) => return error,
    };
    let error = machine.program.go_on(Part::Master.name(), theirs);
    // What was changed for the next program, see `CommandExt::exec`: the standard input, and that writing to a closed
    // socket is no signal. A handler of ours does as well as none.
    let _ = read_nothing();
    let _ = signal(SignalKind::pipe());
    error.into()
}

/// Puts everything into a socket, of which the other end is what is left.
fn pack(machine: &Machine, facts: &Facts, ticket: Option<Ticket>) -> Result<UnixStream, TakeoverError> {
    let (listeners, sockets) = machine.ground.hold()?;
    let asker = ticket.and_then(|ticket| machine.askers.get(&ticket));
    let folder = machine.pid_file.folder();
    let state = State {
        format: FORMAT,
        facts,
        dir: folder.dir().to_owned(),
        name: folder.name().to_owned(),
        listeners,
        lines: machine.processes.keys().copied().collect(),
        asked: asker.is_some(),
    };
    let mut descriptors: Vec<OwnedFd> = vec![
        nameless(folder, &serde_json::to_vec(&state)?)?.into(),
        machine.pid_file.file().try_clone()?.into(),
        machine.control.try_clone()?.into(),
        machine.bus.try_clone()?.into(),
    ];
    descriptors.extend(sockets);
    for process in machine.processes.values() {
        descriptors.push(process.line()?);
    }
    descriptors.extend(asker.map(crate::control::server::Asker::socket).transpose()?);

    let (ours, theirs) = UnixStream::pair()?;
    let mut descriptors = descriptors.into_iter().peekable();
    while descriptors.peek().is_some() {
        ipc::send_now(&ours, &(), descriptors.by_ref().take(MOST_DESCRIPTORS).collect())?;
    }
    Ok(theirs)
}

/// Takes over what an earlier program of this process has left.
pub(crate) fn take(line: &UnixStream) -> Result<Legacy, TakeoverError> {
    let messages = ipc::read_all::<()>(line)?;
    let mut descriptors = messages.into_iter().flat_map(|((), descriptors)| descriptors);
    let mut next = || descriptors.next().ok_or(TakeoverError::Missing);
    let state = read(File::from(next()?))?;
    let pid_file = File::from(next()?);
    let (control, bus) = (UnixListener::from(next()?), UnixListener::from(next()?));
    let State { facts, dir, name, listeners, lines, asked, .. } = state;
    let ground = Ground::inherit(listeners, &mut descriptors)?;
    let mut next = || descriptors.next().ok_or(TakeoverError::Missing);
    let mut by_id = Vec::new();
    for id in lines {
        by_id.push((id, UnixStream::from(next()?)));
    }
    let asker = if asked { Some(next()?) } else { None };
    let folder = RunFolder::new(&dir, &name)?;
    let pid_file = PidFile::inherit(pid_file, folder);
    Ok(Legacy { facts, pid_file, control, bus, ground, lines: by_id, asker })
}

/// A file in the run folder that nobody else can open.
fn nameless(folder: &RunFolder, bytes: &[u8]) -> io::Result<File> {
    let path = folder.state();
    let _ = fs::remove_file(&path);
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn read(mut file: File) -> Result<State<Facts>, TakeoverError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut bytes)?;
    match serde_json::from_slice(&bytes)? {
        Format { format: FORMAT } => Ok(serde_json::from_slice(&bytes)?),
        Format { format } => Err(TakeoverError::Format(format)),
    }
}
