//! What is known of another process and of users.

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// When a process started, in a measure of the system's own: no two processes have both this and their number in
/// common. `None` if there is no such process, it only waits to be waited for, or the system does not tell.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_in(&stat)
}

/// Field 22 of proc_pid_stat(5). The second is a name in parentheses, which may hold blanks and parentheses itself.
fn start_in(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace();
    let lives = !matches!(fields.next()?, "Z" | "X");
    fields.nth(18)?.parse().ok().filter(|_| lives)
}

/// Asks a process to end.
pub(super) fn terminate(pid: u32) -> io::Result<()> {
    match number(pid) {
        Some(pid) => Ok(kill_process(pid, Signal::TERM)?),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Whether there is a process of this number.
pub(super) fn is_there(pid: u32) -> bool {
    let pid = number(pid);
    // One that may not be signalled is there as well.
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// What to call a user.
pub(super) fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| format!("user {name}"))
    });
    name.unwrap_or_else(|| format!("user {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20";
        for name in ["(hello)", "(a b)", "(a) 1 2 (b)", "())"] {
            assert_eq!(start_in(&format!("77 {name} {fields}")), Some(987_654), "{name}");
        }
        for stat in [
            "",
            "77 (hello",
            "77 (hello) S 1 2",
            "77 (hello) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654",
            "77 (hello) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x",
        ] {
            assert_eq!(start_in(stat), None, "{stat}");
        }
    }

    #[test]
    fn this_process_is_there_and_that_of_a_number_too_large_is_not() {
        assert!(is_there(std::process::id()));
        assert!(!is_there(0) && !is_there(u32::MAX) && !is_there(i32::MAX as u32));
        assert_eq!(start_of(0), None);
    }

    #[test]
    fn users_are_called_by_name_where_they_have_one() {
        assert_eq!(user_name(0), "user root");
        assert_eq!(user_name(u32::MAX - 7), "user 4294967288");
    }
}
