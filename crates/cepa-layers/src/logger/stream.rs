//! A streamed body that is counted while it is sent, and writes its line when it has ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use cepa_core::{Body, Ctx, Error, Park, Parked};
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{
    Logger,
    line::{Facts, Line, Outcome, Sent},
    write::Writer,
};

/// A body whose end is logged, and also that it was dropped before.
pub(super) struct Counted {
    body: Body,
    writer: Writer,
    line: Line,
    started: Instant,
    length: u64,
    is_open: bool,
}

impl Counted {
    /// Puts it around the body of a response.
    pub(super) fn wrap(logger: &Logger, started: Instant, ctx: &mut Ctx) {
        let Some(body) = ctx.response.take_body() else { return };
        let status = ctx.status().as_u16();
        let facts = Facts { ctx, status, hidden: &logger.hidden, sent: None };
        let line = Line::new(&logger.pattern, &facts, String::new());
        let declared = ctx.response.headers().get(CONTENT_LENGTH).cloned();
        let counted = Self { body, writer: logger.writer.clone(), line, started, length: 0, is_open: true };
        ctx.response.replace_body(Body::parks(counted));
        // The length that was declared still holds.
        if let Some(length) = declared {
            ctx.response.headers_mut().insert(CONTENT_LENGTH, length);
        }
    }

    fn close(&mut self, outcome: Outcome) {
        if std::mem::take(&mut self.is_open) {
            let sent = Sent { length: Some(self.length), elapsed: self.started.elapsed(), outcome };
            self.writer.write(self.line.status(), &self.line.finish(sent));
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.length += frame.data_ref().map_or(0, |data| data.len() as u64);
                // A door that knows the length need not ask once more.
                if self.body.is_end_stream() {
                    self.close(Outcome::Done);
                }
            }
            Some(Err(_)) => self.close(Outcome::Failed),
            None => self.close(Outcome::Done),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One that goes on in another process has its line here; nobody counts what is sent there.
impl Park for Counted {
    fn park(mut self: Pin<&mut Self>) -> Option<Parked> {
        let parked = self.body.park()?;
        self.close(Outcome::Done);
        Some(parked)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A door that was told the length beforehand may drop the body once it has all of it.
        let rest = self.body.len();
        self.close(if rest == Some(0) { Outcome::Done } else { Outcome::Closed });
    }
}
