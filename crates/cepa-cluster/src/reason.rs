//! Why work in the background has failed, for logs.

use cepa_core::{Error, Result};
use tokio::task::{JoinError, JoinHandle};

/// Bytes of a reason that are kept.
const LONGEST: usize = 1024;

/// What an error says, without the status, which is meant for clients.
pub(crate) fn reason(error: &Error) -> String {
    let text = error.to_string();
    let status = [error.status().as_str(), " "].concat();
    let standard = [error.status().canonical_reason().unwrap_or_default(), ": "].concat();
    let text = text.strip_prefix(&status).unwrap_or(&text);
    let text = text.strip_prefix(&standard).unwrap_or(text);
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

/// A task of the app that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) JoinHandle<Result>);

impl Running {
    /// What comes of it; a panic is an error.
    pub(crate) async fn ended(mut self) -> Result {
        (&mut self.0).await.unwrap_or_else(|error| Err(panicked(error)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panicked(error: JoinError) -> Error {
    let panic = error.try_into_panic().ok();
    let text = panic.as_ref().and_then(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
    });
    Error::new(500, format!("panicked: {}", text.unwrap_or("with a value that is no text")))
}
