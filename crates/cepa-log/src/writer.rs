//! The thread that writes the lines of one appender, and tells what could not be written.

pub(crate) mod console;
pub(crate) mod file;
pub(crate) mod files;

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    layout::Format,
    level::Level,
    queue::{Batch, Queue},
    record::Record,
    time::Zone,
};

/// Where lines go.
pub(crate) trait Sink: Send {
    /// Writes lines.
    fn write(&mut self, batch: &Batch) -> Result<(), Fault>;

    /// Opens files anew, by their names.
    fn reopen(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// How long it can be left alone; `None` is for as long as there is nothing to write.
    fn patience(&self) -> Option<Duration> {
        None
    }
}

/// What kept lines from being written.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub(crate) struct Fault {
    pub(crate) what: String,
    #[source]
    pub(crate) error: io::Error,
    /// How many lines were not written.
    pub(crate) lost: u64,
}

/// Where the time comes from.
pub(crate) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What writes the lines of an appender.
pub(crate) struct Writer {
    /// The name of the appender.
    pub(crate) name: String,
    pub(crate) queue: Arc<Queue>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) format: Arc<Format>,
    pub(crate) zone: Zone,
    pub(crate) clock: Clock,
}

impl Writer {
    /// Starts the thread, which ends when the queue is closed.
    pub(crate) fn start(self) -> io::Result<()> {
        thread::Builder::new().name("log".to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        let mut batch = Batch::default();
        let mut untold = 0;
        let mut is_failing = false;
        loop {
            let work = self.queue.take(&mut batch, self.sink.patience());
            let closed = work.closed && batch.lines.is_empty();
            let reopened = if work.reopen { self.sink.reopen() } else { Ok(()) };
            untold += work.lost;
            let tells = u64::from(untold > 0);
            if tells > 0 {
                self.tell_lost(untold, &mut batch);
            }
            match self.sink.write(&batch).and(reopened) {
                Ok(()) => (untold, is_failing) = (0, false),
                Err(fault) => {
                    // The line that tells of those lost before is not one more.
                    let lost = fault.lost.saturating_sub(tells);
                    self.queue.count_lost(lost);
                    untold = if fault.lost > 0 { untold + lost } else { 0 };
                    if !is_failing {
                        complain(&format!("appender {}: {fault}", self.name));
                    }
                    is_failing = true;
                }
            }
            self.queue.done(work.ticket);
            if closed {
                break;
            }
        }
        if untold > 0 {
            complain(&format!("appender {}: {untold} lines are lost", self.name));
        }
    }

    /// Adds the line that says how many lines are missing.
    fn tell_lost(&self, count: u64, batch: &mut Batch) {
        let lines = if count == 1 { "1 line is lost".to_owned() } else { format!("{count} lines are lost") };
        let message = lines + ": the queue was full, or writing failed";
        let record = Record {
            level: Level::Warn,
            category: "cepa::log",
            moment: self.zone.at((self.clock)()),
            message: &message,
            fields: &[],
            spans: &[],
            span_fields: &[],
            text: "",
            file: file!(),
            line: Some(line!()),
            module: module_path!(),
        };
        let mut line = String::new();
        self.format.write(&record, &mut line);
        line.push('\n');
        batch.push(&line, record.moment.second(), None);
    }
}

/// Tells on standard error what cannot be told in the log.
pub(crate) fn complain(text: &str) {
    // Nobody is left to be told if this fails too.
    let _ = writeln!(io::stderr(), "log: {text}");
}

#[cfg(test)]
mod tests;
