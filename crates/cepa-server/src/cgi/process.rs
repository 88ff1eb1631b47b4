//! CGI: a program that is started for one request, which comes in its environment and on its standard input.

use std::{
    env, io,
    os::unix::ffi::OsStringExt,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use cepa_core::{Headers, Onion, Peer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout},
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};

use super::{Codec, Event, Front, Head, Reject, Rules, Serve, decimal};
use crate::{ServerConfig, ServerError, floor::Floor, transport::Transport};

/// The answer of a program that cannot answer.
pub const FAILED: &[u8] =
    b"Status: 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nInternal Server Error";

/// Whether this process was started to answer one request by CGI (RFC 3875, section 4.1.4).
#[must_use]
pub fn is_cgi() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("GATEWAY_INTERFACE") && is_set("REQUEST_METHOD")
}

/// Answers the request that this process was started for, on its standard output.
///
/// Of the configuration `limits` and `server_header` hold. The environment is that of the front server and believed.
///
/// # Errors
/// A limit or a `server_header` that cannot be, or a runtime that cannot be made. A client that goes is none.
pub fn serve(onion: Arc<Onion>, config: &ServerConfig) -> Result<(), ServerError> {
    config.limits.check()?;
    let server = config.server_header()?;
    let limits = Arc::new(config.limits.clone());
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(ServerError::Thread)?;
    runtime.block_on(run(Floor::new(onion, limits, server)));
    // A read of a body that nobody wants any more is not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(())
}

async fn run(floor: Rc<Floor>) {
    spawn_local(Rc::clone(&floor.timers).run());
    let stdio = Stdio { stdin: tokio::io::stdin(), stdout: tokio::io::stdout() };
    let front = Front { peer: Peer::None, local: None, is_trusted: true };
    Serve::new(stdio, Door::new(variables()), floor, front).await;
}

/// The environment as the names and values of a request.
fn variables() -> Vec<(Vec<u8>, Vec<u8>)> {
    env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect()
}

/// Both streams of the process as one.
struct Stdio {
    stdin: Stdin,
    stdout: Stdout,
}

impl Transport for Stdio {}

impl AsyncRead for Stdio {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_read(cx, into)
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdout).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_shutdown(cx)
    }
}

/// The codec: the request is there from the start, and its body is as long as `CONTENT_LENGTH` says.
struct Door {
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    stage: Stage,
}

enum Stage {
    Start,
    /// So many bytes of the body are still to come.
    Body(u64),
    Over,
}

impl Door {
    fn new(variables: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self { variables, stage: Stage::Start }
    }
}

impl Codec for Door {
    const DOOR: &'static str = "cgi";
    const STARTS: bool = true;
    /// The end of its standard input says nothing about the client: a front server ends the process.
    const WATCHES: bool = false;
    const SCRIPT_IS_MOUNT: bool = true;

    fn decode(&mut self, input: &[u8], _: &mut Vec<u8>) -> Result<(usize, Option<Event>), Reject> {
        match self.stage {
            Stage::Start => {
                let length = self.variables.iter().find(|(name, _)| name == b"CONTENT_LENGTH");
                // One that is no number is refused with the head.
                let length = length.and_then(|(_, length)| decimal(length));
                self.stage = Stage::Body(length.unwrap_or(0));
                Ok((0, Some(Event::Request)))
            }
            Stage::Body(0) => {
                self.stage = Stage::Over;
                Ok((0, Some(Event::End)))
            }
            Stage::Body(_) if input.is_empty() => Ok((0, None)),
            Stage::Body(more) => {
                let here = usize::try_from(more).unwrap_or(usize::MAX).min(input.len());
                self.stage = Stage::Body(more - here as u64);
                Ok((here, Some(Event::Data(0..here))))
            }
            Stage::Over => Ok((input.len(), None)),
        }
    }

    fn read_head(&mut self, rules: Rules<'_>, headers: &mut Headers) -> Result<Head, Reject> {
        let variables = std::mem::take(&mut self.variables);
        rules.read(variables.iter().map(|(name, value)| Ok((&**name, &**value))), headers)
    }

    fn has_begun(&self) -> bool {
        true
    }

    fn is_asked(&self) -> bool {
        true
    }
}
