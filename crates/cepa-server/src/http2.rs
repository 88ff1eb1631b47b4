//! HTTP/2 (RFC 9113): `h2` does the protocol; this door bounds what a connection may cost, and drives it.
//!
//! In the order in which a request passes them:
//!
//! 1. `wire`: the socket under `h2`. Every frame that comes or goes is counted by a `meter`, which finds the `frames`
//!    in the bytes however they are split, and ends a flood at its limit, before `h2` has read the frame too many.
//! 2. `driver`: one task per connection accepts streams, and keeps the limits of the connection.
//! 3. `head`: a request head by the rules of the HTTP/1.1 door.
//! 4. `exchange`: one request and its response, with `reading` for its body, `respond` and `sending` for the answer,
//!    and `link` for what the app sees of it all. `streams` counts them.
//! 5. `tunnel`: the stream of an extended CONNECT (RFC 8441), once the app has let another protocol have it. To the app
//!    it was the request that asks for the same protocol over HTTP/1.1.
//!
//! Handlers at work are counted per connection, not streams: one whose stream was reset, and whose policy lets it
//! complete, takes its place until it has.

mod driver;
mod exchange;
mod frames;
mod head;
mod link;
mod meter;
mod reading;
mod respond;
mod sending;
mod streams;
#[cfg(test)]
mod tests;
mod ticks;
mod tunnel;
mod wire;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::server::{Builder, Connection};

use self::{
    driver::Driver,
    streams::Streams,
    wire::{Gauge, Wire},
};
use crate::transport::Transport;
use crate::{
    ends::Ends,
    floor::Floor,
    limits::{Http2Limits, Limits},
    timer::Entry,
};

/// Bytes that a stream hands to `h2` ahead of the socket.
const AHEAD: usize = 64 * 1024;

/// What small DATA frames that nobody has taken may lack to 256 bytes each, of all streams of a connection: some 4,000
/// frames, which cost `h2` about 1 MB.
const OVERHEAD: usize = 1 << 20;

/// How long a peer may not know yet that we have reset a stream.
const IN_FLIGHT: Duration = Duration::from_secs(30);

/// Serves a connection until it ends and its last handler has; `read` holds bytes that were read already.
pub(crate) async fn serve<S>(io: S, read: Vec<u8>, floor: Rc<Floor>, ends: Rc<Ends>)
where
    S: Transport,
{
    let timer = floor.timers.register(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let gauge = Gauge::new(&floor.limits.http2, Rc::clone(&floor.timers));
    let wire = Wire::new(io, read, Rc::clone(&gauge));
    let Some(h2) = open(wire, &gauge, &timer, &floor).await else { return };
    let streams = Streams::new(floor, ends, gauge);
    let mut driver = Driver::new(h2, Rc::clone(&streams), timer);
    poll_fn(|cx| driver.poll(cx)).await;
    drop(driver);
    poll_fn(|cx| streams.poll_empty(cx)).await;
}

/// Reads the preface; `None` when it does not come in time, or is none.
async fn open<S>(
    wire: Wire<S>,
    gauge: &Gauge,
    timer: &Entry,
    floor: &Floor,
) -> Option<Connection<Wire<S>, Bytes>>
where
    S: Transport,
{
    let limits: &Limits = &floor.limits;
    let mut handshake = pin!(builder(&limits.http2).handshake(wire));
    let set = |limit| Floor::limit(limit).map_or_else(|| timer.clear(), |limit| timer.set(limit));
    set(limits.first_byte);
    let mut begun = false;
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(opened) = handshake.as_mut().poll(cx) {
            return Poll::Ready(opened.ok());
        }
        if !begun && gauge.has_begun() {
            begun = true;
            set(limits.http2.preface);
        }
        if timer.expired() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

fn builder(limits: &Http2Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_header_list_size(limits.header_list)
        .max_send_buffer_size(AHEAD)
        .data_frame_budget(OVERHEAD)
        .enable_connect_protocol()
        // Frames that were on their way when their stream was reset are no errors.
        .max_concurrent_reset_streams(limits.streams as usize)
        .reset_stream_duration(IN_FLIGHT)
        // The meter counts within a time. These count for ever, or between two looks of the driver.
        .max_pending_accept_reset_streams(limits.resets as usize)
        .max_local_error_reset_streams(Some(2 * limits.local_resets as usize));
    builder
}
