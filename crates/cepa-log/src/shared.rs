//! What all clones of a log share: the rules, and the way to each writer.

use std::{fmt, sync::Arc};

use crate::{
    category::Rules,
    layout::Format,
    plan::{Output, Property},
    queue::Queue,
    record::Record,
    time::Zone,
    writer::Clock,
};

/// What all clones share; when it is gone, the queues are closed.
pub(crate) struct Shared {
    pub(crate) rules: Rules<Output>,
    pub(crate) zone: Zone,
    pub(crate) clock: Clock,
    pub(crate) writers: Vec<Door>,
}

/// The way to a writer.
pub(crate) struct Door {
    pub(crate) format: Arc<Format>,
    pub(crate) property: Option<Property>,
    pub(crate) queue: Arc<Queue>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for writer in &self.writers {
            writer.queue.close();
        }
    }
}

impl Shared {
    /// Hands an event to all writers that it is for.
    pub(crate) fn write(&self, record: &Record<'_>, line: &mut String) {
        let rule = self.rules.of(record.category);
        if record.level < rule.level {
            return;
        }
        for output in &rule.appenders {
            if !output.filters.iter().all(|filter| filter.passes(record)) {
                continue;
            }
            let writer = &self.writers[output.target];
            let key = match &writer.property {
                Some(property) => match property.key(record) {
                    None => continue,
                    key => key,
                },
                None => None,
            };
            line.clear();
            writer.format.write(record, line);
            line.push('\n');
            writer.queue.push(line, record.moment.second(), key);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("writers", &self.writers.len()).finish_non_exhaustive()
    }
}
