//! The ledger: a file that lines are added to, and the plugin that opens and closes it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use cepa::{Plugin, prelude::*, server::blocking};
use serde::Deserialize;

/// A file that lines are added to. Clones are the same.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Mutex<File>>);

impl Ledger {
    /// Adds a line.
    ///
    /// # Errors
    /// The disk.
    pub async fn note(&self, mut line: String) -> Result {
        line.push('\n');
        let ledger = self.clone();
        blocking(move || ledger.write(line.as_bytes())).await?;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line)
    }
}

/// Opens the ledger before the first request, and sees to it that it is on disk after the last job.
#[derive(Debug)]
pub struct LedgerPlugin;

/// The section `ledger`.
#[derive(Deserialize)]
struct Options {
    path: PathBuf,
}

impl Plugin for LedgerPlugin {
    fn name(&self) -> &str {
        "ledger"
    }

    fn defaults(&self) -> &str {
        "ledger.path = 'data/ledger.txt'"
    }

    async fn did_load(&mut self, boot: &mut Boot) -> Result {
        let Options { path } = boot.config("ledger")?;
        let file = blocking(move || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            OpenOptions::new().append(true).create(true).open(path)
        });
        boot.provide(Ledger(Arc::new(Mutex::new(file.await?))));
        Ok(())
    }

    async fn before_close(&mut self, boot: &Boot) -> Result {
        let Ledger(file) = boot.provided::<Ledger>()?.clone();
        blocking(move || file.lock().unwrap_or_else(PoisonError::into_inner).sync_all()).await?;
        Ok(())
    }
}
