//! An app that keeps a record of the requests that reach it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cepa_core::{App, Ctx, Next, Result};

/// The requests that reached an app, `GET /path`, in order; clones are of the same record.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub fn note(&self, line: impl Into<String>) {
        self.lock().push(line.into());
    }

    /// Takes what has been recorded so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a line.
    pub fn has(&self, line: &str) -> bool {
        self.lock().iter().any(|known| known == line)
    }
}

/// An app that records every request and answers 200 with `METHOD target body`; it reads the body of no request
/// whose path begins with `/unread`.
pub fn app(record: &Record) -> App {
    let record = record.clone();
    App::new().with(async move |ctx: &mut Ctx, _: Next<'_>| -> Result {
        let line = format!("{} {}", ctx.method(), ctx.url());
        record.note(&line);
        let body = if ctx.path().starts_with("/unread") { Default::default() } else { ctx.bytes().await? };
        ctx.set_body([line.as_bytes(), b" ", &body].concat())
    })
}
