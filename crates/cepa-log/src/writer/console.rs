//! Standard output and standard error.

use std::io::{self, Write};

use super::{Fault, Sink};
use crate::queue::Batch;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Console {
    Stdout,
    Stderr,
}

impl Sink for Console {
    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let bytes = batch.bytes.as_bytes();
        let (what, written) = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                ("standard output", out.write_all(bytes).and_then(|()| out.flush()))
            }
            Self::Stderr => ("standard error", io::stderr().lock().write_all(bytes)),
        };
        written.map_err(|error| Fault { what: what.to_owned(), error, lost: batch.lines.len() as u64 })
    }
}
