//! One request on its way through an onion, in memory that the thread's next request uses again.

use std::{
    cell::RefCell,
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::Onion;
use crate::{Ctx, Error, Request, Response, hosts::Place, panic::catch, statistics::Began};

/// The answer to come of [`Onion::handle`].
///
/// Dropping it ends the request where it is.
pub struct Handling(Option<Work>);

/// Memory for one request.
struct Work {
    run: Box<dyn Run>,
    /// Away while the future has it; gone if that was dropped half way.
    room: Option<Room>,
}

/// The room for one ctx, apart from the future that works on it: that way the future is small, and nothing as large as
/// a ctx is moved.
type Room = Box<Option<Ctx>>;

/// A future whose type has no name, and the memory of it.
trait Run {
    fn begin(&mut self, onion: Arc<Onion>, room: Room);
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Room>;
    fn end(&mut self);
}

struct Runner<M, F> {
    make: M,
    future: Pin<Box<Option<F>>>,
}

/// How much of such memory one thread keeps.
const KEPT: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

impl Handling {
    #[inline(always)]
    pub(crate) fn new(onion: Arc<Onion>, request: Request, place: Place) -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let mut work = spare.unwrap_or_else(Work::new);
        let mut room = work.room.take().unwrap_or_default();
        // Made where it stays.
        *room = Some(Ctx::new(request, Arc::clone(&onion), place));
        work.run.begin(onion, room);
        Self(Some(work))
    }

    /// [`poll`](Future::poll) for a door that writes the answer at once: it stays where it is until this is dropped.
    ///
    /// # Panics
    /// When it is called again after it was ready.
    #[inline]
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<&mut Response> {
        let work = self.0.as_mut().expect("only dropping takes it out");
        let room = ready!(work.run.poll(cx));
        let ctx = work.room.insert(room).as_mut().as_mut().expect("`new` has put it there");
        Poll::Ready(&mut ctx.response)
    }
}

impl Future for Handling {
    type Output = Response;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.poll_response(cx).map(mem::take)
    }
}

impl Drop for Handling {
    #[inline]
    fn drop(&mut self) {
        let Some(mut work) = self.0.take() else { return };
        work.run.end();
        if let Some(room) = &mut work.room {
            **room = None;
        }
        // A thread that ends has no store any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(work);
            }
        });
    }
}

impl Work {
    #[cold]
    fn new() -> Self {
        Self { run: Box::new(Runner { make: run, future: Box::pin(None) }), room: None }
    }
}

impl<M, F> Run for Runner<M, F>
where
    M: Fn(Arc<Onion>, Room) -> F,
    F: Future<Output = Room>,
{
    fn begin(&mut self, onion: Arc<Onion>, room: Room) {
        self.future.set(Some((self.make)(onion, room)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        self.future.as_mut().as_pin_mut().expect("not polled before `begin` or after `end`").poll(cx)
    }

    fn end(&mut self) {
        self.future.set(None);
    }
}

async fn run(onion: Arc<Onion>, mut room: Room) -> Room {
    let ctx = room.as_mut().as_mut().expect("`Handling::new` has put it there");
    let began = Began::now();
    let result = onion.tally.watch(onion.run(ctx)).await;
    // It asks the app's error for its text, and the app's body for its length.
    if let Err(panicked) = catch(|| ctx.finish(result)) {
        finish_panicked(ctx, panicked);
    }
    // The answer alone says now whether the body is still read.
    ctx.request.body_mut().stop();
    ctx.response.count(&onion, began);
    room
}

#[cold]
fn finish_panicked(ctx: &mut Ctx, panicked: Error) {
    let again = catch(|| ctx.finish(Err(panicked)));
    // Then it is the log that panics.
    if let Err(panicked) = again {
        ctx.response.fail(&panicked);
        ctx.response.finish(ctx.request.method());
    }
}

impl fmt::Debug for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handling")
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::Method;

    use super::*;
    use crate::{App, test::block_on};

    #[test]
    fn a_request_that_is_dropped_half_way_leaves_nothing_to_the_next() {
        let app = App::new()
            .get("/wait/{id}", async |ctx: &mut Ctx| {
                ctx.insert(7u32);
                ctx.set("x-a", "1")?;
                std::future::pending::<crate::Result>().await
            })
            .get("/", async |ctx: &mut Ctx| format!("{:?} {:?}", ctx.state::<u32>(), ctx.param("id")));
        let onion = app.build().unwrap();
        for _ in 0..3 {
            let mut left = onion.handle(Request::new(Method::GET, "/wait/1"));
            assert!(left.poll_response(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(left);
            // One that is never polled.
            drop(onion.handle(Request::new(Method::GET, "/wait/2")));
            let answer = block_on(onion.handle(Request::new(Method::GET, "/")));
            assert_eq!(answer.body().and_then(crate::Body::as_bytes).unwrap(), "None None");
            assert!(answer.headers().get("x-a").is_none());
        }
    }

    /// An error, or a body, that panics when it is asked for what it is.
    #[derive(Debug)]
    struct Mute;

    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("an error without words")
        }
    }

    impl std::error::Error for Mute {}

    impl http_body::Body for Mute {
        type Data = bytes::Bytes;
        type Error = Mute;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Mute>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> http_body::SizeHint {
            panic!("a body without measure")
        }
    }

    /// A log that writes the lines it is told, or panics.
    struct Log(bool);

    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            assert!(self.0, "a log that panics");
            event.record(&mut |_: &tracing::field::Field, value: &dyn fmt::Debug| drop(format!("{value:?}")));
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_panic_of_what_finishes_an_answer_is_a_500_too() {
        let app = App::new()
            .get("/error", async |_: &mut Ctx| Err::<(), _>(Error::status_only(502).with_cause(Mute)))
            .get("/body", async |ctx: &mut Ctx| ctx.set_body(crate::Body::new(Mute)));
        let client = app.test();
        for writes in [true, false] {
            tracing::subscriber::with_default(Log(writes), || {
                for (method, path) in
                    [(Method::GET, "/error"), (Method::HEAD, "/error"), (Method::HEAD, "/body")]
                {
                    let answer = block_on(client.request(method.clone(), path));
                    let text = if method == Method::HEAD { "" } else { "Internal Server Error" };
                    assert_eq!((answer.status().as_u16(), answer.text()), (500, text), "{path}");
                }
            });
        }
    }

    #[test]
    fn requests_inside_of_each_other_have_rooms_of_their_own() {
        let inner = App::new().get("/{id}", async |ctx: &mut Ctx| ctx.param("id").unwrap().into_owned());
        let inner = inner.build().unwrap();
        let app = App::new().get("/{id}", async move |ctx: &mut Ctx| {
            let within = inner.handle(Request::new(Method::GET, "/in")).await;
            let within = within.body().and_then(crate::Body::as_bytes).cloned().unwrap();
            format!("{} {}", ctx.param("id").unwrap(), String::from_utf8_lossy(&within))
        });
        let client = app.test();
        let answer = block_on(async { client.get("/out").await });
        assert_eq!(answer.text(), "out in");
    }
}
