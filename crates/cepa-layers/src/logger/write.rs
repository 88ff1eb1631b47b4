//! Gives a line to `tracing`.

use super::{
    category::Category,
    format::{FIELDS, Style},
};

/// The target under which lines are logged.
pub(super) const TARGET: &str = "access";

/// How lines are given away.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) style: Style,
    pub(super) level_by_status: bool,
    pub(super) category: Category,
}

/// An event of one of three levels, which `tracing` wants to know at compile time.
macro_rules! event {
    ($level:expr, $($what:tt)+) => {
        match $level {
            tracing::Level::ERROR => tracing::error!(target: TARGET, $($what)+),
            tracing::Level::WARN => tracing::warn!(target: TARGET, $($what)+),
            _ => tracing::info!(target: TARGET, $($what)+),
        }
    };
}

impl Writer {
    /// Whether any line would be logged.
    pub(super) fn is_heard(&self) -> bool {
        match self.level_by_status {
            true => tracing::enabled!(target: TARGET, tracing::Level::ERROR, category),
            false => tracing::enabled!(target: TARGET, tracing::Level::INFO, category),
        }
    }

    /// Says that a request has come.
    pub(super) fn announce(&self, text: &str) {
        tracing::info!(target: TARGET, category = self.category.field(), "{text}");
    }

    pub(super) fn write(&self, status: u16, text: &str) {
        let level = match (self.level_by_status, status) {
            (true, 500..) => tracing::Level::ERROR,
            (true, 400..) => tracing::Level::WARN,
            _ => tracing::Level::INFO,
        };
        match self.style {
            Style::Fields => write_fields(level, self.category.field(), text),
            Style::Dev | Style::Text | Style::Json => {
                event!(level, category = self.category.field(), "{text}");
            }
        }
    }
}

/// Logs an event with a field for each line of a text, which are in the order of the members of JSON.
fn write_fields(level: tracing::Level, category: Option<&str>, text: &str) {
    let mut values = [None; FIELDS];
    for (value, line) in values.iter_mut().zip(text.split('\n')) {
        *value = Some(line).filter(|line| *line != "-");
    }
    let [
        client,
        user,
        method,
        url,
        version,
        host,
        route,
        status,
        bytes,
        ms,
        referrer,
        user_agent,
        id,
        outcome,
    ] = values;
    // What is missing is no field at all.
    event!(
        level,
        category,
        client,
        user,
        method,
        url,
        version,
        host,
        route,
        status = status.and_then(|status| status.parse::<u64>().ok()),
        bytes = bytes.and_then(|bytes| bytes.parse::<u64>().ok()),
        ms = ms.and_then(|ms| ms.parse::<f64>().ok()),
        referrer,
        user_agent,
        request_id = id,
        outcome,
    );
}
