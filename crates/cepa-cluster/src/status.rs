//! The status of a cluster as a table, for people.

use std::fmt::Write;

use crate::control::{ProcessStatus, Role, State, Status, printable};

/// How a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As text and nothing else.
    Plain,
    /// With colours, for a terminal.
    Colour,
}

const HEAD: [&str; 8] = ["ROLE", "PID", "UPTIME", "CONNECTIONS", "REQUESTS/S", "MEMORY", "RESTARTS", "STATE"];

/// The columns that begin at the left; numbers end at the right.
const LEFT: [bool; 8] = [true, false, false, false, false, false, false, true];

impl Status {
    /// A table with a line for each process.
    pub fn table(&self, style: Style) -> String {
        let master = &self.master;
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.push([
            "master".to_owned(),
            master.pid.to_string(),
            time(master.uptime_s),
            "-".to_owned(),
            "-".to_owned(),
            size(master.memory_bytes),
            "-".to_owned(),
            "-".to_owned(),
        ]);
        rows.extend(self.processes.iter().map(|process| self.row(process)));
        let mut widths = [0; HEAD.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.len().max(*width);
            }
        }
        let mut text = String::new();
        for (at, row) in rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let _ = match (LEFT[column], column + 1 == row.len()) {
                    (true, true) => write!(text, "{gap}{}", painted(cell, at, style)),
                    (true, false) => write!(text, "{gap}{cell:<width$}"),
                    (false, _) => write!(text, "{gap}{cell:>width$}"),
                };
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "version {}, generation {}, listening on {}",
            printable(&master.version),
            self.generation,
            printable(&master.listen.join(", "))
        );
        text
    }

    fn row(&self, process: &ProcessStatus) -> [String; HEAD.len()] {
        let worker = process.role == Role::Worker;
        let of_worker = |number: u64| if worker { number.to_string() } else { "-".to_owned() };
        let mut state = process.state.name().to_owned();
        // An agent lasts over all of them.
        if worker && process.generation != self.generation {
            let _ = write!(state, ", generation {}", process.generation);
        }
        [
            if worker { format!("worker {}", process.slot) } else { process.role.name().to_owned() },
            process.pid.to_string(),
            time(process.uptime_s),
            of_worker(process.connections),
            of_worker(process.requests_per_s),
            size(process.memory_bytes),
            process.restarts.to_string(),
            state,
        ]
    }
}

/// A state in the colour of its urgency: green serves, yellow changes.
fn painted(state: &str, row: usize, style: Style) -> String {
    match (style, row) {
        (Style::Plain, _) | (Style::Colour, 0..=1) => state.to_owned(),
        _ if state.starts_with(State::Serving.name()) => format!("\x1b[32m{state}\x1b[0m"),
        _ => format!("\x1b[33m{state}\x1b[0m"),
    }
}

/// A time in its two largest units.
fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// A size with two or three digits that count; 0 is not known.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes == 0 {
        return "-".to_owned();
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.*} {}", usize::from(size < 10.0), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::MasterStatus;

    fn worker(slot: u32, generation: u64, state: State) -> ProcessStatus {
        ProcessStatus {
            role: Role::Worker,
            slot,
            pid: 4245 + slot,
            generation,
            state,
            uptime_s: 75,
            connections: 12_345,
            requests: 1_000_000,
            requests_per_s: 52_000,
            memory_bytes: 15 << 20,
            restarts: 0,
        }
    }

    fn status() -> Status {
        let agent = ProcessStatus {
            role: Role::Agent,
            pid: 4244,
            restarts: 1,
            memory_bytes: 0,
            connections: 0,
            ..worker(0, 2, State::Serving)
        };
        let master = MasterStatus {
            pid: 4243,
            uptime_s: 266_400,
            version: "1.2.3".to_owned(),
            listen: vec!["127.0.0.1:3000".to_owned(), "unix:/run/app.http".to_owned()],
            memory_bytes: 4_404_019,
        };
        let (new, old) = (worker(0, 2, State::Serving), worker(0, 1, State::Draining));
        let processes = vec![agent, old, new, worker(11, 2, State::Ready)];
        Status { master, generation: 2, processes, apps: Vec::new() }
    }

    #[test]
    fn each_process_has_its_line() {
        assert_eq!(
            status().table(Style::Plain),
            "\
ROLE        PID  UPTIME  CONNECTIONS  REQUESTS/S   MEMORY  RESTARTS  STATE
master     4243  3d 02h            -           -  4.2 MiB         -  -
agent      4244  1m 15s            -           -        -         1  serving
worker 0   4245  1m 15s        12345       52000   15 MiB         0  draining, generation 1
worker 0   4245  1m 15s        12345       52000   15 MiB         0  serving
worker 11  4256  1m 15s        12345       52000   15 MiB         0  ready
version 1.2.3, generation 2, listening on 127.0.0.1:3000, unix:/run/app.http
"
        );
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let mut coloured = status().table(Style::Colour);
        assert_eq!(coloured.matches("\x1b[32mserving\x1b[0m").count(), 2);
        for code in ["\x1b[32m", "\x1b[33m", "\x1b[0m"] {
            coloured = coloured.replace(code, "");
        }
        assert_eq!(coloured, status().table(Style::Plain));
    }

    #[test]
    fn times_and_sizes_have_few_digits() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 00s"),
            (3599, "59m 59s"),
            (3600, "1h 00m"),
            (86_399, "23h 59m"),
            (86_400, "1d 00h"),
            (u64::MAX, "213503982334601d 07h"),
        ] {
            assert_eq!(time(seconds), text);
        }
        for (bytes, text) in [
            (0, "-"),
            (1, "0.0 KiB"),
            (10 << 10, "10 KiB"),
            (999 << 10, "999 KiB"),
            (1 << 20, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
