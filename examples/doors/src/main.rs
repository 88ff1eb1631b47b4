//! The program of the app: a server, or a CGI program if a front server starts it as one.

use cepa::prelude::*;

fn main() -> ExitCode {
    cepa::run(|_| doors::app())
}
