//! Live updates: each new entry as a Server-Sent Event (HTML, section 9.2) to everyone who listens.

use std::time::Duration;

use cepa::{bytes::Bytes, core::BodyWriter, prelude::*, server::blocking};
use serde::Deserialize;
use tokio::{select, sync::broadcast::error::RecvError, time::timeout};

use crate::{book::Book, entry::Entry, settings::MOST_ENTRIES};

/// A line that says nothing keeps proxies from taking a quiet stream for a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An entry as it goes over the wire, written once for all who listen.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    text: Bytes,
}

impl Event {
    pub(crate) fn of(entry: &Entry) -> Self {
        // JSON keeps line breaks escaped, so that the data are one line.
        let json = serde_json::to_string(entry).expect("numbers and text always serialise");
        let text = format!("event: entry\nid: {}\ndata: {json}\n\n", entry.id);
        Self { id: entry.id, text: text.into() }
    }
}

#[derive(Deserialize)]
struct Since {
    after: Option<u64>,
}

/// `GET /live`: what was signed since the entry `after`, then each entry as it is signed.
///
/// A browser that was cut off says itself what it has seen, in `Last-Event-ID`. Who says nothing gets what is new.
pub(crate) async fn stream(ctx: &mut Ctx) -> Result<Body> {
    let book = ctx.provided::<Book>()?.clone();
    let last_event = ctx.get("last-event-id").and_then(|id| id.parse().ok());
    let seen = match last_event.or(ctx.query::<Since>()?.after) {
        Some(id) => id,
        None => {
            let book = book.clone();
            ctx.blocking(move || book.newest()).await?
        }
    };
    ctx.set_type("text/event-stream")?;
    ctx.set_cache_control("no-store")?;
    // Without the latter a quiet stream would be cut at the end of the drain; the browser comes back by itself, to the
    // server that takes over.
    let (closed, draining) = (ctx.closed(), ctx.draining());
    Ok(Body::from_async(async move |mut out| {
        select! {
            result = follow(&book, seen, &mut out) => result,
            () = closed => Ok(()),
            () = draining => Ok(()),
        }
    }))
}

/// Writes all entries after one, without end.
async fn follow(book: &Book, mut seen: u64, out: &mut BodyWriter) -> Result {
    // Before the book is read, so that no entry falls between the two.
    let mut news = book.news();
    out.write("retry: 2000\n\n").await;
    loop {
        seen = catch_up(book, seen, out).await?;
        loop {
            match timeout(HEARTBEAT, news.recv()).await {
                Err(_) => out.write(":\n\n").await,
                Ok(Ok(event)) if event.id > seen => {
                    seen = event.id;
                    out.write(event.text).await;
                }
                // Read from the book already.
                Ok(Ok(_)) => {}
                // More was signed than this client takes: the book has it.
                Ok(Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) => return Ok(()),
            }
        }
    }
}

/// Writes what the book has after an entry; gives the last one's id.
async fn catch_up(book: &Book, mut seen: u64, out: &mut BodyWriter) -> Result<u64> {
    loop {
        let book = book.clone();
        let entries = blocking(move || book.after(seen, MOST_ENTRIES)).await?;
        for entry in &entries {
            seen = entry.id;
            out.write(Event::of(entry).text).await;
        }
        if entries.len() < MOST_ENTRIES {
            return Ok(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::LocalRuntime;

    use super::*;
    use crate::entry::Words;

    /// Reads the stream of a new book.
    fn read(test: impl AsyncFnOnce(&Book, Body)) {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(&folder.path().join("book.redb")).unwrap();
        let followed = book.clone();
        let body = Body::from_async(async move |mut out| follow(&followed, 0, &mut out).await);
        LocalRuntime::new().unwrap().block_on(test(&book, body));
    }

    async fn next(body: &mut Body) -> String {
        String::from_utf8(body.chunk().await.unwrap().unwrap().into()).unwrap()
    }

    #[test]
    fn a_client_that_is_behind_misses_nothing() {
        read(async |book, mut body| {
            assert_eq!(next(&mut body).await, "retry: 2000\n\n");
            for written in 1..=200 {
                let words = Words { name: "Ada".to_owned(), message: written.to_string() };
                book.sign(words).unwrap();
                // From here on it listens, but does not read.
                if written == 1 {
                    assert!(next(&mut body).await.contains("\nid: 1\n"));
                }
            }
            for id in 2..=200 {
                let event = next(&mut body).await;
                assert!(event.contains(&format!("\nid: {id}\n")), "{event} is not {id}");
            }
        });
    }

    #[test]
    fn a_quiet_stream_has_a_heartbeat() {
        read(async |_, mut body| {
            assert_eq!(next(&mut body).await, "retry: 2000\n\n");
            tokio::time::pause();
            let started = tokio::time::Instant::now();
            assert_eq!(next(&mut body).await, ":\n\n");
            assert!(started.elapsed() >= HEARTBEAT);
        });
    }
}
