//! The program around the app, with its plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    cepa::program!().plugin(parcels::ledger::LedgerPlugin).run(parcels::app)
}
