//! One running script: its process group, its streams, its end.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt,
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use cepa_core::Result;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::OwnedSemaphorePermit,
    task::spawn_local,
    time::timeout,
};

use crate::gateway::{Failure, Frames, Variables};

/// Time for a script to end after its answer has.
const LEAVING: Duration = Duration::from_secs(2);

/// The longest line of a log that is kept, and the most that one script may write.
const MOST_LINE: u64 = 2048;
const MOST_LOGGED: u64 = 64 * 1024;

/// A script at work; dropping it kills its group.
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    /// Starts a script with these variables and no others.
    pub(super) fn start(
        path: &Path,
        all: Variables,
        memory: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self> {
        let failed = |source| Failure::Connect { to: path.display().to_string(), source }.into_error();
        let mut command = Command::new(path);
        command.env_clear().process_group(0).kill_on_drop(true);
        // A NUL would end a value early; that of a path that was decoded is refused before.
        let all = all.into_iter().filter(|(_, value)| !value.contains(&0));
        command.envs(all.map(|(name, value)| (name, OsString::from_vec(value))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = path.parent() {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        bound(group, memory);
        let streams = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let Some(((stdin, stdout), stderr)) = streams else {
            return Err(failed(io::Error::other("its streams are missing")));
        };
        spawn_local(log(path.display().to_string(), stderr));
        Ok(Self { child, group, stdin: Some(stdin), stdout, _permit: permit })
    }

    /// Lets a script end whose answer has.
    pub(super) fn leave(mut self) {
        self.stdin = None;
        spawn_local(async move {
            if let Ok(Ok(status)) = timeout(LEAVING, self.child.wait()).await
                && !status.success()
            {
                tracing::warn!(target: "cepa::cgi", %status, "a script has failed behind its answer");
            }
        });
    }
}

/// Bounds the memory of a process, and lets it leave no cores.
#[cfg(target_os = "linux")]
fn bound(process: Option<Pid>, memory: u64) {
    use rustix::process::{Resource, Rlimit, prlimit};

    let limits = [(Resource::As, memory), (Resource::Core, 0)];
    for (resource, most) in limits.into_iter().skip(usize::from(memory == 0)) {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if process.is_some()
            && let Err(error) = prlimit(process, resource, limit)
        {
            // One that has ended already needs none.
            tracing::debug!(target: "cepa::cgi", %error, "a limit could not be set");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn bound(_: Option<Pid>, _: u64) {}

impl Drop for Running {
    fn drop(&mut self) {
        // Before it is waited for: until then nobody else can have its number.
        if let (Some(group), true) = (self.group, self.child.id().is_some()) {
            // It fails when all of them have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Logs what a script writes to its standard error.
async fn log(script: String, stderr: ChildStderr) {
    let (mut reader, mut left) = (BufReader::new(stderr), MOST_LOGGED);
    let mut line = Vec::new();
    while left > 0 {
        line.clear();
        match (&mut reader).take(MOST_LINE.min(left)).read_until(b'\n', &mut line).await {
            Ok(length @ 1..) => left -= length as u64,
            _ => return,
        }
        let text = String::from_utf8_lossy(line.trim_ascii());
        if !text.is_empty() {
            tracing::warn!(target: "cepa::cgi", script, "{}", text.escape_debug());
        }
    }
    // It goes on writing, and must not wait for a reader.
    let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
}

impl AsyncRead for Running {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, into)
    }
}

impl AsyncWrite for Running {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, from),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

/// The body as it is on its standard input, the answer as it is on its standard output.
pub(super) struct Program;

impl Frames for Program {
    const SHUTS: bool = true;
    const ENDS_WITH_CONNECTION: bool = true;

    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(data);
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn read(&mut self, input: &[u8], answer: &mut BytesMut) -> Result<bool, Failure> {
        answer.extend_from_slice(input);
        Ok(false)
    }
}
