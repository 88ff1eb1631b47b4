//! A log, running.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tracing::Subscriber;
use tracing_subscriber::{Layer, layer::SubscriberExt, registry, registry::LookupSpan};

use crate::{
    collect::{Lines, Wanted},
    options::{LogConfig, LogConfigError},
    plan::{Kind, Plan, Target},
    queue::Queue,
    shared::{Door, Shared},
    writer::{Clock, Sink, Writer, file::RollingFile, files::Files},
};

/// A log: the files are open, and a thread for each appender waits for lines.
///
/// Who logs never waits for a disk or a terminal: a line is put into the queue of its appender, or counted as lost
/// if there is no room. All clones are one log; when the last of them and of their layers is gone, the threads
/// write what is left and end.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

/// Why a log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] LogConfigError),
    /// A file cannot be opened.
    #[error("appender {appender}: {path} cannot be opened: {error}")]
    Open {
        /// The name of the appender.
        appender: String,
        /// The path of the file.
        path: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A thread cannot be made.
    #[error("a thread for the log cannot be made: {0}")]
    Thread(#[source] io::Error),
}

/// The process has another subscriber of `tracing` already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process logs to another subscriber already")]
pub struct AlreadyLogging;

impl LogConfig {
    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    /// Names the key at fault first.
    pub fn check(&self) -> Result<(), LogConfigError> {
        Plan::new(self).map(drop)
    }
}

impl Log {
    /// Opens the files, and starts a thread for each appender that a category uses.
    ///
    /// # Errors
    /// What is wrong with the configuration, or the file that cannot be opened.
    pub fn start(config: &LogConfig) -> Result<Self, LogError> {
        Self::start_with_clock(config, Arc::new(SystemTime::now))
    }

    pub(crate) fn start_with_clock(config: &LogConfig, clock: Clock) -> Result<Self, LogError> {
        let Plan { rules, targets } = Plan::new(config)?;
        let mut writers = Vec::new();
        let mut doors = Vec::new();
        for target in targets {
            let sink = open(&target, &clock)?;
            let queue = Arc::new(Queue::new(config.queue));
            let Target { name, format, property, .. } = target;
            let (zone, clock) = (config.zone.clone(), clock.clone());
            writers.push(Writer { name, queue: queue.clone(), sink, format: format.clone(), zone, clock });
            doors.push(Door { format, property, queue });
        }
        let shared = Shared { rules, zone: config.zone.clone(), clock, writers: doors };
        // From here on, the queues are closed if something fails.
        let log = Self(Arc::new(shared));
        for writer in writers {
            writer.start().map_err(LogError::Thread)?;
        }
        Ok(log)
    }

    /// The log as a layer of a subscriber of `tracing`, beside others.
    ///
    /// ```
    /// use cepa_log::{Log, LogConfig};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let log = Log::start(&LogConfig::default())?;
    /// let subscriber = tracing_subscriber::registry().with(log.layer());
    /// tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "ready"));
    /// # Ok::<(), cepa_log::LogError>(())
    /// ```
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        Lines(self.0.clone()).with_filter(Wanted(self.0.clone()))
    }

    /// Makes it the log of the process.
    ///
    /// # Errors
    /// If the process has one already.
    pub fn install(&self) -> Result<(), AlreadyLogging> {
        let subscriber = registry().with(self.layer());
        tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadyLogging)
    }

    /// Opens all files anew by their names, for a program that moves log files away; lines that are on their way
    /// may go to either file, none is lost.
    pub fn reopen(&self) {
        for writer in &self.0.writers {
            writer.queue.reopen();
        }
    }

    /// Waits until all that has been logged so far is written; false if that takes longer than `patience`.
    ///
    /// A program calls it before it ends. It blocks the thread.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let tickets: Vec<_> = self.0.writers.iter().map(|writer| writer.queue.ask_to_flush()).collect();
        let waits = self.0.writers.iter().zip(tickets);
        // Each is waited for, also when one was too slow.
        waits.fold(true, |all, (writer, ticket)| writer.queue.wait(ticket, until) && all)
    }

    /// How many lines were lost since the start, because a queue was full or a file could not be written.
    pub fn lost(&self) -> u64 {
        self.0.writers.iter().map(|writer| writer.queue.lost()).sum()
    }
}

/// Opens what an appender writes to.
fn open(target: &Target, clock: &Clock) -> Result<Box<dyn Sink>, LogError> {
    Ok(match &target.kind {
        Kind::Console(console) => Box::new(*console),
        Kind::File(place) => match RollingFile::open(place.clone(), clock()) {
            Ok(file) => Box::new(file),
            Err(error) => {
                let names = &place.rotation.names;
                let path =
                    place.folder.join([names.stem.as_str(), &names.extension].concat()).display().to_string();
                return Err(LogError::Open { appender: target.name.clone(), path, error });
            }
        },
        Kind::Files { place, extension, most, timeout } => {
            if let Err(error) = std::fs::create_dir_all(&place.folder) {
                let path = place.folder.display().to_string();
                return Err(LogError::Open { appender: target.name.clone(), path, error });
            }
            Box::new(Files::new(place.clone(), extension, *most, *timeout, clock.clone()))
        }
    })
}

#[cfg(test)]
mod tests;
