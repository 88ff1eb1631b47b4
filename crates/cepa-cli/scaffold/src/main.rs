//! The program around the app.

use std::process::ExitCode;

fn main() -> ExitCode {
    cepa::program!().run(my_app::app)
}
