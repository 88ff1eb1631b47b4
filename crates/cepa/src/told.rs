//! An error of the app as the operator is told it.

use cepa_core::Error;

use crate::{boot::Panicked, config::ConfigError};

/// An error without its status, which means something to clients only.
pub(crate) fn told(error: &Error) -> String {
    let text = error.to_string();
    let status = [error.status().as_str(), " "].concat();
    let standard = [error.status().canonical_reason().unwrap_or_default(), ": "].concat();
    let text = text.strip_prefix(&status).unwrap_or(&text);
    let text = text.strip_prefix(&standard).unwrap_or(text);
    if error.downcast_ref::<ConfigError>().is_some() || error.downcast_ref::<Panicked>().is_some() {
        // It has a place of its own, which is named elsewhere, and that is where to look.
        return text.to_owned();
    }
    format!("{text}\n  at {}", error.place())
}
