//! The status of a cluster on standard output.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use cepa_cluster::{control::Status, status::Style};

use super::{Cluster, OperateError, Shown, pause};

/// How often it is shown.
const EACH: Duration = Duration::from_secs(1);

impl Cluster {
    /// What runs, once or until the terminal, the pipe or the cluster is gone.
    pub(super) fn status(&self, shown: Shown) -> Result<String, OperateError> {
        let mut client = self.connect()?;
        let style = if colours() { Style::Colour } else { Style::Plain };
        let mut status = client.status()?;
        if !shown.watch {
            return Ok(text(&status, shown, style));
        }
        let over = io::stdout().is_terminal() && !shown.json;
        let mut first = true;
        loop {
            let text = text(&status, shown, style);
            let text = match (over, shown.json || first) {
                (true, _) => over_the_last(&text, first),
                (false, true) => text,
                (false, false) => format!("\n{text}"),
            };
            let mut out = io::stdout().lock();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(String::new()),
                written => written.map_err(OperateError::Output)?,
            }
            drop(out);
            first = false;
            pause(EACH);
            status = client.status()?;
        }
    }
}

fn text(status: &Status, shown: Shown, style: Style) -> String {
    match (shown.json, shown.watch) {
        (false, _) => status.table(style),
        (true, false) => json(serde_json::to_string_pretty(status)),
        // A line each, for who reads on.
        (true, true) => json(serde_json::to_string(status)),
    }
}

fn json(text: serde_json::Result<String>) -> String {
    let mut text = text.expect("the types of the protocol have text as their keys");
    text.push('\n');
    text
}

/// A text that is written over the one before, so that it does not flicker.
fn over_the_last(text: &str, first: bool) -> String {
    let mut screen = if first { "\x1b[2J\x1b[H".to_owned() } else { "\x1b[H".to_owned() };
    for line in text.lines() {
        let _ = writeln!(screen, "{line}\x1b[K");
    }
    screen.push_str("\x1b[J");
    screen
}

fn colours() -> bool {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
