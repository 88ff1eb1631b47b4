//! Connections that have switched protocols: bytes both ways.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use cepa_core::{Ctx, Io, Reply, Response, Result};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    HostPolicy, Inner,
    request::Head,
    upstream::{Lease, Upstream},
};
use crate::outbound::{Arriving, Failure};

/// Read at a time, on the stack: a tunnel that is silent has no buffer.
const PIECE: usize = 8 * 1024;

impl Head {
    /// The request by which an upstream is asked to switch.
    pub(super) fn request_switch(
        &self,
        upstream: &Upstream,
        host: HostPolicy,
    ) -> Result<http::Request<cepa_core::Body>> {
        let mut request = self.request(upstream, host, cepa_core::Body::empty())?;
        if let Some(protocol) = &self.upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, protocol.clone());
        }
        Ok(request)
    }
}

impl Inner {
    /// Passes on what an upstream answered that was asked to switch protocols.
    pub(super) fn switched(
        &self,
        ctx: &mut Ctx,
        head: &Head,
        mut answer: http::Response<Arriving>,
        lease: Lease,
    ) -> Result {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.answer(ctx, answer, lease);
        }
        let to = answer.headers().get(UPGRADE).cloned();
        let same =
            |to: &HeaderValue, asked: &HeaderValue| to.as_bytes().eq_ignore_ascii_case(asked.as_bytes());
        let to = match (to, &head.upgrade) {
            (Some(to), Some(asked)) if same(&to, asked) => to,
            _ => return Err(Failure::Switch.into_error()),
        };
        let upgraded = hyper::upgrade::on(&mut answer);
        let (parts, _) = answer.into_parts();
        let mut headers = parts.headers;
        self.pass_on(ctx, &mut headers, parts.version, &lease);
        headers.insert(UPGRADE, to);
        let mut response = Response::new();
        response.set_status(StatusCode::SWITCHING_PROTOCOLS);
        *response.headers_mut() = headers;
        response.reply(ctx)?;
        let silence = self.options.tunnel;
        ctx.response.on_upgrade(Box::new(move |client| {
            Box::pin(async move {
                let _lease = lease;
                if let Ok(upgraded) = upgraded.await {
                    tunnel(client, TokioIo::new(upgraded), silence).await;
                }
            })
        }));
        Ok(())
    }
}

/// Carries bytes both ways until both ends have ended, one fails, or both were silent for that long.
async fn tunnel(mut client: Box<dyn Io>, mut upstream: TokioIo<Upgraded>, silence: Duration) {
    let (mut up, mut down) = (Half::default(), Half::default());
    let mut timer = Box::pin(sleep_until(Instant::now() + silence));
    poll_fn(|cx| {
        let mut moved = false;
        let to_upstream = up.poll(cx, &mut *client, &mut Far(&mut upstream), &mut moved);
        let to_client = down.poll(cx, &mut Far(&mut upstream), &mut *client, &mut moved);
        match (to_upstream, to_client) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
            _ => {}
        }
        if moved {
            timer.as_mut().reset(Instant::now() + silence);
        }
        Sleep::poll(timer.as_mut(), cx)
    })
    .await;
}

/// The upstream's end, as the client's is.
struct Far<'t>(&'t mut TokioIo<Upgraded>);

impl Io for Far<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        Pin::new(&mut *self.0).poll_read(cx, &mut into).map_ok(|()| into.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

/// One direction of a tunnel.
#[derive(Default)]
struct Half {
    /// What was read and not taken yet.
    left: Vec<u8>,
    written: usize,
    /// Whether what was written is still to be flushed.
    unflushed: bool,
    ended: bool,
    shut: bool,
}

impl Half {
    /// Ready when the source has ended and the sink knows.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Io,
        to: &mut dyn Io,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.left.len() {
                let taken = ready!(to.poll_write(cx, &self.left[self.written..]))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                (self.written, self.unflushed, *moved) = (self.written + taken, true, true);
            }
            (self.left, self.written) = (Vec::new(), 0);
            if self.ended {
                if !self.shut {
                    ready!(to.poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            match from.poll_read(cx, &mut piece)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(length) => {
                    *moved = true;
                    self.pass(cx, to, &piece[..length])?;
                }
                Poll::Pending => {
                    if self.unflushed {
                        ready!(to.poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what was read as far as it is taken, and keeps the rest.
    fn pass(&mut self, cx: &mut Context<'_>, to: &mut dyn Io, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            match to.poll_write(cx, piece)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    piece = &piece[taken..];
                    self.unflushed = true;
                }
                Poll::Pending => {
                    self.left = piece.to_vec();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
